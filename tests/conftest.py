"""Fixtures for every test: a clean environment, a house in a folder, an actor."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import sys

import httpx
import hypothesis
import pytest
import structlog

from homeostat.foundation import access, house, settings
from homeostat.foundation.database import Database, migrate

# Test processes share the cores; threads that spin for each other only cost.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Or each of some two hundred processes that tests start compiles all of ours again: 0.4 s each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def _in_memory(folder="/dev/shm", room=4 << 30):
    """Whether this folder is in memory, has room and lets programs run."""
    if not os.access(folder, os.W_OK):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= room and not found.f_flag & os.ST_NOEXEC


# Databases sync every commit; where a disk is slow, half the time of the tests is waiting.
if sys.platform == "linux" and _in_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")


# A busy machine may take longer than httpx's five seconds, where a test says nothing else.
for _step in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, _step, 90.0)

# What a claim is tried on is the same in every run, and no time limit holds: whether a commit
# may land is no matter of luck or of who else computes. To look further than that:
# pytest --hypothesis-profile=wide --hypothesis-seed=1
SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile(
    "same", deadline=None, derandomize=True, database=None, suppress_health_check=SLOW
)
hypothesis.settings.register_profile(
    "wide", deadline=None, derandomize=False, suppress_health_check=SLOW, print_blob=True
)
hypothesis.settings.load_profile("same")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """The settings of whoever runs the tests must not reach them."""
    for variable in os.environ:
        if variable.startswith("HOMEOSTAT_") and not variable.startswith("HOMEOSTAT_TEST_"):
            monkeypatch.delenv(variable)


@pytest.fixture(autouse=True)
def _log_as_before():
    """A command run in this process sets up its log; the next test must not find its lines."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**config)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory):
    """A SQLite file with all tables, made once; tests copy it instead of migrating again."""
    path = tmp_path_factory.mktemp("migrated") / "homeostat.db"
    database = Database(f"sqlite:///{path}")
    migrate.upgrade(database)
    database.close()
    return path


@pytest.fixture
def home(tmp_path, migrated_file):
    """The home of an installation that has its tables already."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    shutil.copyfile(migrated_file, folder / "homeostat.db")
    return folder


@pytest.fixture
def house_settings(home):
    return settings.load(home=home)


@pytest.fixture(name="house")
def _house(house_settings):
    """A whole house on SQLite and a folder."""
    with house.open_house(house_settings) as opened:
        yield opened


@pytest.fixture
def actor():
    """The owner of everything."""
    return access.local_owner("ada")


# Seconds on two quiet cores; they decide about nothing but the order.
LONGEST = {
    "test_durability.py": 120,
    "test_demo.py": 95,
    "test_adoption.py": 65,
    "test_loop.py": 45,
    "test_stock_clients.py": 40,
    "test_serving.py": 35,
    "test_states.py": 28,
    "test_mlflow_model.py": 25,
    "test_backtest.py": 23,
    "test_pages.py": 22,
    "test_tasks.py": 20,
    "test_evidently.py": 18,
    "test_import.py": 17,
    "test_sign_in.py": 16,
    "test_corrector.py": 15,
    "test_mlflow_formats.py": 13,
}
JOURNEYS = ("stories", "clients", "parity")
TAIL = 0.15  # of the other tests, once the last journey has begun


def pytest_collection_modifyitems(items):
    """Files of journeys come evenly among the others, the longest first, none at the very end.

    A journey waits for processes while files of short tests compute; at the end of a session
    one long file would leave the other workers with nothing to do.
    """
    files = [list(of) for _, of in itertools.groupby(items, key=lambda item: item.path)]
    journeys = [of for of in files if of[0].path.parent.name in JOURNEYS]
    journeys.sort(key=lambda of: -LONGEST.get(of[0].path.name, 0))
    n_others = max(1, len(items) - sum(map(len, journeys)))
    placed = [(at / len(journeys) * (1 - TAIL), of) for at, of in enumerate(journeys)]
    seen = 0
    for of in files:
        if of not in journeys:
            placed.append((seen / n_others, of))
            seen += len(of)
    placed.sort(key=lambda one: one[0])
    items[:] = [item for _, of in placed for item in of]

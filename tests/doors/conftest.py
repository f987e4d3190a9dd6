"""A client in this process, and a real server process on a free port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import listening
import nursery
from homeostat.doors import local
from homeostat.doors.cli import ports
from homeostat.foundation import access, events, house, settings

READY_S = 90
PAUSE_S = 0.05


def with_tables(home: Path, migrated_file: Path) -> Path:
    """Make a home whose database has its tables already."""
    home.mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(migrated_file, home / "homeostat.db")
    return home


@pytest.fixture
def told(tmp_path, migrated_file):
    return settings.Settings(home=with_tables(tmp_path / "home", migrated_file))


@pytest.fixture
def opened(told):
    with house.open_house(told) as one:
        yield one


@pytest.fixture
def app(opened):
    made = local.build(opened)
    yield made
    made.close()


@pytest.fixture
def client(told):
    with local.open_client(told) as one:
        yield one


@pytest.fixture
def actor():
    return access.local_owner("ada")


@pytest.fixture
def record(actor):
    """Return a function that records one event in an open house."""

    def recording(opened, *, kind="thing.happened", subject="model:x"):
        return opened.write(
            lambda tx: events.record(tx, actor, kind, subject=subject, facts={"n": 1})
        )

    return recording


def has_ended(process) -> bool:
    """Give a process a moment; true when it is over."""
    try:
        process.wait(PAUSE_S)
    except subprocess.TimeoutExpired:
        return False
    return True


class Server:
    """A real server process over a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = listening.port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOMEOSTAT_")}
        environment["HOMEOSTAT_HOME"] = str(home)
        self.process = nursery.start(
            ["server", "--port", str(self.port)],
            environment=environment,
            folder=home.parent,
            stderr=subprocess.PIPE,
        )

    def wait(self) -> None:
        deadline = time.monotonic() + READY_S
        while not ports.is_well("127.0.0.1", self.port):
            assert not has_ended(self.process), self.process.stderr.read().decode()
            assert time.monotonic() < deadline, "the server did not come up"

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=READY_S)
        return self.process.returncode


@pytest.fixture
def server(tmp_path, migrated_file):
    one = Server(with_tables(tmp_path / "home", migrated_file))
    one.wait()
    yield one
    one.stop()


@pytest.fixture
def start_server():
    """Return a function that starts a server over a home; all are stopped at the end."""
    started = []

    def start(home):
        started.append(Server(home))
        started[-1].wait()
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory, migrated_file):
    """A server that tests only read from."""
    one = Server(with_tables(tmp_path_factory.mktemp("shared") / "home", migrated_file))
    one.wait()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def module_server(tmp_path_factory, migrated_file):
    """A server that the tests of one module may write to."""
    one = Server(with_tables(tmp_path_factory.mktemp("module") / "home", migrated_file))
    one.wait()
    yield one
    one.stop()


@pytest.fixture
def remote(shared_server):
    with local.connect(shared_server.url) as one:
        yield one

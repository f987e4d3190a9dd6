"""What stock MLflow clients do works here: each scenario, with the newest client and with 2.22.

`tools/setup.sh mlflow3` and `mlflow2` make their environments; `make test` calls both. One
process for each client plays all scenarios against a server of its own; 2.22 signs in with a
user's name and a key, as where sign-in is configured.
"""

from __future__ import annotations

import ast
import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

import listening
import nursery
from homeostat.doors import local
from homeostat.doors.cli import ports
from homeostat.foundation import settings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOST = "127.0.0.1"
READY_S = 120
PLAYED_S = 600


class Client(NamedTuple):
    """A stock client: its environment, and how it signs in."""

    name: str
    credentials: str = ""


CLIENTS = (Client("mlflow3"), Client("mlflow2", credentials="basic"))
SIGNED_IN = Client("mlflow3", credentials="bearer")
FEW = (
    "what_the_fluent_api_logs_comes_back",
    "text_and_dicts_are_read_back",
    "a_model_loads_by_every_address_it_has",
    "a_traced_call_is_kept_and_found",
)


def scenarios():
    """Return each client with each scenario it can play, without importing what needs it."""
    return [
        pytest.param(client, node.name, id=f"{client.name}-{node.name}")
        for path in sorted(HERE.glob("scenarios_*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        for client in CLIENTS
        if client.name == "mlflow3" or "newest" not in map(ast.unparse, node.decorator_list)
    ]


class Server:
    """A real server process over a home of its own."""

    def __init__(self, place, *, sign_in):
        self.port = listening.port()
        self.url = f"http://{HOST}:{self.port}"
        self._told = settings.Settings(home=place / "home")
        known = {n: v for n, v in os.environ.items() if not n.startswith("HOMEOSTAT_")}
        known |= {
            "HOMEOSTAT_HOME": str(self._told.home),
            "HOMEOSTAT_SIGN_IN": "keys" if sign_in else "off",
        }
        self.process = nursery.start(
            ["server", "--port", str(self.port)],
            environment=known,
            folder=place,
            stderr=subprocess.DEVNULL,
        )

    def key(self):
        with local.open_client(self._told) as client:
            return client.access.create("stock", role="contributor").secret

    def __enter__(self):
        deadline = time.monotonic() + READY_S
        while not ports.is_well(HOST, self.port):
            assert self.process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not come up"
            time.sleep(0.05)  # state of another process
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(READY_S)


def play(client, place, *wanted):
    """Play scenarios with a stock client against a fresh server; return its results."""
    python = ROOT / f".venv-{client.name}" / "bin" / "python"
    assert python.exists(), f"run tools/setup.sh {client.name}"
    place.mkdir(parents=True)
    results = place / "results.json"
    quiet = ("MLFLOW_", "HOMEOSTAT_", "PYTEST_")
    known = {n: v for n, v in os.environ.items() if not n.startswith(quiet)}
    with Server(place, sign_in=bool(client.credentials)) as server:
        if client.credentials == "bearer":
            known["MLFLOW_TRACKING_TOKEN"] = server.key()
        elif client.credentials == "basic":
            known["MLFLOW_TRACKING_USERNAME"] = "ada"
            known["MLFLOW_TRACKING_PASSWORD"] = server.key()
        done = subprocess.run(
            [python, HERE / "stock.py", server.url, results, *wanted],
            env=known,
            cwd=place,
            capture_output=True,
            check=False,
            text=True,
            timeout=PLAYED_S,
        )
    assert done.returncode == 0, done.stderr[-4000:]
    return {one["name"]: one for one in json.loads(results.read_bytes())["scenarios"]}


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder that the workers of this session share."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = tmp_path_factory.getbasetemp().parent / f"clients-{run}"
    folder.mkdir(exist_ok=True)
    return folder


def played(client, folder, *wanted):
    """Return the results of a client, which plays once a session."""
    what = f"{client.name}{client.credentials}"
    kept = folder / f"{what}.json"
    with (folder / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_text(json.dumps(play(client, folder / what, *wanted)))
    return json.loads(kept.read_text())


@pytest.mark.parametrize(("client", "scenario"), scenarios())
def test_a_stock_client_finds_what_it_knows_from_mlflow(client, scenario, shared):
    found = played(client, shared)[scenario]
    assert found["ok"], found["why"]


def test_the_newest_client_signs_in_with_a_token(shared):
    found = played(SIGNED_IN, shared, *FEW)
    assert sorted(found) == sorted(FEW)
    assert [one["why"] for one in found.values() if not one["ok"]] == []


def test_a_client_with_a_wrong_key_is_told_so(tmp_path):
    python = ROOT / ".venv-mlflow3" / "bin" / "python"
    script = (
        "import mlflow\n"
        "try:\n    mlflow.MlflowClient().get_experiment('0')\n"
        "except mlflow.exceptions.MlflowException as error:\n"
        "    print(error.error_code, error)\n"
    )
    with Server(tmp_path, sign_in=True) as server:
        known = {n: v for n, v in os.environ.items() if not n.startswith("MLFLOW_")}
        known |= {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_TRACKING_TOKEN": "hs_wrong"}
        done = subprocess.run(
            [python, "-c", script], env=known, capture_output=True, check=True, text=True
        )
    assert "unknown, expired or revoked" in done.stdout

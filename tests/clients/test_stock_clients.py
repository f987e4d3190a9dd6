"""What stock MLflow clients do works here: each scenario, with the newest client and with 2.22.

`tools/setup.sh mlflow3` and `mlflow2` make their environments; `make test` calls both. One
process for each client plays all scenarios against a server of its own; 2.22 signs in with a
user's name and a key, as where sign-in is configured, and the newest then plays a few against a
second server, where it signs in with a token.
"""

from __future__ import annotations

import ast
import contextlib
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
    """A stock client: its environment, how it signs in, and what it plays if not all."""

    name: str
    credentials: str = ""
    wanted: tuple[str, ...] = ()


CLIENTS = (Client("mlflow3"), Client("mlflow2", credentials="basic"))
SIGNED_IN = Client(
    "mlflow3",
    credentials="bearer",
    wanted=(
        "what_the_fluent_api_logs_comes_back",
        "text_and_dicts_are_read_back",
        "a_model_loads_by_every_address_it_has",
        "a_traced_call_is_kept_and_found",
        "a_client_with_a_wrong_key_is_told_so",
    ),
)


def scenarios():
    """Return each client with each scenario it can play, without importing what needs it."""
    return [
        pytest.param(client, node.name, id=f"{client.name}-{node.name}")
        for path in sorted(HERE.glob("scenarios_*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        for client in CLIENTS
        if can_play(client, {ast.unparse(one) for one in node.decorator_list})
    ]


def can_play(client, marks):
    """Whether a client can play a scenario with these marks of `asking`."""
    return ("newest" not in marks or client.name == "mlflow3") and (
        "signed_in" not in marks or bool(client.credentials)
    )


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


def credentials(client, server):
    """What a client's environment says of who it is."""
    if client.credentials == "bearer":
        return {"MLFLOW_TRACKING_TOKEN": server.key()}
    if client.credentials == "basic":
        return {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": server.key()}
    return {}


def play(name, place):
    """Let one process take the turns of an environment, each against a fresh server."""
    python = ROOT / f".venv-{name}" / "bin" / "python"
    assert python.exists(), f"run tools/setup.sh {name}"
    quiet = ("MLFLOW_", "HOMEOSTAT_", "PYTEST_")
    known = {n: v for n, v in os.environ.items() if not n.startswith(quiet)}
    turns = []
    with contextlib.ExitStack() as leaving:
        for client in (one for one in (*CLIENTS, SIGNED_IN) if one.name == name):
            folder = place / (client.credentials or "open")
            folder.mkdir(parents=True)
            server = leaving.enter_context(Server(folder, sign_in=bool(client.credentials)))
            turns.append(
                {
                    "url": server.url,
                    "environment": credentials(client, server),
                    "results": str(place / f"{client.credentials}.json"),
                    "wanted": client.wanted,
                }
            )
        (place / "turns.json").write_text(json.dumps(turns))
        done = subprocess.run(
            [python, HERE / "stock.py", place / "turns.json"],
            env=known,
            cwd=place,
            capture_output=True,
            check=False,
            text=True,
            timeout=PLAYED_S,
        )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder that the workers of this session share."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = tmp_path_factory.getbasetemp().parent / f"clients-{run}"
    folder.mkdir(exist_ok=True)
    return folder


def played(client, folder):
    """Return the results of a client; those of one environment play once a session."""
    place = folder / client.name
    with (folder / f"{client.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            play(client.name, place)
    found = json.loads((place / f"{client.credentials}.json").read_bytes())
    return {one["name"]: one for one in found["scenarios"]}


@pytest.mark.parametrize(("client", "scenario"), scenarios())
def test_a_stock_client_finds_what_it_knows_from_mlflow(client, scenario, shared):
    found = played(client, shared)[scenario]
    assert found["ok"], found["why"]


def test_the_newest_client_signs_in_with_a_token(shared):
    found = played(SIGNED_IN, shared)
    assert sorted(found) == sorted(SIGNED_IN.wanted)
    assert [one["why"] for one in found.values() if not one["ok"]] == []

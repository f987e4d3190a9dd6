"""Measures requests per second of MLflow's protocol: this server against `mlflow server`.

Both keep a SQLite file in the same folder and answer the same requests, in alternation, from
one keep-alive client that costs less than either. The peer runs from `.venv-mlflow3`
(`tools/setup.sh mlflow3`) with uvloop and httptools, as fast as it gets.

    python benchmarks/tracking.py [--seconds 1.0] [--rounds 3] [--conc 1,8,32] [--ops ...]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import psutil

import machine
from homeostat.doors.cli import ports
from homeostat.foundation import clock

API = "/api/2.0/mlflow"
PEER = pathlib.Path(".venv-mlflow3/bin/mlflow")
# Floors by clients; the rest is measured with one client.
FLOORS = {
    ("create_run", 1): 10,
    ("create_run", 8): 50,
    ("create_run", 32): 90,
    ("log_metric", 1): 10,
    ("log_metric", 8): 50,
    ("log_metric", 32): 90,
    ("log_batch_1000", 1): 14,
    ("get_run", 1): 35,
    ("get_history", 1): 25,
    ("create_version", 1): 30,
    ("search", 1): 35,
}


class Wire:
    """One keep-alive connection, one request at a time."""

    async def open(self, port):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    async def ask(self, method, path, body=b""):
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        if method != "GET":
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.writer.write(head.encode() + b"\r\n" + body)
        answered = await self.reader.readuntil(b"\r\n\r\n")
        size = int(answered.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        content = await self.reader.readexactly(size)
        if answered[9:12] != b"200":
            raise RuntimeError(f"{method} {path}: {answered[:15]} {content[:200]}")
        return content

    async def call(self, method, path, given=None):
        body = b"" if given is None else json.dumps(given).encode()
        return json.loads(await self.ask(method, API + path, body))


class Side:
    """One server with what the loads use in it."""

    def __init__(self, name, port):
        self.name, self.port, self.clock = name, port, clock.now_ms()

    def tick(self):
        self.clock += 1
        return self.clock

    async def furnish(self):
        wire = await Wire().open(self.port)
        self.experiment = (await wire.call("POST", "/experiments/create", {"name": "bench"}))[
            "experiment_id"
        ]
        self.runs = [await self.seed(wire, i) for i in range(200)]
        points = [{"key": "loss", "value": 1 / (i + 1), "timestamp": i, "step": i}
                  for i in range(5000)]  # fmt: skip
        for first in range(0, 5000, 1000):
            batch = {"run_id": self.runs[0], "metrics": points[first : first + 1000]}
            await wire.call("POST", "/runs/log-batch", batch)
        await wire.call("POST", "/registered-models/create", {"name": "credit"})

    async def seed(self, wire, i):
        new = {"experiment_id": self.experiment, "start_time": self.tick(), "run_name": f"r{i}"}
        run_id = (await wire.call("POST", "/runs/create", new))["run"]["info"]["run_id"]
        kept = {
            "metrics": [
                {"key": f"m{k}", "value": (i * 7919 + k) % 1000 / 1000, "timestamp": 1}
                for k in range(5)
            ],
            "params": [{"key": f"p{k}", "value": str((i + k) % 10)} for k in range(5)],
            "tags": [{"key": "team", "value": f"t{i % 3}"}],
        }
        await wire.call("POST", "/runs/log-batch", {"run_id": run_id, **kept})
        return run_id

    def create_run(self, _):
        return (
            "POST",
            "/runs/create",
            {
                "experiment_id": self.experiment,
                "start_time": self.tick(),
                "run_name": "b",
                "tags": [{"key": "mlflow.user", "value": "u"}],
            },
        )

    def log_metric(self, i):
        point = {"key": "m0", "value": 0.5, "timestamp": self.tick(), "step": 0}
        return "POST", "/runs/log-metric", {"run_id": self.runs[i], **point}

    def log_batch_1000(self, i):
        at = self.tick()
        points = [
            {"key": f"m{k % 10}", "value": k / 7, "timestamp": at, "step": k // 10}
            for k in range(1000)
        ]
        return "POST", "/runs/log-batch", {"run_id": self.runs[i], "metrics": points}

    def get_run(self, _):
        return "GET", f"/runs/get?run_id={self.runs[199]}", None

    def get_history(self, _):
        return "GET", f"/metrics/get-history?run_id={self.runs[0]}&metric_key=loss", None

    def create_version(self, _):
        source = f"mlflow-artifacts:/{self.experiment}/{self.runs[0]}/artifacts/model"
        new = {"name": "credit", "source": source, "run_id": self.runs[0]}
        return "POST", "/model-versions/create", new

    def search(self, _):
        return (
            "POST",
            "/runs/search",
            {
                "experiment_ids": [self.experiment],
                "filter": "metrics.m1 > 0.5 and params.p0 = '3'",
                "order_by": ["metrics.m0 ASC"],
                "max_results": 50,
            },
        )


async def rate(side, name, *, clients, seconds):
    """Return answers per second."""
    end = time.perf_counter() + seconds
    n = 0

    async def client(i):
        nonlocal n
        wire = await Wire().open(side.port)
        while time.perf_counter() < end:
            method, path, given = getattr(side, name)(i)
            await wire.ask(
                method, API + path, b"" if given is None else json.dumps(given).encode()
            )
            n += 1
        wire.writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client(i) for i in range(clients)))
    return n / (time.perf_counter() - began)


async def compare(peer, ours, given):
    for side in (peer, ours):
        await side.furnish()
    print(
        f"{'operation':16}{'clients':>8}{'mlflow/s':>12}{'ours/s':>12}{'ratio':>9}{'floor':>7}"
    )
    for (name, clients), floor in FLOORS.items():
        if clients not in given.conc or (given.ops and name not in given.ops):
            continue
        seen = {peer: [], ours: []}
        for turn in range(given.rounds):
            for side in (peer, ours) if turn % 2 == 0 else (ours, peer):
                seen[side].append(
                    await rate(side, name, clients=clients, seconds=given.seconds)
                )
        theirs, mine = (statistics.median(seen[side]) for side in (peer, ours))
        verdict = "" if mine / theirs >= floor else "  MISSED"
        print(
            f"{name:16}{clients:8}{theirs:12,.1f}{mine:12,.1f}"
            f"{mine / theirs:8.1f}x{floor:6}x{verdict}"
        )


def check_peer():
    """Refuse to measure against a peer that is slower than it could be."""
    if not PEER.exists():
        raise SystemExit("no .venv-mlflow3 here; run tools/setup.sh mlflow3")
    for module in ("uvloop", "httptools"):
        asked = [str(PEER.with_name("python")), "-c", f"import {module}"]
        if subprocess.run(asked, stderr=subprocess.DEVNULL, check=False).returncode:
            raise SystemExit(
                f".venv-mlflow3 has no {module}, with which `mlflow server` is at its fastest, "
                "and a slower peer would flatter us; run tools/setup.sh mlflow3, or "
                ".venv-mlflow3/bin/pip install uvloop httptools"
            )


def start(name, command, folder, environment):
    port = ports.free("127.0.0.1")
    words = [word.format(port=port, folder=folder) for word in command]
    log = (folder / f"{name}.log").open("wb")
    started = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, **environment})
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
        except (urllib.error.URLError, OSError):
            if started.poll() is not None:
                raise SystemExit(f"{name} did not start; see {log.name}") from None
            time.sleep(0.1)
        else:
            return started, Side(name, port)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--conc", type=lambda t: [int(x) for x in t.split(",")], default=[1, 8, 32]
    )
    parser.add_argument("--ops", type=lambda t: t.split(","), default=[])
    given = parser.parse_args()
    check_peer()
    print(machine.facts())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        stock = [
            *(str(PEER), "server", "--host", "127.0.0.1", "--port", "{port}"),
            *("--backend-store-uri", "sqlite:///{folder}/peer.db"),
            *("--artifacts-destination", "{folder}/peer"),
        ]
        own = [
            str(pathlib.Path(sys.executable).with_name("homeostat")),
            "server",
            "--port",
            "{port}",
        ]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true"}
        one, peer = start("mlflow", stock, folder, quiet)
        two, ours = start("ours", own, folder, {"HOMEOSTAT_HOME": str(folder / "home")})
        try:
            asyncio.run(compare(peer, ours, given))
            rss = psutil.Process(two.pid).memory_info().rss / 2**20
            print(machine.against("server memory afterwards", rss, 150, "MB"))
        finally:
            for process in (one, two):
                process.terminate()
                process.wait(20)


if __name__ == "__main__":
    main()

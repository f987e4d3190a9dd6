"""64 clients of MLflow's protocol at once: nothing fails, nothing acknowledged is lost.

A few seconds in the tests; HOMEOSTAT_TEST_LOAD_S=60 goes on for a minute.
"""

from __future__ import annotations

import asyncio
import collections
import os
import signal
import subprocess
import sys
import time

import httpx
import numpy as np
import psutil
import pytest

import listening
from homeostat.doors.cli import ports

HOST = "127.0.0.1"
API = "/api/2.0/mlflow"
N_CLIENTS = 64
SECONDS = float(os.environ.get("HOMEOSTAT_TEST_LOAD_S", "4"))
READY_S = 120
PATIENCE_S = 60.0
N_POINTS = 25
N_WAYS = 12  # that each client goes at least, however slow the machine
MOST_MEMORY_BYTES = 400 * 2**20


@pytest.fixture
def server(tmp_path):
    """A real server process; yields its address and process."""
    port = listening.port()
    known = {n: v for n, v in os.environ.items() if not n.startswith("HOMEOSTAT_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "homeostat.doors.cli.child", str(os.getpid()), "server"],
        env=known | {"HOMEOSTAT_HOME": str(tmp_path / "home"), "HOMEOSTAT_PORT": str(port)},
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + READY_S
    while not ports.is_well(HOST, port):
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server did not come up"
        time.sleep(0.05)  # state of another process
    yield f"http://{HOST}:{port}", process
    process.send_signal(signal.SIGTERM)
    assert process.wait(READY_S) == 0


class Caller:
    """One client with one kept connection; does one thing after the other, at random."""

    def __init__(self, url, number, experiment_id):
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        self.http = httpx.AsyncClient(
            base_url=url, limits=limits, timeout=PATIENCE_S, trust_env=False
        )
        self.number = number
        self.experiment_id = experiment_id
        self.chance = np.random.default_rng(number)
        self.done = collections.Counter()
        self.wrong = []
        self.runs = {}
        self.params = {}
        self.files = {}
        self.model = f"load-{number}"
        self.n_versions = 0

    async def ask(self, method, path, *, expect=200, **given):
        answer = await self.http.request(method, path, **given)
        if answer.status_code != expect:
            said = f"{method} {path}: {answer.status_code}, not {expect}: {answer.text[:200]}"
            self.wrong.append(said)
        return answer

    async def live(self, until):
        ways = [
            *[self.log_batch] * 6,
            *[self.log_metric] * 4,
            *[self.mistake] * 4,
            *[self.read] * 3,
            *[self.history] * 2,
            *[self.search] * 2,
            *[self.file] * 2,
            self.log_parameter,
            self.version,
            self.new_run,
        ]
        await self.new_run()
        while time.monotonic() < until or self.done.total() < N_WAYS:
            way = ways[self.chance.integers(len(ways))]
            await way()
            self.done[way.__name__] += 1

    def any_run(self):
        return list(self.runs)[self.chance.integers(len(self.runs))]

    async def new_run(self):
        told = {"experiment_id": self.experiment_id, "start_time": 1}
        made = await self.ask("POST", f"{API}/runs/create", json=told)
        self.runs[made.json()["run"]["info"]["run_id"]] = set()

    async def log_batch(self):
        run_id = self.any_run()
        known = self.runs[run_id]
        points = [(f"m{self.number}", len(known) + i, float(i) / 3) for i in range(N_POINTS)]
        metrics = [{"key": k, "value": v, "timestamp": s, "step": s} for k, s, v in points]
        told = {"run_id": run_id, "metrics": metrics, "tags": [{"key": "t", "value": "1"}]}
        answer = await self.ask("POST", f"{API}/runs/log-batch", json=told)
        if answer.status_code == 200:
            known.update((step, value) for _, step, value in points)

    async def log_metric(self):
        run_id = self.any_run()
        step = len(self.runs[run_id])
        point = {"key": f"m{self.number}", "value": 0.5, "timestamp": step, "step": step}
        answer = await self.ask(
            "POST", f"{API}/runs/log-metric", json={"run_id": run_id, **point}
        )
        if answer.status_code == 200:
            self.runs[run_id].add((step, 0.5))

    async def log_parameter(self):
        run_id = self.any_run()
        told = {"run_id": run_id, "key": f"p{len(self.params)}", "value": "x"}
        answer = await self.ask("POST", f"{API}/runs/log-parameter", json=told)
        if answer.status_code == 200:
            self.params[run_id, told["key"]] = "x"

    async def mistake(self):
        """Ask for what cannot be, so that it sits in the same commit as others' good writes."""
        run_id = self.any_run()
        where = f"{API}/runs/log-batch"
        bad = {"run_id": run_id, "metrics": [{"key": "../m", "value": 1, "timestamp": 1}]}
        kind = self.chance.integers(6)
        if kind == 0:
            await self.ask("POST", where, json=bad, expect=400)
        elif kind == 1:
            await self.ask("POST", where, content=b"{", expect=400)
        elif kind == 2:
            await self.ask("GET", f"{API}/runs/get", params={"run_id": "0" * 32}, expect=404)
        elif kind == 3:
            told = {"name": "taken"}
            await self.ask("POST", f"{API}/experiments/create", json=told, expect=400)
        elif kind == 4:
            told = {"run_id": "0" * 32, "key": "m", "value": 1, "timestamp": 1}
            await self.ask("POST", f"{API}/runs/log-metric", json=told, expect=404)
        else:
            # Right in form and refused inside the writer's transaction.
            await self.change_a_parameter()

    async def change_a_parameter(self):
        if not self.params:
            return
        run_id, key = list(self.params)[self.chance.integers(len(self.params))]
        told = {"run_id": run_id, "key": key, "value": "other"}
        await self.ask("POST", f"{API}/runs/log-parameter", json=told, expect=400)

    async def read(self):
        run_id = self.any_run()
        n_known = len(self.runs[run_id])
        found = await self.ask("GET", f"{API}/runs/get", params={"run_id": run_id})
        latest = found.json()["run"]["data"].get("metrics", [])
        if n_known and latest[0]["step"] != n_known - 1:
            self.wrong.append(f"{run_id} shows step {latest[0]['step']}, not {n_known - 1}")

    async def history(self):
        run_id = self.any_run()
        found = await self.points(run_id)
        if found != self.runs[run_id]:
            self.wrong.append(f"{run_id} has {len(found)}, not {len(self.runs[run_id])} points")

    async def points(self, run_id):
        asked = {"run_id": run_id, "metric_key": f"m{self.number}"}
        found = await self.ask("GET", f"{API}/metrics/get-history", params=asked)
        return {(one["step"], one["value"]) for one in found.json().get("metrics", [])}

    async def search(self):
        told = {
            "experiment_ids": [self.experiment_id],
            "filter": f"metrics.m{self.number} >= 0 AND tags.t = '1'",
            "order_by": [f"metrics.m{self.number} DESC"],
            "max_results": 20,
        }
        await self.ask("POST", f"{API}/runs/search", json=told)

    async def file(self):
        run_id = self.any_run()
        path = f"{self.experiment_id}/{run_id}/artifacts/f{len(self.files)}.bin"
        where = f"/api/2.0/mlflow-artifacts/artifacts/{path}"
        data = self.chance.bytes(int(self.chance.integers(1, 200_000)))
        answer = await self.ask("PUT", where, content=data)
        if answer.status_code == 200:
            self.files[where] = data
        got = await self.ask("GET", where)
        if got.content != data:
            self.wrong.append(f"{where} came back as {len(got.content)} other bytes")

    async def version(self):
        if not self.n_versions:
            told = {"name": self.model}
            await self.ask("POST", f"{API}/registered-models/create", json=told)
        told = {"name": self.model, "source": "s3://bucket/model"}
        made = await self.ask("POST", f"{API}/model-versions/create", json=told)
        self.n_versions += 1
        if made.json()["model_version"]["version"] != str(self.n_versions):
            self.wrong.append(f"{self.model} got another number than {self.n_versions}")
        told = {"name": self.model, "alias": "champion", "version": str(self.n_versions)}
        await self.ask("POST", f"{API}/registered-models/alias", json=told)
        asked = {"name": self.model, "alias": "champion"}
        found = await self.ask("GET", f"{API}/registered-models/alias", params=asked)
        if found.json()["model_version"]["version"] != str(self.n_versions):
            self.wrong.append(f"the alias of {self.model} is not where it was set")

    async def audit(self):
        """Look for everything that was acknowledged."""
        for run_id, known in self.runs.items():
            found = await self.points(run_id)
            if found != known:
                self.wrong.append(
                    f"{run_id}: {len(known - found)} acknowledged points are lost"
                )
        for run_id in {run_id for run_id, _ in self.params}:
            answer = await self.ask("GET", f"{API}/runs/get", params={"run_id": run_id})
            kept = {p["key"]: p["value"] for p in answer.json()["run"]["data"]["params"]}
            due = {key: value for (run, key), value in self.params.items() if run == run_id}
            if kept != due:
                self.wrong.append(f"{run_id} keeps other params than were acknowledged")
        for where, data in self.files.items():
            if (await self.ask("GET", where)).content != data:
                self.wrong.append(f"{where} is not what was acknowledged")


async def load(url):
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as http:
        made = await http.post(f"{API}/experiments/create", json={"name": "taken"})
    callers = [Caller(url, n, made.json()["experiment_id"]) for n in range(N_CLIENTS)]
    until = time.monotonic() + SECONDS
    await asyncio.gather(*(one.live(until) for one in callers))
    await asyncio.gather(*(one.audit() for one in callers))
    await asyncio.gather(*(one.http.aclose() for one in callers))
    return callers


def test_64_clients_at_once_lose_nothing_and_never_fail_each_other(server):
    url, process = server
    callers = asyncio.run(load(url))
    wrong = [said for one in callers for said in one.wrong]
    assert wrong == [], wrong[:20]
    done = sum((one.done for one in callers), collections.Counter())
    assert {"log_batch", "mistake", "read", "search", "file", "version"} <= set(done)
    assert sum(len(known) for one in callers for known in one.runs.values()) > 100
    assert psutil.Process(process.pid).memory_info().rss < MOST_MEMORY_BYTES

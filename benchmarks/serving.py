"""Measures predictions per CPU-second: this server against MLflow, LitServe, BentoML.

All answer the same rows by the same scikit-learn pipeline, one row a request, in alternation,
from one closed-loop client with 64 kept connections. Ours has a canary of 10 % and its log on;
CPU is counted over a server's whole process tree. The peers run from an environment of theirs
(``pip install mlflow litserve bentoml scikit-learn pandas uvloop httptools``):

    python benchmarks/serving.py --peers PATH/TO/ENVIRONMENT [--model hgb|linear]
        [--against mlflow,litserve,bentoml,plain,shadow,two] [--connections 64] [--hold]
        [--rows-per-request 1]

``plain`` is this server with neither canary nor shadow and a log that is tried only
(``--log none``); ``shadow`` adds a shadow of 10 %, ``two`` a second worker. Where the client
takes a core of its own, two workers show in requests of many rows.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import msgspec
import numpy as np
import polars as pl
import psutil
import uvloop
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that spin only fight

import machine
from homeostat.doors import local
from homeostat.doors.cli import ports
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.evaluation import exam, gates
from homeostat.lifecycle.registry import files as trees
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.serving.entities import Arm, Member, Plan, Shadow

NUMBERS = [f"n{at:02d}" for at in range(20)]
CATEGORIES = {
    "c0": ["a", "b", "c"],
    "c1": [f"k{at}" for at in range(10)],
    "c2": ["red", "green", "blue", "black"],
    "c3": [f"z{at:02d}" for at in range(30)],
}
AWAY = "stop the servers that take the log over, as if they had a machine of their own"
POLICY = '[model]\nname = "bench"\ntarget = "y"\ntier = "low"\n[gates]\nat_least = 0.5\n'
FLOORS = {"mlflow": 25.0, "litserve": 2.5, "bentoml": 4.0}
LITSERVE = """
import mlflow, pandas as pd, litserve as ls
class Api(ls.LitAPI):
    def setup(self, device): self.model = mlflow.sklearn.load_model({model!r})
    def decode_request(self, request): return request["row"]
    def batch(self, rows): return pd.DataFrame(rows)
    def predict(self, rows): return self.model.predict_proba(rows)[:, 1].tolist()
    def unbatch(self, found): return found
    def encode_response(self, found): return {{"score": found}}
if __name__ == "__main__":
    api = Api(max_batch_size=64, batch_timeout=0.002, api_path="/predict")
    ls.LitServer(api, workers_per_device=2).run(
        host="127.0.0.1", port={port}, num_api_servers=1, log_level="error")
"""
BENTOML = """
import bentoml, mlflow, pandas as pd
@bentoml.service(workers=2, traffic={{"timeout": 30}})
class Bench:
    def __init__(self): self.model = mlflow.sklearn.load_model({model!r})
    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, rows: list[dict]) -> list[float]:
        return self.model.predict_proba(pd.DataFrame(rows))[:, 1].tolist()
"""


def table(n, seed):
    rng = np.random.default_rng(seed)
    numbers = {name: rng.normal(size=n) for name in NUMBERS}
    return pl.DataFrame(numbers | {k: rng.choice(v, n) for k, v in CATEGORIES.items()})


def model_files(kind, seed):
    """Files of a pipeline in MLflow's format; the twin is made where it can be."""
    rows = table(4000, seed)
    signal_ = (rows["n00"] + rows["n01"] * rows["n02"] + (rows["c0"] == "a")).to_numpy()
    target = (signal_ + np.random.default_rng(seed).normal(size=len(rows)) > 0.3).astype(int)
    if kind == "hgb":
        encode = make_column_transformer(
            (
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                list(CATEGORIES),
            ),
            remainder="passthrough",
        )
        model = make_pipeline(encode, HistGradientBoostingClassifier(random_state=seed))
    else:
        encode = make_column_transformer(
            (StandardScaler(), NUMBERS),
            (OneHotEncoder(handle_unknown="ignore"), list(CATEGORIES)),
        )
        model = make_pipeline(encode, LogisticRegression(max_iter=1000))
    model.fit(rows.to_pandas(), target)
    columns = [Column(name=name, kind="number") for name in NUMBERS]
    columns += [
        Column(name=name, kind="category", categories=tuple(values))
        for name, values in CATEGORIES.items()
    ]
    return folder.pack(model, schema=Schema(tuple(columns)), example=rows, target="y")


def bodies(kind, port, n_rows=1):
    """64 requests of so many rows as bytes on the wire."""
    made = []
    for part in table(64 * n_rows, 7).iter_slices(n_rows):
        columns, rows = part.to_dict(as_series=False), part.to_dicts()
        path = "/v2/models/bench/infer"
        if kind == "v2":
            body = {
                "inputs": [
                    {
                        "name": name,
                        "shape": [n_rows],
                        "datatype": "BYTES" if name in CATEGORIES else "FP64",
                        "data": values,
                    }
                    for name, values in columns.items()
                ]
            }
        elif kind == "split":
            path = "/invocations"
            body = {"dataframe_split": {"columns": part.columns, "data": part.rows()}}
        elif kind == "row":
            path, body = "/predict", {"row": rows[0]}
        else:
            path, body = "/predict", {"rows": rows}
        raw = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
            f"content-type: application/json\r\naccept: application/json\r\n"
            f"content-length: {len(raw)}\r\n\r\n"
        )
        made.append(head.encode() + raw)
    return made


class Caller(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, load):
        self.load, self.buffer = load, b""

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self):
        self.began = time.perf_counter()
        self.transport.write(self.load.bodies[next(self.load.turn) % 64])

    def data_received(self, data):
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        place = head.find(b"content-length:")
        if place < 0:
            whole = self.buffer.endswith(b"0\r\n\r\n")
        else:
            size = int(head[place + 15 :].split(b"\r\n", 1)[0])
            whole = len(self.buffer) >= end + 4 + size
        if not whole:
            return
        if self.buffer[9:12] == b"200":
            self.load.seconds.append(time.perf_counter() - self.began)
        else:
            self.load.failures.append(self.buffer[:300])
        self.buffer = b""
        if self.load.going:
            self.ask()
        else:
            self.transport.close()


class Load:
    """A closed loop of `connections` for a while; what it found."""

    def __init__(self, side, connections, seconds):
        self.bodies, self.seconds, self.failures, self.going = side.bodies, [], [], True
        self.turn = itertools.count()
        began = side.cpu_s()
        uvloop.run(self.run(side.port, connections, seconds))
        self.cpu_s = side.cpu_s() - began
        self.per_cpu_s = len(self.seconds) / self.cpu_s if self.cpu_s else float("nan")
        self.per_s = len(self.seconds) / seconds

    async def run(self, port, connections, seconds):
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            await loop.create_connection(lambda: Caller(self), "127.0.0.1", port)
        await asyncio.sleep(seconds)
        self.going = False
        await asyncio.sleep(0.2)

    def quantile(self, q):
        return float(np.quantile(self.seconds, q)) * 1000 if self.seconds else float("nan")


class Side:
    """A server as a process tree."""

    def __init__(self, name, port, kind, argv, *, folder_, env=None):
        self.name, self.port = name, port
        self.kind = kind
        self.bodies = bodies(kind, port)
        self.told = (folder_ / f"{name}.log").open("ab")
        self.process = subprocess.Popen(
            argv,
            cwd=folder_,
            env=env,
            stdout=self.told,
            stderr=self.told,
            start_new_session=True,
        )

    def ask_for(self, n_rows):
        """Send requests of so many rows."""
        if self.kind == "row" and n_rows > 1:
            raise SystemExit(f"{self.name} takes one row a request")
        self.bodies = bodies(self.kind, self.port, n_rows)

    def cpu_s(self):
        total = 0.0
        top = psutil.Process(self.process.pid)
        for one in (top, *top.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                spent = one.cpu_times()
                total += spent.user + spent.system
        return total

    def wait(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, AssertionError):
                load = Load(self, 1, 0.3)
                if load.seconds and not load.failures:
                    return self
            time.sleep(0.5)
        raise SystemExit(f"{self.name} does not answer; see {self.told.name}")

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def ours(place, files, *, name="here", log=True, canary=True, shadow=False, workers=1):
    """Start a server with a deployment, and a prediction server that follows it."""
    home = place / name
    home.mkdir(mode=0o700)
    env = {k: v for k, v in os.environ.items() if not k.startswith("HOMEOSTAT_")}
    env["HOMEOSTAT_HOME"] = str(home)
    port = ports.free("127.0.0.1")
    command = [str(pathlib.Path(sys.executable).with_name("homeostat"))]
    main = subprocess.Popen(
        [*command, "server", "--port", str(port)],
        env=env,
        stderr=(place / f"{name}-server.log").open("ab"),
    )
    deadline = time.monotonic() + 60
    while not ports.is_well("127.0.0.1", port, timeout_s=0.2) and time.monotonic() < deadline:
        time.sleep(0.05)
    with local.connect(f"http://127.0.0.1:{port}") as client:
        for one in files:
            register(client, one)
        client.deployments.deploy("bench", policy=POLICY, version=1)
        if canary:
            arms = (
                Arm("stable", 0.9, (Member(1, 1.0),)),
                Arm("canary", 0.1, (Member(2, 1.0),)),
            )
            shadows = (Shadow(3, 0.1),) if shadow else ()
            plan = Plan(generation=2, arms=arms, shadow=shadows, salt="bench")
            client.deployments.set_plan("bench", plan, reason="what is measured")
    taken = ports.free("127.0.0.1")
    argv = [*command, "serve", "--port", str(taken), "--server", f"http://127.0.0.1:{port}"]
    argv += ["--log", "process" if log else "none"]
    if workers:
        argv += ["--workers", str(workers)]
    return Side(name, taken, "v2", argv, folder_=place, env=env), main


def register(client, files):
    taken = exam.sit([0, 1] * 50, [0.2, 0.8] * 50, rows="rows 0-99")
    rules = policies.parse(POLICY)
    report = client.reports.save(
        "bench",
        candidate=trees.tree_digest(trees.describe(files)),
        exam=taken,
        judged=gates.judge(taken, rules.gates),
        policy_digest=policies.digest(rules),
    )
    version = client.models.register(
        "bench", files, schema=folder.read(files).schema, report_id=report.id
    )
    client.models.approve("bench", version.number)


def peer(name, peers, model, place):
    """Start a peer, in its own way of serving a pipeline of MLflow's format."""
    port = ports.free("127.0.0.1")
    env = {**os.environ, "PATH": f"{peers / 'bin'}:{os.environ['PATH']}"}
    if name == "mlflow":
        argv = [peers / "bin/mlflow", "models", "serve", "-m", model, "-p", str(port)]
        argv += ["--env-manager", "local", "-w", "2"]
        return Side(name, port, "split", [str(one) for one in argv], folder_=place, env=env)
    script = place / f"{name}_service.py"
    text = LITSERVE if name == "litserve" else BENTOML
    script.write_text(text.format(model=str(model), port=port))
    argv = [str(peers / "bin/python"), str(script)]
    if name == "bentoml":
        argv = [str(peers / "bin/bentoml"), "serve", f"{script.stem}:Bench", "-p", str(port)]
    kind = "row" if name == "litserve" else "rows"
    return Side(name, port, kind, argv, folder_=place, env=env)


def compare(here, other, connections, *, rounds, seconds):
    """Load both in alternation and print the medians with their ratio."""
    found = {here: [], other: []}
    for side in (here, other):
        Load(side, connections, 1.0)
    for turn in range(rounds):
        for side in (here, other) if turn % 2 else (other, here):
            found[side].append(Load(side, connections, seconds))
    for side, loads in found.items():
        failed = sum(len(one.failures) for one in loads)
        print(
            f"  {connections:3d} {side.name:9s}"
            f" {statistics.median(one.per_cpu_s for one in loads):9.0f} a CPU-second"
            f" {statistics.median(one.per_s for one in loads):9.0f} a second"
            f"  p50 {statistics.median(one.quantile(0.5) for one in loads):7.2f} ms"
            f"  p99 {statistics.median(one.quantile(0.99) for one in loads):7.2f} ms"
            f"  failed {failed}"
        )
    ratios = [
        mine.per_cpu_s / theirs.per_cpu_s
        for mine, theirs in zip(found[here], found[other], strict=True)
    ]
    faster = [
        mine.per_s / theirs.per_s
        for mine, theirs in zip(found[here], found[other], strict=True)
    ]
    floor = FLOORS.get(other.name)
    needed = f" (floor {floor:g}x)" if floor else ""
    print(
        f"      against {other.name}: {statistics.median(ratios):.2f}x per CPU-second{needed},"
        f" {statistics.median(faster):.2f}x per second"
    )


def arguments():
    asked = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    asked.add_argument("--peers", type=pathlib.Path)
    asked.add_argument("--model", choices=["hgb", "linear"], default="hgb")
    asked.add_argument("--against", default="plain,shadow")
    asked.add_argument("--connections", default="64")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--seconds", type=float, default=4.0)
    asked.add_argument("--workers", type=int, default=1, help="0: as the command has it")
    asked.add_argument("--no-twin", action="store_true", help="let the originals answer")
    asked.add_argument("--rows-per-request", type=int, default=1)
    asked.add_argument("--away", action="store_true", help=AWAY)
    asked.add_argument("--hold", action="store_true", help="print addresses and wait")
    return asked.parse_args()


def opponent(name, told, files, place):
    """Start what is compared with: another way of running ours, or a peer."""
    ways = {
        "plain": {"log": False, "canary": False},
        "shadow": {"shadow": True},
        "two": {"workers": 2},
    }
    if name in ways:
        return ours(place, files, name=name, **ways[name])
    return (peer(name, told.peers.absolute(), place / "model", place),)


def main():
    told = arguments()
    print(machine.facts())
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as leaving:
        place = pathlib.Path(made)
        files = [model_files(told.model, seed) for seed in (1, 2, 3)]
        if told.no_twin:
            files = [without_twin(one) for one in files]
        folder.write_folder(files[0], place / "model")

        def start(side, main=None):
            leaving.callback(side.stop)
            if main is not None:
                leaving.callback(main.wait)
                leaving.callback(main.terminate)
            side.ask_for(told.rows_per_request)
            side.wait()
            if told.away and main is not None:
                main.send_signal(signal.SIGSTOP)
                leaving.callback(main.send_signal, signal.SIGCONT)
            return side

        here = start(*ours(place, files, workers=told.workers))
        print(f"memory of the workers: {memory(here)}")
        others = [
            start(*opponent(name, told, files, place))
            for name in told.against.split(",")
            if name
        ]
        if told.hold:
            for side in (here, *others):
                print(f"{side.name}: http://127.0.0.1:{side.port} pid {side.process.pid}")
            body = place / "body.json"
            body.write_bytes(here.bodies[0].split(b"\r\n\r\n", 1)[1])
            print(f"one request: {body}")
            input("Enter ends it ")
            return
        for other in others:
            for connections in map(int, told.connections.split(",")):
                compare(here, other, connections, rounds=told.rounds, seconds=told.seconds)


def without_twin(files):
    """Return the same model as its original alone."""
    described = msgspec.json.decode(files[folder.DESCRIPTION])
    described.pop("twin", None)
    kept = {path: data for path, data in files.items() if path != "model.onnx"}
    return kept | {folder.DESCRIPTION: msgspec.json.encode(described)}


def memory(side):
    top = psutil.Process(side.process.pid)
    found = [one.memory_info().rss // 2**20 for one in (top, *top.children(recursive=True))]
    return f"{found} MB, the supervisor first"


if __name__ == "__main__":
    main()

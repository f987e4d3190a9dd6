"""First pages of searches over many runs, through a real server.

    python benchmarks/search.py [--runs 100000] [--home DIR] [--rounds 15] [--experiments 1]
        [--writing]

The store is filled by bulk inserts, past the doors, in DIR; with runs in it already it is used
as it is. Each search is asked over one connection; the median and the slowest count, and the
first, which may read columns into memory. With `--writing` a run is logged before each. The
budgets are those of searches that filter on a metric and a param and order by a metric.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import sqlalchemy as sa

import machine
from homeostat.foundation.database import Database, Prepared, migrate
from homeostat.lifecycle.tracking import records

COMMAND = "from homeostat.doors.cli import main; main()"
PATIENCE_S = 60.0
BATCH = 20_000
PROJECT = "default"
FIRST_EXPERIMENT = 100
BEGAN_MS = 1_700_000_000_000
BUDGETS_MS = ((100_000, 20.0), (10_000_000, 60.0))
TABLES = (records.runs, records.metrics, records.latest_metrics, records.params, records.tags)

# What is drawn for a run: m0, m1 uniform; m2 has 10 values only; turned is m0 turned round, bin
# its first digit; every hundredth run has late.
SEARCHES = {
    "newest": ("", []),
    "by metric": ("", ["metrics.m0 DESC"]),
    "metric selective": ("metrics.m1 > 0.9995 AND params.p0 = '3'", ["metrics.m0 DESC"]),
    "param selective": ("metrics.m1 > 0.1 AND params.rare = 'r7'", ["metrics.m0 DESC"]),
    "both selective": ("metrics.m1 > 0.999 AND params.rare = 'r7'", ["metrics.m0 ASC"]),
    "neither": ("metrics.m1 > 0.1 AND params.p0 = '3'", ["metrics.m0 DESC"]),
    "a sixtieth": ("metrics.m1 > 0.83 AND params.p0 = '3'", ["metrics.m0 DESC"]),
    "middling": ("metrics.m1 > 0.97 AND params.p1 = '17'", ["metrics.m0 DESC"]),
    "middling, one": ("metrics.m1 > 0.5 AND params.p1 = '17'", ["metrics.m0 DESC"]),
    "same metric": ("metrics.m0 > 0.5 AND params.p0 = '3'", ["metrics.m0 ASC"]),
    "nothing, no value": ("metrics.m1 > 2 AND params.p0 = '3'", ["metrics.m0 DESC"]),
    "nothing together": ("metrics.m0 > 0.99 AND metrics.turned > 0.99", ["metrics.m1 DESC"]),
    "nothing, both wide": ("metrics.m0 > 0.7 AND metrics.turned > 0.7", ["metrics.m1 DESC"]),
    "opposite order": ("metrics.m0 > 0.5 AND params.p0 = '3'", ["metrics.turned DESC"]),
    "param of the metric": ("metrics.m0 > 0.5 AND params.bin = '2'", ["metrics.m1 DESC"]),
    "few together": ("metrics.m0 > 0.299 AND params.bin = '2'", ["metrics.m1 DESC"]),
    "unlike": ("metrics.m0 > 0.5 AND params.bin != '7'", ["metrics.m0 ASC"]),
    "begins with": ("metrics.m1 > 0.9 AND params.p1 LIKE '1%'", ["metrics.turned DESC"]),
    "few have the order": ("metrics.m1 > 0.5 AND params.p0 = '3'", ["metrics.late DESC"]),
    "no such status": ("metrics.m1 > 0.1 AND status = 'FAILED'", ["metrics.m0 DESC"]),
    "status alone": ("status = 'FAILED'", ["metrics.m0 DESC"]),
    "by end": ("metrics.m1 > 0.1", ["end_time DESC"]),
    "ties": ("metrics.m1 > 0.1", ["metrics.m2 DESC"]),
    "filter, newest": ("metrics.m1 > 0.9 AND params.p0 = '3'", []),
    "tag": ("tags.team = 't3' AND metrics.m1 < 0.2", ["metrics.m0 ASC"]),
    "by param": ("metrics.m1 > 0.1", ["params.p0 ASC"]),
    "two orders": ("metrics.m1 > 0.1", ["params.p0 ASC", "metrics.m0 DESC"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--experiments", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--page", type=int, default=50)
    parser.add_argument("--home", type=pathlib.Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--writing", action="store_true")
    asked = parser.parse_args()
    print(machine.facts())
    with contextlib.ExitStack() as stack:
        home = asked.home or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        began = time.perf_counter()
        if fill(home, n_runs=asked.runs, n_experiments=asked.experiments):
            print(f"{asked.runs} runs stored in {time.perf_counter() - began:.0f} s")
        connection = stack.enter_context(server(home))
        budget = next(ms for n, ms in BUDGETS_MS if asked.runs <= n)
        for name, (condition, order) in SEARCHES.items():
            if asked.only in name:
                body = {"filter": condition, "order_by": order, "max_results": asked.page}
                body["experiment_ids"] = experiments(asked.experiments)
                took = {
                    "rounds": asked.rounds,
                    "budget_ms": budget,
                    "is_writing": asked.writing,
                }
                measure(connection, name, body, **took)


def measure(
    connection: http.client.HTTPConnection,
    name: str,
    body: dict,
    *,
    rounds: int,
    budget_ms: float,
    is_writing: bool,
) -> None:
    """Ask one search a few times and print what it took."""
    taken, n_found = [], 0
    for _ in range(rounds):
        if is_writing:
            log_run(connection, body["experiment_ids"][0])
        began = time.perf_counter()
        n_found = len(search(connection, body).get("runs", []))
        taken.append((time.perf_counter() - began) * 1000)
    note = f"{n_found} runs, slowest {max(taken):.1f} ms, first {taken[0]:.1f} ms"
    print(machine.against(name, statistics.median(taken), budget_ms, "ms", note=note))


def search(connection: http.client.HTTPConnection, body: dict) -> dict:
    """Ask for a page."""
    return post(connection, "search", body)


def log_run(connection: http.client.HTTPConnection, experiment_id: str) -> None:
    """Start a run and log a metric and a param of it."""
    made = post(connection, "create", {"experiment_id": experiment_id})
    run_id = made["run"]["info"]["run_id"]
    point = {"key": "m1", "value": 0.95, "timestamp": 1, "step": 0}
    post(connection, "log-metric", {"run_id": run_id, **point})
    post(connection, "log-parameter", {"run_id": run_id, "key": "p0", "value": "3"})


def post(connection: http.client.HTTPConnection, what: str, body: dict) -> dict:
    """Ask something of runs."""
    headers = {"Content-Type": "application/json"}
    connection.request("POST", f"/api/2.0/mlflow/runs/{what}", json.dumps(body), headers)
    answer = connection.getresponse()
    found = json.loads(answer.read())
    if answer.status != http.HTTPStatus.OK:
        raise SystemExit(f"{answer.status}: {found}")
    return found


def experiments(n: int) -> list[str]:
    """Return the ids of the experiments that `fill` makes."""
    return [str(FIRST_EXPERIMENT + number) for number in range(n)]


def fill(home: pathlib.Path, *, n_runs: int, n_experiments: int, seed: int = 0) -> bool:
    """Store runs in a home, straight into its tables.

    Parameters
    ----------
    home
        Of an installation that no process uses; made when it does not exist.
    n_runs, n_experiments
        How many; runs go to the experiments by turns.
    seed
        Of all that is drawn.

    Returns
    -------
    bool
        False when there were experiments of an earlier call: nothing is done then.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(f"sqlite:///{home / 'homeostat.db'}")
    try:
        migrate.upgrade(database)
        with database.read(project=PROJECT) as tx:
            last = tx.execute(records.LAST_EXPERIMENT, {"in_project": PROJECT}).scalar_one()
            if last is not None and last >= FIRST_EXPERIMENT:
                return False
        # Indexes made once over all rows cost a fraction of what each insert would add.
        indexes = [index for table in TABLES for index in table.indexes]
        with database.write(project=PROJECT) as tx:
            for index in indexes:
                tx.execute(sa.schema.DropIndex(index))
            for number in range(n_experiments):
                tx.execute(records.INSERT_EXPERIMENT, _experiment(FIRST_EXPERIMENT + number))
        drawn = np.random.default_rng(seed)
        for first in range(0, n_runs, BATCH):
            n = min(BATCH, n_runs - first)
            rows = _rows(drawn, first, n, n_experiments)
            with database.write(project=PROJECT) as tx:
                for table, values in rows.items():
                    tx.insert_rows(_INSERTS[table], values)
        for index in indexes:
            with database.write(project=PROJECT) as tx:
                tx.execute(sa.schema.CreateIndex(index))
    finally:
        database.close()
    return True


_INSERTS = {table.name: Prepared(table.insert()) for table in TABLES}


def _experiment(number: int) -> dict:
    return {
        "project": PROJECT,
        "id": number,
        "name": f"search-{number}",
        "lifecycle_stage": "active",
        "artifact_root": "",
        "created_at": BEGAN_MS,
        "updated_at": BEGAN_MS,
    }


def _rows(drawn: np.random.Generator, first: int, n: int, n_experiments: int) -> dict:
    """Rows of some runs by table, in the order of its columns."""
    values = drawn.random((n, 2))
    few, many = drawn.integers(0, 10, n), drawn.integers(0, 100, n)
    rare = drawn.integers(0, 5000, n)
    found: dict[str, list[tuple]] = {table.name: [] for table in TABLES}
    for i in range(n):
        number = first + i
        at = BEGAN_MS + number
        run_id = f"{at:012x}7{number:019x}"
        experiment = FIRST_EXPERIMENT + number % n_experiments
        m0, m1 = float(values[i, 0]), float(values[i, 1])
        texts = {"p0": str(few[i]), "p1": str(many[i]), "bin": str(int(10 * m0))}
        if rare[i] < 500:
            texts["rare"] = f"r{rare[i]}"
        found["runs"].append(_run(run_id, experiment, at))
        numbers = {"m0": m0, "m1": m1, "m2": float(few[i]), "turned": 1 - m0}
        if not number % 100:
            numbers["late"] = m1
        for key, value in numbers.items():
            found["metrics"].append((PROJECT, run_id, key, at, 0, value, "finite"))
            row = (PROJECT, run_id, key, experiment, value, "finite", at, 0)
            found["latest_metrics"].append(row)
        for key, text in texts.items():
            found["params"].append((PROJECT, run_id, key, experiment, text, text))
        team = f"t{many[i] % 20}"
        found["tags"].append((PROJECT, run_id, "team", experiment, team, team))
    return found


def _run(run_id: str, experiment: int, at: int) -> tuple:
    known = {
        "project": PROJECT,
        "id": run_id,
        "experiment_id": experiment,
        "started_at": at,
        "name": f"run-{at}",
        "status": "finished",
        "lifecycle_stage": "active",
        "user": "ada",
        "ended_at": at + 1000,
        "artifact_root": f"run:{run_id}",
        "wall_s": 1.0,
        "cpu_s": 1.0,
        "max_rss_bytes": 0,
        "deleted_at": None,
    }
    return tuple(known.get(column.name, "") for column in records.runs.c)


@contextlib.contextmanager
def server(home: pathlib.Path) -> Iterator[http.client.HTTPConnection]:
    """Start a server over a home; yield a connection to it and stop it afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "server", "--port", str(port)],
        env={**os.environ, "HOMEOSTAT_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    connection = http.client.HTTPConnection("127.0.0.1", port)
    began = time.perf_counter()
    try:
        while True:
            try:
                connection.request("GET", "/health")
                connection.getresponse().read()
                break
            except OSError:
                connection.close()
                if process.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                    raise SystemExit("the server did not start") from None
                time.sleep(0.02)
        yield connection
    finally:
        connection.close()
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()

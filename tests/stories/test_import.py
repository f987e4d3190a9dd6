"""An import over real processes: killed and resumed; from MLflow's own server if there is one.

`HOMEOSTAT_TEST_MLFLOW` names the Python that has `mlflow`, or it is in `.venv-mlflow3` beside
the sources.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
from pathlib import Path

import httpx
import pytest

import listening
import mlflow_file
import nursery
import processes

ROOT = Path(__file__).parents[2]
KNOWN = (os.environ.get("HOMEOSTAT_TEST_MLFLOW", ""), str(ROOT / ".venv-mlflow3/bin/python"))
STOCK = next((path for path in KNOWN if path and Path(path).is_file()), "")
TABLES = ("runs", "metrics", "latest_metrics", "params", "tags", "experiments", "artifacts")
N_RUNS = 60

LOG = """
import math, pathlib, sys, tempfile
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
here = client.create_experiment("credit", tags={"team": "risk"})
for n in range(3):
    run = client.create_run(here, run_name=f"run {n}", start_time=1000 + n).info.run_id
    points = [Metric("loss", 1 / (s + 1), 1000 + s, s) for s in range(900)]
    client.log_batch(run, metrics=points, params=[Param("depth", str(n))])
    client.log_metric(run, "odd", math.nan, timestamp=5, step=-3)
    client.log_text(run, "hello", "a/b.txt")
    client.set_terminated(run, ["FINISHED", "FAILED", "KILLED"][n], end_time=5000)
client.delete_run(run)
model = client.create_logged_model(here, name="m", source_run_id=run)
with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder, "MLmodel").write_text("flavors: {}")
    client.log_model_artifacts(model.model_id, folder)
client.finalize_logged_model(model.model_id, "READY")
client.create_registered_model("scorer", tags={"owner": "bob"}, description="scores")
for _ in range(3):
    client.create_model_version("scorer", "s3://bucket/model")
client.delete_model_version("scorer", "2")
client.set_registered_model_alias("scorer", "champion", "3")
client.transition_model_version_stage("scorer", "1", "Production")
"""


def command(home, *words):
    """Words and surroundings of a command over a home."""
    about = {"environment": dict(os.environ), "folder": home.parent}
    return {"words": ["--home", str(home), *words], **about}


def run(home, *words):
    """Run a command that must go well, and return the JSON that it prints."""
    done = nursery.run(**command(home, *words), timeout=processes.LONG_S)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows(home):
    """All rows that an import writes, but for the instants of the import itself."""
    with contextlib.closing(sqlite3.connect(home / "homeostat.db")) as db:
        db.row_factory = sqlite3.Row
        found = {}
        for table in TABLES:
            kept = []
            for row in db.execute(f'SELECT * FROM "{table}"'):
                one = dict(row)
                one.pop("created_at", None)
                if one.get("name") != "Default":  # made with the house
                    kept.append(repr(one))
            found[table] = sorted(kept)
    return found


def n_runs(home):
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(
            sqlite3.connect(f"{(home / 'homeostat.db').as_uri()}?mode=ro", uri=True)
        ) as db,
    ):
        return db.execute("SELECT count(*) FROM runs").fetchone()[0]
    return 0


def test_an_import_killed_in_the_middle_goes_on_and_comes_to_the_same(tmp_path):
    file = mlflow_file.MlflowFile(tmp_path)
    for experiment in (1, 2, 3):
        file.experiment(experiment, f"e{experiment}")
        for n in range(N_RUNS):
            file.run(
                f"{experiment * 1000 + n:032x}",
                experiment=experiment,
                name=f"r{n}",
                metrics={"loss": [(1 / (s + 1), s, s) for s in range(30)]},
                files={"a.txt": b"%d" % n},
            )
    words = ("import", "mlflow", file.uri, "--artifacts", str(file.artifacts), "--json")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(whole, *words)
    for enough in (1, N_RUNS + 1, 2 * N_RUNS + 1):
        with (tmp_path / "said").open("ab") as said:
            going = nursery.start(**command(cut, *words), stdout=said, stderr=said)
        processes.until(lambda n=enough, one=going: n_runs(cut) >= n or one.poll() is not None)
        going.kill()
        going.wait()
    told = run(cut, *words)
    assert told["missed"] == {}
    assert told["counts"]["runs"] + told["counts"]["runs_unchanged"] == 3 * N_RUNS
    assert rows(cut) == rows(whole)


@pytest.fixture
def stock(tmp_path):
    """MLflow's own server with a few things in it, and its folder."""
    if not STOCK:
        pytest.skip("no Python with mlflow: see HOMEOSTAT_TEST_MLFLOW")
    port = listening.port()
    url, folder = f"http://127.0.0.1:{port}", tmp_path / "stock"
    folder.mkdir()
    # Without its jobs: they are seven more processes that import all of mlflow.
    off = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment = {**os.environ, **off}
    start = [STOCK, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    start += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    start += ["--artifacts-destination", str(folder / "art")]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            start, stdout=log, stderr=log, env=environment, start_new_session=True
        ) as server,
    ):
        try:
            processes.until(lambda: _answers(url), told="MLflow's server did not start")
            subprocess.run(
                [STOCK, "-c", LOG, url], check=True, capture_output=True, env=environment
            )
            yield url, folder
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, 15)


def _answers(url):
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/health").status_code == 200
    return False


def test_a_stock_server_and_its_file_give_the_same_house(stock, tmp_path):
    url, folder = stock
    told = {}
    for name, words in {
        "server": (url,),
        "file": (f"sqlite:///{folder}/mlflow.db", "--artifacts", str(folder / "art")),
    }.items():
        told[name] = run(tmp_path / name, "import", "mlflow", *words, "--json")
    for one in told.values():
        assert (one["missed"], one["left"]) == ({}, {})
        assert (one["counts"]["runs"], one["counts"]["points"]) == (3, 2703)
        assert (one["counts"]["versions"], one["counts"]["files"]) == (2, 4)
    seen = {name: rows(tmp_path / name) for name in told}
    # A server does not tell when a run was deleted.
    for found in seen.values():
        found["runs"] = [row.rpartition("'deleted_at'")[0] for row in found["runs"]]
    assert seen["server"] == seen["file"]

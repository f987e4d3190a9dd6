"""Runs over the API: logged by hand, recorded by pipelines, started from the command line."""

from __future__ import annotations

import json
import math
import textwrap

import httpx
import polars as pl
import pytest

from homeostat.doors import cli
from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import cache, drive, load
from homeostat.lifecycle.tracking.entities import Metric

PIPELINE = """
import homeostat as hs

@hs.step
def prepare(loans):
    return loans.drop_nulls()

@hs.step
def fit(rows, learning_rate: float = 0.1):
    if learning_rate < 0:
        raise ValueError("learning_rate is negative")
    return {"n": len(rows), "rate": learning_rate}

@hs.pipeline
def credit(loans, learning_rate: float = 0.1):
    return fit(prepare(loans), learning_rate=learning_rate)
"""
LOANS = pl.DataFrame({"income": [1.0, 2.0, None], "defaulted": [0, 1, 0]})


@pytest.fixture
def project(tmp_path, told, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pipeline.py").write_text(textwrap.dedent(PIPELINE))
    LOANS.write_parquet(folder / "loans.parquet")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOMEOSTAT_HOME", str(told.home))
    return folder


def test_what_is_logged_is_found_again(client):
    run = client.runs.create("churn", name="first")
    client.runs.log(run.id, metrics={"auc": 0.7, "loss": math.nan}, params={"depth": 3}, step=2)
    client.runs.log(run.id, metrics=[Metric.of("auc", 0.8, at=5, step=3)], tags={"by": "ada"})
    client.runs.finish(run.id)
    kept = client.runs.get(run.id)
    assert kept.run.status == "finished"
    numbers = {point.key: point.number for point in kept.metrics}
    assert numbers["auc"] == 0.8
    assert math.isnan(numbers["loss"])
    assert [p.number for p in client.runs.history(run.id, "auc")] == [0.7, 0.8]
    page = client.runs.search(
        experiments=["churn"], where=["metric.auc > 0.75", "tag.by = ada"]
    )
    assert [item.run.id for item in page.runs] == [run.id]
    assert client.runs.search(where=["metric.auc > 0.9"]).runs == ()


def test_a_group_of_values_is_added_whole_or_not_at_all(client):
    run = client.runs.create()
    client.runs.log(run.id, params={"depth": 3})
    with pytest.raises(errors.ConflictError):
        client.runs.log(run.id, metrics={"auc": 1.0}, params={"depth": 4})
    assert client.runs.get(run.id).metrics == ()


def test_metric_names_may_hold_slashes(client):
    run = client.runs.create()
    client.runs.log(run.id, metrics={"val/auc": 0.5})
    assert len(client.runs.history(run.id, "val/auc")) == 1


def test_files_come_back_as_they_were(client, tmp_path):
    run = client.runs.create()
    (tmp_path / "plot.html").write_bytes(b"<script>")
    client.runs.add_artifact(run.id, "plots/a b.html", tmp_path / "plot.html")
    client.runs.add_artifact(run.id, "empty", b"")
    assert [a.path for a in client.runs.artifacts(run.id)] == ["empty", "plots/a b.html"]
    assert client.runs.read_artifact(run.id, "plots/a b.html") == b"<script>"
    assert client.runs.read_artifact(run.id, "empty") == b""


def test_a_page_that_was_kept_is_not_run_by_a_browser(shared_server, remote):
    run = remote.runs.create()
    remote.runs.add_artifact(run.id, "a.html", b"<script>")
    reply = httpx.get(f"{shared_server.url}/api/runs/{run.id}/artifacts/a.html")
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["../up", "/root", "a/../../b"])
def test_a_path_that_leaves_the_run_is_refused(client, path):
    run = client.runs.create()
    with pytest.raises(errors.HomeostatError):
        client.runs.add_artifact(run.id, path, b"x")
    assert client.runs.artifacts(run.id) == []


def test_a_missing_run_is_not_found(client):
    for act in (client.runs.get, client.runs.steps, client.runs.finish):
        with pytest.raises(errors.NotFoundError):
            act("0" * 32)


@pytest.mark.parametrize("where", ["auc > 1", "metric.auc > high", "run.colour = red"])
def test_a_condition_that_cannot_be_read_is_refused(client, where):
    with pytest.raises(errors.InvalidInputError):
        client.runs.search(where=[where])


def test_a_pipeline_is_recorded_over_the_api(client, project, tmp_path):
    pipeline = load.pipeline("pipeline:credit", project)
    kept = cache.Cache(tmp_path / "cache")
    outcomes = [
        drive.run(
            pipeline,
            inputs={"loans": LOANS},
            parameters={"learning_rate": 0.2},
            cache=kept,
            recorder=client.runs.recorder("credit"),
        )
        for _ in range(2)
    ]
    kept.close()
    first, second = (client.runs.get(outcome.run_id) for outcome in outcomes)
    assert (first.run.status, second.run.status) == ("finished", "finished")
    assert first.run.environment
    assert [step.status for step in client.runs.steps(second.run.id)] == ["hit", "hit"]
    code = client.runs.code(client.runs.steps(first.run.id)[0].code)
    assert "pipeline.prepare" in {name for name, _, _ in code.parts}
    edges = client.lineage.ancestors(f"run:{second.run.id}")
    assert f"run:{first.run.id}" in {edge.source for edge in edges}


def told(capsys, *arguments):
    code = cli.invoke(["run", *arguments])
    seen = capsys.readouterr()
    return code, seen.out, seen.err


def test_the_command_line_runs_a_pipeline_on_a_file(project, capsys):
    words = ["pipeline:credit", "--input", "loans=loans.parquet", "--json"]
    code, out, _ = told(capsys, *words, "--set", "learning_rate=0.05")
    assert code == 0
    answer = json.loads(out)
    assert answer["status"] == "finished"
    assert [step["status"] for step in answer["steps"]] == ["ran", "ran"]
    code, out, _ = told(capsys, *words, "--set", "learning_rate=0.2", "--explain")
    reasons = [step["reason"] for step in json.loads(out)["steps"]]
    assert reasons == ["", "parameter learning_rate 0.05 -> 0.2"]


def test_a_snapshot_is_an_input_and_becomes_lineage(project, capsys, client, told_home):
    snapshot = client.data.add(project / "loans.parquet", "loans")
    client.close()
    code, out, _ = told(capsys, "pipeline:credit", "--input", "loans=loans", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["inputs"] == [
        {"name": "loans", "reference": f"snapshot:{snapshot.id}", "digest": snapshot.digest}
    ]


@pytest.fixture
def told_home(told, tmp_path):
    assert told.home == tmp_path / "home"
    return told.home


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["pipeline:credit"], (2, "needs 'loans'")),
        (["pipeline:credits", "--input", "loans=loans.parquet"], (4, "did you mean 'credit'")),
        (["other:credit"], (4, "other.py")),
        (["pipeline:credit", "--input", "loans=gone.parquet"], (4, "gone.parquet")),
        (["pipeline:credit", "--input", "loans"], (2, "NAME=PATH")),
        (
            ["pipeline:credit", "--input", "loans=loans.parquet", "--set", "learning_rate=-1"],
            (8, "learning_rate is negative"),
        ),
        (
            ["pipeline:credit", "--input", "loans=loans.parquet", "--set", "rate=1"],
            (2, "'rate'"),
        ),
    ],
    ids=["no input", "misspelt", "no file", "no data", "no name", "raises", "no parameter"],
)
def test_what_is_wrong_is_one_sentence_and_a_code(project, capsys, arguments, refusal):
    code, _, err = told(capsys, *arguments)
    assert code == refusal[0]
    assert refusal[1] in err

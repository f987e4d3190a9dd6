"""Models over HTTP, in this process and on the command line."""

from __future__ import annotations

import json

import blake3
import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from homeostat.doors import cli, local
from homeostat.foundation import errors
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.evaluation import exam, gates
from homeostat.lifecycle.registry import files as trees
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.registry import load

SCHEMA = Schema((Column(name="x", kind="number"), Column(name="z", kind="number")))


@pytest.fixture(scope="module")
def packed():
    x = np.random.default_rng(0).normal(size=(100, 2))
    frame = pl.DataFrame(x, schema=list(SCHEMA.names))
    estimator = LogisticRegression().fit(x, x[:, 0] > 0)
    return folder.pack(estimator, schema=SCHEMA, example=frame), frame, estimator


def judged(client, files, *, at_least=0.5):
    taken = exam.sit([0, 1] * 50, [0.2, 0.8] * 50, rows="rows 0-99")
    text = f'[model]\nname = "credit"\ntarget = "y"\n[gates]\nat_least = {at_least}\n'
    policy = policies.parse(text, where="homeostat.toml")
    return client.reports.save(
        "credit",
        candidate=trees.tree_digest(trees.describe(files)),
        exam=taken,
        judged=gates.judge(taken, policy.gates),
        policy_digest=policies.digest(policy),
    )


def test_a_model_comes_back_over_the_api_and_scores_as_before(client, packed):
    files, frame, estimator = packed
    version = client.models.register("credit", files, schema=SCHEMA, baseline=b"summary")
    assert version.number == 1
    assert client.models.version("credit", 1) == version
    predictor = load.load(client.models.files(version))
    assert predictor.scores(frame) == pytest.approx(
        estimator.predict_proba(frame.to_numpy())[:, 1]
    )
    assert client.models.baseline("credit", 1) == b"summary"


def test_a_model_comes_back_from_a_real_server(server, packed):
    files, _, _ = packed
    with local.connect(server.url) as client:
        version = client.models.register("credit", files, schema=SCHEMA)
        assert client.models.files(version) == files


def test_bytes_under_a_wrong_digest_are_refused(client):
    client.models.create("credit")
    path = f"/api/models/credit/files/{'0' * 64}"
    with pytest.raises(errors.InvalidInputError, match="the body has digest"):
        client.transport.call("PUT", path, body=b"model", answer=None)


def test_files_that_were_never_stored_are_named(client):
    client.models.create("credit")
    body = {
        "files": {"model.skops": blake3.blake3(b"x").hexdigest()},
        "schema": {"columns": []},
    }
    with pytest.raises(errors.InvalidInputError, match=r"model\.skops: no bytes"):
        client.transport.call("POST", "/api/models/credit/versions", body=body, answer=None)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "a//b"])
def test_a_client_never_names_a_storage_path(client, path):
    client.models.create("credit")
    body = {"files": {path: "0" * 64}, "schema": {"columns": []}}
    with pytest.raises(errors.InvalidInputError):
        client.transport.call("POST", "/api/models/credit/versions", body=body, answer=None)


def test_a_file_that_is_not_of_the_version_is_not_found(client, packed):
    client.models.register("credit", packed[0], schema=SCHEMA)
    with pytest.raises(errors.NotFoundError, match="has no file"):
        client.models.file("credit", 1, "secrets.txt")
    with pytest.raises(errors.NotFoundError, match="no monitoring baseline"):
        client.models.baseline("credit", 1)


def test_aliases_move_and_remember(client, packed):
    for _ in range(2):
        client.models.register("credit", packed[0], schema=SCHEMA)
    first = client.models.set_alias("credit", "champion", 1, reason="first")
    client.models.set_alias("credit", "champion", 2, reason="better")
    assert client.models.version_at("credit").number == 2
    assert [change.number for change in client.models.history("credit")] == [2, 1]
    assert [change.number for change in client.models.aliases("credit")] == [2]
    with pytest.raises(errors.NotFoundError):
        client.models.version_at("credit", at=first.at - 1)
    with pytest.raises(errors.InvalidInputError):
        client.models.set_alias("credit", "Champion!", 1)


def test_an_approval_counts_once(client, packed):
    client.models.register("credit", packed[0], schema=SCHEMA)
    client.models.approve("credit", 1, note="fine")
    with pytest.raises(errors.ConflictError):
        client.models.approve("credit", 1)
    assert [given.note for given in client.models.approvals("credit", 1)] == ["fine"]


def test_who_trained_a_version_cannot_approve_it_in_the_high_tier(client, packed):
    client.models.register("credit", packed[0], schema=SCHEMA, tier="high", trained_by="carl")
    with pytest.raises(errors.NotAllowedError, match="second pair of eyes"):
        client.models.approve("credit", 1)


def test_reports_are_signed_listed_and_verified(client, packed):
    report = judged(client, packed[0])
    assert client.reports.verify(report.id) == client.reports.get(report.id) == report
    assert client.reports.list("credit") == [report]
    assert report.measured_by == "client"
    version = client.models.register("credit", packed[0], schema=SCHEMA, report_id=report.id)
    assert version.report_id == report.id
    with pytest.raises(errors.NotFoundError):
        client.reports.get("nothing")


def test_a_verdict_that_does_not_follow_from_its_gates_is_not_signed(client, packed):
    taken = exam.sit([0, 1] * 50, [0.2, 0.8] * 50, rows="r")
    honest = judged(client, packed[0], at_least=1.5).judged
    assert honest.verdict == "fail"
    changed = type(honest)(
        verdict="pass", gates=honest.gates, unknown=(), sentence="Let in: no gates."
    )
    (gate,) = honest.gates
    forged = gates.sum_up((msgspec.structs.replace(gate, verdict="pass", needed=0.5),))
    assert forged.verdict == "pass"
    for said in (changed, forged):
        with pytest.raises(errors.InvalidInputError, match="does not follow"):
            client.reports.save(
                "credit", candidate="0" * 64, exam=taken, judged=said, policy_digest=""
            )
    unknown = gates.sum_up((msgspec.structs.replace(gate, name="luck", verdict="pass"),))
    with pytest.raises(errors.InvalidInputError, match="there is no gate 'luck'"):
        client.reports.save(
            "credit", candidate="0" * 64, exam=taken, judged=unknown, policy_digest=""
        )


@pytest.fixture
def run(told, capsys, monkeypatch):
    monkeypatch.setenv("HOMEOSTAT_HOME", str(told.home))

    def running(*arguments):
        code = cli.invoke(["model", *map(str, arguments)])
        return code, capsys.readouterr()

    return running


def test_the_command_line_tells_the_life_of_a_model(run, packed, tmp_path):
    folder.write_folder(packed[0], tmp_path / "m")
    assert run("list")[0] == 0
    code, said = run("register", "credit", tmp_path / "m", "--purpose", "initial")
    assert (code, said.out.split()[:2]) == (0, ["registered", "model:credit@1"])
    assert run("approve", "credit", 1, "--note", "fine")[0] == 0
    assert run("alias", "credit", "champion", 1)[0] == 0
    code, said = run("list", "--json")
    assert json.loads(said.out)[0]["name"] == "credit"
    assert "initial" in run("show", "credit")[1].out
    shown = run("show", "credit", 1)[1].out
    assert "x, z" in shown
    assert "ONNX twin, verified on" in shown
    assert "owner" in run("history", "credit")[1].out
    assert (
        json.loads(run("history", "credit", "--at", "2100-01-01", "--json")[1].out)["number"]
        == 1
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "nothing"), 4, "no model 'nothing'"),
        (("register", "credit", "nowhere"), 4, "no folder of a model"),
        (("alias", "credit", "champion"), 2, "or --remove"),
        (("history", "credit", "--at", "soon"), 2, "no date or time"),
        (("report", "nothing"), 4, "no report"),
    ],
    ids=["model", "folder", "alias", "date", "report"],
)
def test_what_is_wrong_is_one_sentence_and_an_exit_code(run, arguments, code, words):
    seen, said = run(*arguments)
    assert seen == code
    assert words in said.err

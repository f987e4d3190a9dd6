"""One household under bad input: each mistake is a sentence, and the rest goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import httpx
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

import listening
from homeostat.doors import local
from homeostat.doors.cli import ports
from homeostat.foundation import errors, events, house, settings
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.evaluation import exam, gates
from homeostat.lifecycle.predictions import read
from homeostat.lifecycle.registry import files as trees
from homeostat.lifecycle.registry import format as folder

WAIT_S = 180
POLICY = """
[model]
name = "credit"
target = "defaulted"
key = "customer"
[gates]
at_least = 0.5
"""
SCHEMA = Schema(
    (
        Column(name="income", kind="number", nullable=True),
        Column(name="debt", kind="number"),
    )
)
GOOD = {"income": 0.5, "debt": 0.25}
RAISES = {"income": None, "debt": 0.25}
"""A linear model takes no missing value."""


def linear():
    """A real model that fails on some rows."""
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({"income": rng.normal(size=400), "debt": rng.normal(size=400)})
    model = LogisticRegression(C=1e6)
    model.fit(frame.to_numpy(), (frame["income"] > frame["debt"]).to_numpy().astype(int))
    return folder.pack(
        model,
        schema=SCHEMA,
        example=frame.head(5),
        target="defaulted",
    )


def deploy(client):
    files = linear()
    rules = policies.parse(POLICY)
    taken = exam.sit([0, 1] * 50, [0.2, 0.8] * 50, rows="rows 0-99")
    report = client.reports.save(
        "credit",
        candidate=trees.tree_digest(trees.describe(files)),
        exam=taken,
        judged=gates.judge(taken, rules.gates),
        policy_digest=policies.digest(rules),
    )
    version = client.models.register("credit", files, schema=SCHEMA, report_id=report.id)
    client.models.approve("credit", version.number)
    client.deployments.deploy("credit", policy=POLICY, version=version.number)


class Household:
    """`homeostat up` on free ports, over a home that serves one model already."""

    def __init__(self, home):
        self.told = settings.Settings(home=home)
        with local.open_client(self.told) as client:
            deploy(client)
        self.port, self.predict_port = listening.port(), listening.port()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOMEOSTAT_")}
        environment["HOMEOSTAT_HOME"] = str(home)
        self.lines = home.parent / "up.log"
        flags = ["--port", str(self.port), "--predict-port", str(self.predict_port)]
        with self.lines.open("ab") as lines:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    *("-m", "homeostat.doors.cli.child", str(os.getpid()), "up"),
                    *flags,
                ],
                env=environment,
                cwd=home.parent,
                stdout=lines,
                stderr=lines,
            )
        self.predict = httpx.Client(
            base_url=f"http://127.0.0.1:{self.predict_port}", timeout=WAIT_S, trust_env=False
        )
        self.server = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=WAIT_S, trust_env=False
        )

    def until(self, what):
        deadline = time.monotonic() + WAIT_S
        while not (found := what()):
            assert self.process.poll() is None, self.lines.read_text()
            assert time.monotonic() < deadline, self.lines.read_text()
            time.sleep(0.05)  # another process's state: there is no event to wait for
        return found

    def is_serving(self):
        if not ports.is_well("127.0.0.1", self.predict_port):
            return False
        return self.predict.get("/v2/models/credit/ready").status_code == 200

    def score(self, *rows, keys=None):
        body = {"dataframe_records": list(rows), **({"keys": keys} if keys else {})}
        return self.predict.post("/invocations", json=body)

    def stop(self):
        self.predict.close()
        self.server.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)


@pytest.fixture(scope="module")
def household(tmp_path_factory):
    made = Household(tmp_path_factory.mktemp("bad") / "home")
    try:
        made.until(made.is_serving)
        yield made
    finally:
        made.stop()


def problem(answer, status, *words):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert (answer.status_code, told["status"]) == (status, status), told
    assert "Traceback" not in answer.text
    assert "\n" not in told["detail"]
    for word in words:
        assert word in told["detail"] + told["hint"]
    return told


def test_a_model_that_has_no_answer_for_a_row_fails_it_alone(household):
    assert household.score(GOOD).status_code == 200
    assert problem(household.score(RAISES), 500, "income", "missing")["code"] == "user-code"
    assert household.score(GOOD).status_code == 200
    metrics = household.predict.get("/metrics").text
    assert 'status="500"' in metrics


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"income": "many"}, ["rows[0].income", "number", "'many'"]),
        ({"income": "NaN"}, ["rows[0].income"]),
        ({"debt": None}, ["rows[0].debt", "null"]),
        ({"income": True}, ["rows[0].income", "True"]),
        ({"incme": 1}, ["rows[0].incme", "did you mean 'income'"]),
    ],
)
def test_a_row_that_does_not_fit_is_named_to_the_value(household, change, words):
    problem(household.score({**GOOD, **change}), 422, *words)


@pytest.mark.parametrize(
    ("asked", "body", "status", "word"),
    [
        ("/invocations", b'{"dataframe_records": [', 422, "truncated"),
        ("/invocations", b'{"x": [1,}', 422, "the body: JSON is malformed"),
        ("/invocations", b'{"dataframe_records": [{"income": NaN}]}', 422, "send null"),
        ("/invocations", b"[" * 100_000, 422, "the body"),
        ("/invocations", b'{"dataframe_records": [{"debt": 1}]}', 422, "income"),
        ("/v2/models/credit/infer", b'{"inputs": "x"}', 422, "inputs: expected array"),
        ("/v2/models/nobody/infer", b"{}", 404, "served: credit"),
        ("/labels", b'{"key": "", "label": 1}', 422, "labels[0].key: a key has 1 to 1000"),
        ("/labels", b'{"key": "a", "label": 3}', 422, "it knows 0, 1"),
        ("/labels", b'{"key": "a", "label": 1, "event_at": -5}', 422, "event_at"),
        ("/labels", b'{"labels": [{"key": "a", "label": 1}, {"key": "b"}]}', 422, "labels[1]"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_sentence(household, asked, body, status, word):  # noqa: PLR0917
    problem(household.predict.post(asked, content=body), status, word)


def test_a_wrong_method_names_the_right_one(household):
    problem(household.predict.get("/invocations"), 405, "takes POST, not GET")
    problem(household.server.delete("/api/events"), 405, "takes")


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        (f"/api/models/credit/versions/{'9' * 30}", 422, "number"),
        (f"/api/events?after={'9' * 30}", 422, "after"),
        ("/api/models/credit/versions/99", 404, "no version 99"),
        ("/api/deployments/nobody/plan", 404, "nobody"),
        ("/api/models/a%00b", 404, "no model"),
    ],
)
def test_what_is_not_there_or_cannot_be_is_no_fault_of_the_server(
    household, path, status, word
):
    problem(household.server.get(path), status, word)


def test_a_key_that_is_too_long_is_refused(household):
    problem(household.score(GOOD, keys=["k" * 1001]), 422, "keys[0]", "seen 1001")


def test_a_training_on_a_protected_column_that_is_not_there_is_refused(household):
    with local.connect(str(household.server.base_url)) as client:
        frame = pl.DataFrame({"income": [1.0, 2.0] * 20, "defaulted": [0, 1] * 20})
        snapshot = client.data.add(frame, "few")
        policy = POLICY.replace("[gates]", '[data]\nprotected = ["sex"]\n[gates]')
        with pytest.raises(errors.InvalidInputError, match="protected column 'sex'"):
            client.training.ask(policy, snapshot=snapshot.reference)


def test_a_port_in_use_stops_a_second_household_and_not_the_first(household):
    flags = ["--port", str(household.port), "--predict-port", "0"]
    second = subprocess.run(
        [
            sys.executable,
            *("-m", "homeostat.doors.cli.child", str(os.getpid())),
            *("--home", str(household.told.home), "up"),
            *flags,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    assert second.returncode == errors.UnavailableError.exit_code
    assert second.stderr.startswith(f"error: port {household.port} is in use")
    assert household.score(GOOD).status_code == 200


def test_duplicate_keys_and_labels_of_strangers_are_kept_and_nothing_is_lost(household):
    assert household.score(GOOD, GOOD, keys=["twice", "twice"]).status_code == 200
    labels = [("twice", 1), ("twice", 0), ("stranger", 1)]
    body = {"labels": [{"key": key, "label": label} for key, label in labels]}
    assert household.predict.post("/labels", json=body).json() == {"accepted": 3}
    with house.open_house(household.told) as opened:

        def kept():
            rows = opened.read(lambda tx: read.predictions(opened, tx, "credit"))
            seen = opened.read(lambda tx: read.labels(opened, tx, "credit"))
            found = rows.filter(pl.col("key") == "twice").height
            return (found, seen.height) == (2, 3)

        household.until(kept)
        assert opened.read(events.verify).ok
    assert "Traceback" not in household.lines.read_text()

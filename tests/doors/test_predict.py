"""A real prediction server beside a real server: exact, logged, and up when others are not."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

import listening
from homeostat.doors import local
from homeostat.doors.cli import ports
from homeostat.foundation import errors, house, settings
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.evaluation import exam, gates
from homeostat.lifecycle.predictions import read
from homeostat.lifecycle.registry import files as trees
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.registry import load as loading
from homeostat.lifecycle.serving.entities import Arm, Member, Plan, Shadow

READY_S = 90
PACE_S = 0.01  # what six callers without a pause write, nobody hands over in time
POLICY = """
[model]
name = "credit"
target = "defaulted"
key = "customer"
tier = "low"
[data]
protected = ["sex"]
[gates]
at_least = 0.5
"""
SCHEMA = Schema(
    (
        Column(name="income", kind="number", nullable=True),
        Column(name="region", kind="category", categories=("north", "south")),
        Column(name="late", kind="integer"),
    )
)
ROW = {"income": 1200.0, "region": "north", "late": 2}


def trained(seed):
    """Files of a model; another seed is another model."""
    rng = np.random.default_rng(seed)
    n = 400
    frame = pl.DataFrame(
        {
            "income": rng.lognormal(7, 0.5, n),
            "region": rng.choice(["north", "south"], n),
            "late": rng.integers(0, 5, n),
        }
    )
    risk = frame["late"].to_numpy() - frame["income"].to_numpy() / 1000
    target = (risk + rng.normal(0, 1, n) > seed % 2).astype(int)
    encode = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["region"]),
        remainder="passthrough",
    )
    model = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=10, random_state=0))
    model.fit(frame.to_pandas(), target)
    return folder.pack(model, schema=SCHEMA, example=frame.head(5), target="defaulted")


@pytest.fixture(scope="module")
def models():
    return [trained(seed) for seed in (1, 2)]


def register(client, files):
    taken = exam.sit([0, 1] * 50, [0.2, 0.8] * 50, rows="rows 0-99")
    rules = policies.parse(POLICY)
    report = client.reports.save(
        "credit",
        candidate=trees.tree_digest(trees.describe(files)),
        exam=taken,
        judged=gates.judge(taken, rules.gates),
        policy_digest=policies.digest(rules),
    )
    version = client.models.register("credit", files, schema=SCHEMA, report_id=report.id)
    client.models.approve("credit", version.number)


class Process:
    """A command of ours as a process with a port."""

    def __init__(self, home, command, *more, port=None):
        self.home = home
        self.port = port or listening.port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.arguments = [command, "--port", str(self.port), *more]
        self.start()

    def start(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOMEOSTAT_")}
        environment["HOMEOSTAT_HOME"] = str(self.home)
        self.errors = self.home.parent / f"{self.arguments[0]}.log"
        with self.errors.open("ab") as told:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "homeostat.doors.cli.child",
                    str(os.getpid()),
                    *self.arguments,
                ],
                env=environment,
                cwd=self.home.parent,
                stderr=told,
            )

    def wait(self):
        deadline = time.monotonic() + READY_S
        while not ports.is_well("127.0.0.1", self.port):
            assert self.process.poll() is None, self.errors.read_text()
            assert time.monotonic() < deadline, self.errors.read_text()
            time.sleep(0.02)
        return self

    def kill(self):
        """End it at once; its workers see that and end too."""
        self.process.kill()
        self.process.wait()
        deadline = time.monotonic() + READY_S
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < deadline:
                socket.create_connection(("127.0.0.1", self.port), READY_S).close()
                time.sleep(0.02)
            pytest.fail(self.errors.read_text())

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(READY_S)
        return self.process.returncode


class Stage:
    """A server, a prediction server, and a deployment of version 1; version 2 is registered."""

    def __init__(self, home, models):
        home.mkdir(parents=True, mode=0o700)
        self.home = home
        self.leaving = contextlib.ExitStack()
        with contextlib.ExitStack() as begun:
            self.server = Process(home, "server")
            begun.callback(self.server.stop)
            self.client = begun.enter_context(local.connect(self.server.wait().url))
            for files in models:
                register(self.client, files)
            self.client.deployments.deploy("credit", policy=POLICY, version=1)
            self.predict = Process(home, "serve", "--server", self.server.url)
            begun.callback(self.predict.stop)
            self.predict.wait()
            self.http = begun.enter_context(
                httpx.Client(base_url=self.predict.url, timeout=READY_S, trust_env=False)
            )
            self.leaving = begun.pop_all()

    def infer(self, rows, keys=None, *, http=None, **more):
        names = list(rows[0])
        body = {
            "inputs": [
                {
                    "name": name,
                    "shape": [len(rows)],
                    "datatype": "BYTES" if name in {"region", "sex"} else "FP64",
                    "data": [row.get(name) for row in rows],
                }
                for name in names
            ],
            **more,
        }
        if keys is not None:
            body["parameters"] = {"keys": keys}
        return (http or self.http).post("/v2/models/credit/infer", json=body)

    def set_plan(self, *arms, shadow=(), salt="s"):
        now = self.client.deployments.get("credit").plan.generation
        plan = Plan(generation=now + 1, arms=arms, shadow=shadow, salt=salt)
        self.client.deployments.set_plan("credit", plan, reason="a test says so")
        self.until_generation(now + 1)
        return now + 1

    def until_generation(self, generation):
        deadline = time.monotonic() + READY_S
        while (
            self.http.get("/v2/models/credit").json()["parameters"]["generation"] < generation
        ):
            assert time.monotonic() < deadline, self.predict.errors.read_text()
            time.sleep(0.02)

    def logged(self, n_rows, *, n_labels=0, of=None):
        """The log in the server, once it has so many rows (of the keys given); its labels."""
        told = settings.load(home=self.home)
        deadline = time.monotonic() + READY_S
        with house.open_house(told) as opened:
            while True:
                table = opened.read(lambda tx: read.predictions(opened, tx, "credit"))
                labels = opened.read(lambda tx: read.labels(opened, tx, "credit"))
                if of is not None:
                    table = table.filter(pl.col("key").str.starts_with(of))
                    labels = labels.filter(pl.col("key").str.starts_with(of))
                if len(table) >= n_rows and len(labels) >= n_labels:
                    return table, labels
                assert time.monotonic() < deadline, (len(table), len(labels))
                time.sleep(0.05)

    def stop(self):
        self.leaving.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory, models):
    """Shared by tests that leave the plan as they found it."""
    made = Stage(tmp_path_factory.mktemp("predict") / "home", models)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def rough_stage(tmp_path_factory, models):
    made = Stage(tmp_path_factory.mktemp("rough") / "home", models)
    yield made
    made.stop()


@pytest.fixture
def own_stage(rough_stage):
    """For tests that change the plan or end processes; whole again for each of them."""
    for process in (rough_stage.server, rough_stage.predict):
        if process.process.poll() is not None:
            process.start()
            process.wait()
    rough_stage.set_plan(Arm("stable", 1.0, (Member(1, 1.0),)))
    return rough_stage


def expected(models, rows, version=1):
    columns = {name: [row[name] for row in rows] for name in ROW}
    return loading.load(models[version - 1]).scores(columns)


def test_v2_answers_exactly_what_the_model_says(stage, models):
    rows = [{**ROW, "late": late, "sex": "f"} for late in range(5)]
    answer = stage.infer(rows, keys=[f"v2-{n}" for n in range(5)], id="mine")
    assert answer.status_code == 200
    said = answer.json()
    assert (said["id"], said["model_name"], said["model_version"]) == ("mine", "credit", "1")
    outputs = {one["name"]: one for one in said["outputs"]}
    assert outputs["score"]["data"] == pytest.approx(expected(models, rows), abs=1e-5)
    assert outputs["answer"]["data"] == [
        "1" if score >= 0.5 else "0" for score in outputs["score"]["data"]
    ]
    assert said["parameters"]["keys"] == [f"v2-{n}" for n in range(5)]


def test_a_matrix_is_read_in_the_order_of_the_features(stage):
    body = {
        "inputs": [
            {
                "name": "input",
                "shape": [1, 3],
                "datatype": "BYTES",
                "data": [[1200.0, "north", 2]],
            }
        ]
    }
    answer = stage.http.post("/v2/models/credit/infer", json=body)
    assert (
        answer.json()["outputs"][0]["data"] == stage.infer([ROW]).json()["outputs"][0]["data"]
    )


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())]}},
        {"dataframe_records": [ROW]},
        {"instances": [ROW]},
        {"instances": [list(ROW.values())]},
        {"inputs": {name: [value] for name, value in ROW.items()}},
    ],
    ids=["split", "records", "instances", "lists", "inputs"],
)
def test_mlflow_invocations_answer_the_same_in_every_form(stage, body):
    answer = stage.http.post("/invocations", json=body)
    assert answer.status_code == 200
    assert answer.json()["scores"] == stage.infer([ROW]).json()["outputs"][0]["data"]
    assert answer.json()["predictions"] in ([0], [1])


def test_the_key_is_a_parameter_a_header_or_a_column(stage):
    by_header = stage.http.post(
        "/invocations",
        json={"dataframe_records": [ROW]},
        headers={"x-homeostat-key": "by-header"},
    )
    assert by_header.json()["keys"] == ["by-header"]
    by_column = stage.http.post(
        "/invocations", json={"dataframe_records": [{**ROW, "customer": 77}]}
    )
    assert by_column.json()["keys"] == ["77"]
    by_nothing = stage.http.post("/invocations", json={"dataframe_records": [ROW]})
    assert by_nothing.json()["keys"] == by_nothing.json()["ids"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"late": "many"}, "rows[1].late"),
        ({"late": 1.5}, "rows[1].late"),
        ({"region": None}, "rows[1].region"),
        ({"colour": "red"}, "rows[1].colour"),
    ],
)
def test_a_bad_row_is_answered_422_with_its_path(stage, change, path):
    body = {"dataframe_records": [ROW, {**ROW, **change}]}
    answer = stage.http.post("/invocations", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid-input"
    assert answer.json()["detail"].startswith(path)


def test_bad_rows_harm_no_neighbour(stage):
    good = stage.infer([ROW]).json()["outputs"][0]["data"]

    def ask(n):
        row = {**ROW, "late": "no number"} if n % 3 == 0 else ROW
        return n, stage.http.post("/invocations", json={"dataframe_records": [row]})

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        for n, answer in pool.map(ask, range(90)):
            assert answer.status_code == (422 if n % 3 == 0 else 200)
            assert n % 3 == 0 or answer.json()["scores"] == good


@pytest.mark.parametrize(
    ("asked", "body", "status"),
    [
        ("POST /v2/models/churn/infer", b"{}", 404),
        ("GET /v2/models/churn/ready", None, 404),
        ("POST /v2/models/credit/infer", b"not json", 422),
        ("POST /v2/models/credit/infer", b"[]", 422),
        ("POST /v2/models/credit/infer", b'{"inputs": []}', 422),
        ("POST /v2/models/credit/infer", b"\xff\xfe", 422),
        ("POST /invocations", b"{}", 422),
        ("POST /invocations", b'{"dataframe_records": []}', 422),
        ("POST /labels", b'{"key": "a"}', 422),
        ("POST /labels", b'{"key": "a", "label": "maybe"}', 422),
        ("GET /nothing", None, 404),
        ("GET /invocations", None, 405),
    ],
)
def test_what_cannot_be_right_is_a_problem_with_a_sentence(stage, asked, body, status):
    answer = stage.http.request(*asked.split(), content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_too_large_a_request_is_refused_before_it_is_read(stage):
    answer = stage.http.post("/invocations", content=b"x" * (33 * 2**20))
    assert answer.status_code == 413
    assert stage.infer([ROW] * 10_001).status_code == 413


@pytest.mark.parametrize(
    ("asked", "headers", "status"),
    [
        ("GET /v2", {"host": "rebound.example"}, 403),
        ("GET /metrics", {"host": "rebound.example"}, 403),
        ("POST /v2/models/credit/infer", {"host": "rebound.example:5001"}, 403),
        ("POST /labels", {"origin": "http://evil.example"}, 403),
        ("POST /labels", {"origin": "null", "content-type": "text/plain"}, 403),
        ("POST /invocations", {"sec-fetch-site": "cross-site"}, 403),
        ("POST /v2/models/credit/labels", {"sec-fetch-site": "same-site"}, 403),
        ("GET /v2", {"origin": "http://evil.example"}, 200),
    ],
)
def test_other_sites_neither_write_nor_read_by_another_name(stage, asked, headers, status):
    body = b'{"key": "a", "label": 1}'
    answer = stage.http.request(*asked.split(), content=body, headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


def test_health_readiness_and_metadata(stage):
    get = stage.http.get
    assert get("/health").json()["status"] == "ok"
    assert get("/version").json()["name"] == "homeostat"
    assert get("/v2/health/live").status_code == get("/v2/health/ready").status_code == 200
    assert get("/v2/models/credit/ready").json() == {"name": "credit", "ready": True}
    inputs = {one["name"]: one["datatype"] for one in get("/v2/models/credit").json()["inputs"]}
    assert inputs == {"income": "FP64", "region": "BYTES", "late": "INT64"}


def test_metrics_are_prometheus_text(stage):
    stage.infer([ROW])
    stage.http.post("/labels", json={"key": "metered", "label": 1})
    stage.http.post("/v2/models/unknown/labels", json={"key": "metered", "label": 1})
    text = stage.http.get("/metrics").text
    for whose, route, status in (
        ("credit", "predict", 200),
        ("credit", "label", 202),
        ("", "label", 404),
    ):
        labels = f'deployment="{whose}",route="{route}"'
        assert f'homeostat_requests_total{{{labels},status="{status}"}}' in text
        assert f'homeostat_request_seconds_bucket{{{labels},le="+Inf"}}' in text
    for line in text.splitlines():
        assert line.startswith("#") or float(line.rpartition(" ")[2]) >= 0


@pytest.mark.parametrize("label", [7, "yes", "True", 0.5, ""])
def test_both_servers_refuse_a_label_that_the_model_does_not_know(stage, label):
    answer = stage.http.post("/labels", json={"key": "a", "label": label})
    with pytest.raises(errors.InvalidInputError, match="it knows 0, 1") as seen:
        stage.client.deployments.label("credit", [("a", label)])
    assert answer.json()["detail"] == seen.value.message


@pytest.mark.parametrize(
    "given", [{"key": ""}, {"key": "k" * 1001}, {"event_at": -1}, {"event_at": 10**15}]
)
def test_both_servers_refuse_what_can_be_no_label_of_a_prediction(stage, given):
    label = {"key": "a", "label": 1, **given}
    assert stage.http.post("/labels", json={"labels": [label]}).status_code == 422
    path = f"{stage.server.url}/api/deployments/credit/labels"
    answer = stage.http.post(path, json={"labels": [label]})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"labels[0].{next(iter(given))}")


def test_predictions_and_labels_reach_the_server_as_served(stage):
    row = {**ROW, "sex": "m"}
    said = stage.infer([row], keys=["to-the-log"]).json()
    stage.http.post("/labels", json={"key": "to-the-log", "label": 1, "event_at": 5})
    stage.client.deployments.label("credit", [("to-the-log", 0), ("never-seen", 1)])
    deadline = time.monotonic() + READY_S
    while True:
        table, labels = stage.logged(1, n_labels=3)
        mine = table.filter(pl.col("key") == "to-the-log")
        known = labels.filter(pl.col("key") == "to-the-log")
        if len(mine) == 1 and len(known) == 2:
            break
        assert time.monotonic() < deadline
    logged = mine.row(0, named=True)
    assert logged["id"] == said["parameters"]["ids"][0]
    assert logged["score"] == said["outputs"][0]["data"][0]
    assert (logged["x.income"], logged["x.region"], logged["c.sex"]) == (1200.0, "north", "m")
    assert sorted(known["label"]) == ["0", "1"]
    assert "never-seen" in stage.client.deployments.label_report("credit").unknown_keys


def test_a_canary_splits_by_key_exactly_and_grows_one_way(own_stage):
    stage = own_stage
    keys = [f"customer-{n}" for n in range(4000)]
    taken = set()
    for share in (0.05, 0.25, 1.0):
        arms = [
            Arm("stable", 1 - share, (Member(1, 1.0),)),
            Arm("canary", share, (Member(2, 1.0),)),
        ]
        stage.set_plan(*arms)
        said = stage.infer([ROW] * len(keys), keys=keys).json()["parameters"]
        canary = {key for key, arm in zip(keys, said["arms"], strict=True) if arm == "canary"}
        assert taken <= canary
        n, want = len(canary), share * len(keys)
        if share < 1:
            assert stats.chisquare([n, len(keys) - n], [want, len(keys) - want]).pvalue > 1e-4
        else:
            assert n == len(keys)
        taken = canary


def test_composites_and_shadows_are_in_the_log(own_stage, models):
    stage = own_stage
    both = (Member(1, 0.75), Member(2, 0.25))
    stage.set_plan(Arm("stable", 1.0, both))
    said = stage.infer([ROW], keys=["together"]).json()
    want = 0.75 * expected(models, [ROW], 1) + 0.25 * expected(models, [ROW], 2)
    assert said["outputs"][0]["data"] == pytest.approx(want, abs=1e-12)
    assert said["model_version"] == "1+2"
    stage.set_plan(Arm("stable", 1.0, (Member(1, 1.0),)), shadow=(Shadow(2, 1.0),))
    stage.infer([ROW], keys=["watched"])
    watched = stage.logged(2, of="watched")[0].sort("answered")
    assert watched["answered"].to_list() == [False, True]
    assert watched["version"].to_list() == ["2", "1"]


def test_plans_change_under_load_without_a_failed_request(own_stage):
    stage = own_stage
    stop = threading.Event()
    statuses, versions = [], set()

    def load(client):
        with httpx.Client(base_url=stage.predict.url, timeout=READY_S, trust_env=False) as http:
            n = 0
            while not stop.is_set():
                answer = stage.infer([ROW], keys=[f"{client}-{n}"], http=http)
                statuses.append(answer.status_code)
                versions.add(answer.json()["model_version"])
                n += 1

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        running = [pool.submit(load, client) for client in range(6)]
        for step in range(8):
            share = (step + 1) / 8
            arms = [Arm("stable", 1 - share, (Member(1, 1.0),))]
            arms.append(Arm("canary", share, (Member(2, 1.0),)))
            stage.set_plan(*arms)
        stop.set()
        for one in running:
            one.result()
    assert set(statuses) == {200}
    assert versions == {"1", "2"}


def test_kill_9_loses_nothing_that_was_answered(own_stage):
    stage = own_stage
    told = queue.SimpleQueue()
    answered = []

    def load(client, over):
        with httpx.Client(base_url=stage.predict.url, timeout=READY_S, trust_env=False) as http:
            for n in itertools.count():
                if over.is_set():  # whoever paused when it was killed would meet the next one
                    return
                key = f"kill-{client}-{n}"
                try:
                    answer = stage.infer([ROW], keys=[key], http=http)
                    told.put(answer.json()["parameters"]["ids"][0])
                    http.post("/labels", json={"key": key, "label": 1})
                except httpx.HTTPError:
                    return
                time.sleep(PACE_S)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for life in range(3):
            over = threading.Event()
            running = [pool.submit(load, f"{life}-{client}", over) for client in range(6)]
            try:
                answered += [told.get(timeout=READY_S) for _ in range(120)]
                stage.predict.stop() if life == 2 else stage.predict.kill()
            finally:
                over.set()
            for one in running:
                one.result(timeout=READY_S)
            if life < 2:
                stage.predict.start()
                stage.predict.wait()
    while not told.empty():
        answered.append(told.get())
    table, labels = stage.logged(len(answered), of="kill-")
    assert set(answered) <= set(table["id"])
    assert table["id"].is_unique().all()
    assert len(table) <= len(answered) + 18  # logged and not yet answered when killed
    assert labels["key"].is_unique().all()
    assert not list((stage.home / "predict" / "spool").glob("*/*"))


def test_predictions_go_on_without_the_server_and_reach_it_later(own_stage):
    stage = own_stage
    stage.server.kill()
    ids = [
        stage.infer([ROW], keys=[f"alone-{n}"]).json()["parameters"]["ids"][0] for n in range(5)
    ]
    stage.predict.kill()
    stage.predict.start()
    stage.predict.wait()
    assert stage.http.get("/v2/health/ready").status_code == 200
    ids += stage.infer([ROW], keys=["after-restart"]).json()["parameters"]["ids"]
    stage.server.start()
    stage.server.wait()
    table, _ = stage.logged(6, of="a")
    assert sorted(table["id"]) == sorted(ids)


def test_sigterm_hands_over_everything_and_ends_well(own_stage):
    stage = own_stage
    said = stage.infer([ROW] * 7, keys=[f"term-{n}" for n in range(7)]).json()
    assert stage.predict.stop() == 0
    table, _ = stage.logged(7, of="term-")
    assert sorted(table["id"]) == sorted(said["parameters"]["ids"])


def test_a_kept_file_that_was_changed_is_fetched_again(own_stage):
    stage = own_stage
    generation = stage.client.deployments.get("credit").plan.generation
    kept = stage.home / "predict" / "plans.json"
    deadline = time.monotonic() + READY_S  # a plan is in force before it is kept
    while json.loads(kept.read_bytes())[0]["plan"]["generation"] != generation:
        assert time.monotonic() < deadline
    for one in (stage.home / "predict" / "files").iterdir():
        one.write_bytes(b"changed")
    stage.predict.kill()
    stage.predict.start()
    stage.predict.wait()
    assert stage.infer([ROW]).status_code == 200


def test_the_sdk_predicts_and_labels(stage):
    asked = settings.load(home=stage.home, url=stage.server.url, predict_url=stage.predict.url)
    with local.open_client(asked) as client:
        answer = client.deployments.predict(
            "credit", [ROW, {**ROW, "income": None}], keys=["p", "q"]
        )
        assert answer.keys == ["p", "q"]
        assert answer.versions == ["1", "1"]
        assert all(0 <= score <= 1 for score in answer.scores)
        with pytest.raises(errors.InvalidInputError, match=r"rows\[0\]\.late"):
            client.deployments.predict("credit", [{**ROW, "late": "x"}])

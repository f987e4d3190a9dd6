"""Three classes, and a number: from training to the refit that a changed world asks for.

The numbers are foretold by an estimator of the project's own, which brings its code along.
One set of real processes serves both; everything goes over HTTP.
"""

from __future__ import annotations

import contextlib
import json

import httpx
import numpy as np
import polars as pl
import pytest

from homeostat.doors import cli, local
from homeostat.foundation import errors
from homeostat.lifecycle.corrections.entities import Threshold
from processes import Household, until

PIPELINE = """
import homeostat as hs
import polars as pl
from scales import Scales
from sklearn.linear_model import LogisticRegression

FEATURES = ["length", "width", "weight"]


@hs.step
def sort(rows: pl.DataFrame):
    return LogisticRegression().fit(rows.select(FEATURES).to_pandas(), rows["kind"].to_list())


@hs.step
def weigh(rows: pl.DataFrame):
    model = Scales(max_iter=30, max_leaf_nodes=8)
    return model.fit(rows.select(FEATURES).to_pandas(), rows["price"].to_numpy())


@hs.pipeline
def kinds(rows: pl.DataFrame):
    return sort(rows)


@hs.pipeline
def prices(rows: pl.DataFrame):
    return weigh(rows)
"""
SCALES = """
from sklearn.ensemble import HistGradientBoostingRegressor

CENTS = 100


class Scales(HistGradientBoostingRegressor):
    def predict(self, rows):
        return (super().predict(rows) * CENTS).round() / CENTS
"""
POLICY = """
[model]
name = "{name}"
target = "{target}"
task = "{task}"
key = "id"
tier = "low"

[data]
protected = ["shop"]

[gates]
{gates}
margin = 0.2

[rollout]
strategy = "blue-green"

[monitoring]
window = "100 rows"

[retraining]
on = ["harm"]
block = 100
"""
TASKS = {
    "kinds": ("kind", "classification", 'metric = "macro_f1"\nat_least = 0.6'),
    "prices": ("price", "regression", 'metric = "r2"\nat_least = 0.6'),
}
FEATURES = ("length", "width", "weight")
KINDS = np.array(["ash", "birch", "cedar"])


class Wood:
    """Boards of three kinds, with a price; in another world both follow from other columns."""

    def __init__(self):
        self.rng = np.random.default_rng(5)
        self.n = 0

    def boards(self, n, *, changed=False):
        length, width, weight = self.rng.normal(size=(3, n))
        first, second = (weight, length) if changed else (length, width)
        scores = np.column_stack([first, second, -first - second])
        scores += self.rng.gumbel(scale=0.4, size=(n, 3))
        price = 100 * first + 40 * second + 10 * self.rng.normal(size=n)
        self.n += n
        return pl.DataFrame(
            {
                "id": [f"b{at}" for at in range(self.n - n, self.n)],
                "length": length,
                "width": width,
                "weight": weight,
                "shop": self.rng.choice(["north", "south"], n),
                "kind": KINDS[scores.argmax(axis=1)],
                "price": price,
            }
        )


class Yard:
    """The processes, their clients, and what was answered."""

    def __init__(self, stage):
        self.stage = stage
        self.client = local.connect(stage.url)
        self.predict = httpx.Client(base_url=stage.predict_url, timeout=180)
        self.wood = Wood()

    def close(self):
        self.predict.close()
        self.client.close()

    def begin(self):
        history = self.wood.boards(1000)
        snapshot = self.client.data.add(history, "boards", key="id")
        for name, (target, task, gates) in TASKS.items():
            policy = POLICY.format(name=name, target=target, task=task, gates=gates)
            asked = self.client.training.ask(policy, snapshot=snapshot.reference)
            told = self.client.training.wait(asked)
            assert told.verdict == "pass", told.sentence
            self.client.models.approve(name, told.version)
            self.client.deployments.deploy(name, policy=policy, version=told.version)
        for name in TASKS:
            until(lambda name=name: self.answers(name))

    def answers(self, name):
        return self.predict.get(f"/v2/models/{name}/ready").status_code == 200

    def ask(self, name, rows):
        columns = ["id", "shop", *FEATURES]
        body = {"dataframe_split": {"columns": columns, "data": rows.select(columns).rows()}}
        found = self.predict.post(f"/models/{name}/invocations", json=body)
        assert found.status_code == 200, found.text
        return found.json()

    def label(self, name, rows):
        labels = [
            {"key": key, "label": label}
            for key, label in rows.select("id", TASKS[name][0]).iter_rows()
        ]
        found = self.predict.post(f"/v2/models/{name}/labels", json={"labels": labels})
        assert found.is_success, found.text

    def live(self, n, *, changed=False):
        """Let both answer the next boards; their labels follow at once."""
        rows = self.wood.boards(n, changed=changed)
        for name in TASKS:
            for part in rows.iter_slices(200):
                self.ask(name, part)
                self.label(name, part)

    def state(self, name):
        return self.client.decisions.state(name)

    def has_judged(self, n_blocks):
        return lambda: all(self.state(name).n_blocks >= n_blocks for name in TASKS)

    def has_learned(self):
        return all(len(self.state(name).members) > 1 for name in TASKS)

    def tell(self):
        return [one.sentence for name in TASKS for one in self.decisions(name)]

    def is_renewed(self):
        return all("1" not in self.state(name).stable for name in TASKS)

    def decisions(self, name):
        return list(self.client.decisions.every(deployment=name))[::-1]

    def log(self, name):
        return self.client.predictions.read(name, limit=2000, with_labels=True)


@pytest.fixture(scope="module")
def yard(tmp_path_factory):
    home = tmp_path_factory.mktemp("tasks") / "home"
    (home / "project").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    for name, text in (("pipeline.py", PIPELINE), ("scales.py", SCALES)):
        (home / "project" / name).write_text(text, encoding="utf-8")
    with Household(home) as stage, contextlib.closing(Yard(stage.start())) as yard:
        yard.begin()
        yard.live(1000)
        until(yard.has_judged(9))
        yard.live(400, changed=True)
        until(yard.has_learned, told=yard.tell)
        yard.live(200, changed=True)
        until(yard.is_renewed, told=yard.tell)
        yard.live(100, changed=True)
        until(yard.has_judged(16), told=yard.tell)
        yield yard


@pytest.mark.parametrize("name", TASKS)
def test_a_changed_world_is_noticed_learned_and_answered_by_what_was_learned(yard, name):
    kinds = [one.kind for one in yard.decisions(name) if one.kind != "none"]
    assert kinds[:2] == ["retrain", "promote"]
    seen = yard.state(name)
    newest = max(seen.stable, key=int)
    losses = seen.history[-1].members
    assert losses[newest] < losses["1"] / 2
    assert all(0 <= loss <= 1 for loss in losses.values())
    assert all(yard.client.decisions.replay(one.id).identical for one in yard.decisions(name))


def test_three_classes_are_answered_with_a_probability_for_each(yard):
    rows = yard.wood.boards(2, changed=True)
    told = yard.ask("kinds", rows)
    chances = np.array(told["probabilities"])
    assert chances.sum(axis=1) == pytest.approx(1)
    assert told["predictions"] == [told["classes"][at] for at in chances.argmax(axis=1)]
    assert told["scores"] == chances.max(axis=1).tolist()

    about = yard.predict.get("/v2/models/kinds").json()
    assert about["parameters"]["classes"] == KINDS.tolist()
    inputs = [
        {"name": name, "shape": [2], "datatype": "FP64", "data": rows[name].to_list()}
        for name in FEATURES
    ]
    asked = {"inputs": inputs, "outputs": [{"name": "answer"}, {"name": "probabilities"}]}
    answer, given = yard.predict.post("/v2/models/kinds/infer", json=asked).json()["outputs"]
    assert answer["data"] == told["predictions"]
    assert given["shape"] == [2, 3]
    assert given["data"] == chances.ravel().tolist()


def test_a_number_is_answered_and_labelled_as_one(yard):
    about = yard.predict.get("/v2/models/prices").json()
    assert [one["datatype"] for one in about["outputs"]] == ["FP64", "FP64"]
    told = yard.ask("prices", yard.wood.boards(2, changed=True))
    assert told["predictions"] == told["scores"]
    refused = yard.predict.post("/v2/models/prices/labels", json={"key": "b1", "label": "dear"})
    assert refused.status_code == 422
    assert "'dear' is no number" in refused.json()["detail"]


def test_the_log_keeps_every_class_and_what_each_member_said(yard):
    rows = yard.log("kinds")
    chances = rows.select(f"p.{kind}" for kind in KINDS).to_numpy()
    assert (KINDS[chances.argmax(axis=1)] == rows["answer"].to_numpy()).all()
    alone = rows.filter(pl.col("members").list.len() == 1)
    said = alone["member_scores"].to_list()
    assert said == [
        list(one) for one in alone.select(f"p.{kind}" for kind in KINDS).iter_rows()
    ]
    assert set(rows["label"].drop_nulls()) == set(KINDS)
    story = httpx.get(f"{yard.stage.url}/api/why/{rows['id'][0]}").json()
    assert any("probabilities of its classes" in one["sentence"] for one in story["steps"])


@pytest.mark.parametrize("name", TASKS)
def test_the_first_report_measured_what_its_task_is_judged_by(yard, name):
    first = yard.client.models.version(name, 1)
    exam = yard.client.reports.get(first.report_id).exam
    assert exam.evaluation is None
    assert exam.metric in exam.estimates
    assert {part.column for part in exam.slices} == {"shop"}
    page = httpx.get(f"{yard.stage.url}/reports/{first.report_id}")
    assert page.status_code == 200
    assert exam.metric.replace("_", " ") in page.text
    files = yard.client.models.files(first)
    assert {"kinds": "model.onnx", "prices": "code/scales.py"}[name] in files


def test_code_of_the_projects_own_is_trusted_by_the_loop_that_made_it(yard):
    for version in yard.state("prices").stable:
        (word,) = yard.client.adoptions.get("prices", int(version)).trust
        assert (word.actor, word.is_trusted) == ("system:loop", True)
    said = yard.log("prices")["member_scores"].explode()
    assert (said - said.round(2)).abs().max() < 1e-9
    assert yard.client.adoptions.get("kinds", 1).trust == ()


def test_a_table_is_scored_as_requests_are(yard, tmp_path):
    rows = yard.wood.boards(50, changed=True)
    table, output = tmp_path / "boards.parquet", tmp_path / "scored.parquet"
    rows.write_parquet(table)
    for name in TASKS:
        asked = ["predict", name, "--input", str(table), "--output", str(output)]
        assert cli.invoke(["--url", yard.stage.url, *asked]) == 0
        found = pl.read_parquet(output)
        told = yard.ask(name, rows)
        assert found["answer"].to_list() == told["predictions"]
        if name == "kinds":
            given = found.select(f"p.{kind}" for kind in KINDS).to_numpy()
            assert given == pytest.approx(np.array(told["probabilities"]))
        output.unlink()


def test_the_log_of_a_number_can_be_lived_again_by_a_backtest(yard, tmp_path):
    told = tmp_path / "told.json"
    asked = ["backtest", "--deployment", "prices", "--task", "regression", "--batch", "100"]
    asked += ["--strategy", "static", "--json", str(told)]
    assert cli.invoke(["--url", yard.stage.url, *asked]) == 0
    assert json.loads(told.read_text(encoding="utf-8"))["r2"] > 0.2


def test_what_came_of_the_answers_is_checked(yard):
    found = {one.name: one for one in yard.client.monitoring.check("kinds")}
    assert {f"recall, {kind}" for kind in KINDS} < found["performance"].numbers.keys()
    found = {one.name: one for one in yard.client.monitoring.check("prices")}
    assert {"mae", "rmse", "r2"} == found["performance"].numbers.keys()
    assert found["performance without labels"].verdict in {"told", "unknown"}


def test_several_classes_have_no_threshold_to_correct(yard):
    body = Threshold(at=0.4)
    with pytest.raises(errors.InvalidInputError, match="3 classes"):
        yard.client.corrections.propose(
            "kinds", body, reason="more cedar", expires_at=2_000_000_000_000
        )

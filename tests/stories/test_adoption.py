"""A model that came unjudged is trusted, judged, served and watched; no HTTP."""

from __future__ import annotations

import json
import os

import cloudpickle
import polars as pl
import pytest
import skops.io
import yaml
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import living
from homeostat.doors.cli.demo import lender
from homeostat.foundation import access, errors, events, house, jobs, lineage, settings
from homeostat.lifecycle.data import inspection, intake, tables
from homeostat.lifecycle.data.entities import Schema
from homeostat.lifecycle.evaluation import actions as evaluation
from homeostat.lifecycle.loop import apart, judging
from homeostat.lifecycle.monitoring import actions as monitoring
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted, adoptions, approvals, files

BEN = access.Actor("ben", access.Role.REVIEWER)
EVE = access.Actor("eve", access.Role.CONTRIBUTOR)
TYPES = ("double", "double", "double", "double", "string")


@pytest.fixture
def opened(tmp_path, home):
    told = settings.load(home=home, code=tmp_path / "code")
    with house.open_house(told) as found:
        yield found


def logged(model, *, pickled):
    """The files that MLflow's sklearn flavour writes, as far as they are read."""
    file = "model.pkl" if pickled else "model.skops"
    inputs = [
        {"name": name, "type": kind, "required": True}
        for name, kind in zip(lender.FEATURES, TYPES, strict=True)
    ]
    about = {
        "flavors": {"sklearn": {"pickled_model": file}, "python_function": {"env": "x"}},
        "signature": {"inputs": json.dumps(inputs)},
    }
    data = cloudpickle.dumps(model) if pickled else skops.io.dumps(model)
    return {"MLmodel": yaml.safe_dump(about).encode(), file: data}


class Adopting(living.Living):
    """A life whose first version was not trained here."""

    def __init__(self, opened, **how):
        super().__init__(opened, **how)
        self.held_out = self.lender.applications(2000)

    def estimator(self, seed=0):
        rows = self.lender.applications(3000)
        columns = make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["region"]),
            remainder=StandardScaler(),
        )
        model = make_pipeline(columns, LogisticRegression(C=1.0 + seed))
        return model.fit(rows.select(lender.FEATURES).to_pandas(), rows["defaulted"].to_numpy())

    def register(self, model, *, pickled=False, actor=EVE):
        stored = files.put(self.house, living.NAME, logged(model, pickled=pickled))
        return self.house.write(
            lambda tx: registry.register_version(
                tx,
                actor,
                living.NAME,
                files=stored,
                schema=Schema(()),
                flavour="mlflow",
                tier="low",
            )
        )

    def judge(self, version, *, rows=None, actor=EVE, policy=None):
        offer = inspection.Offer(
            data=tables.encode(self.held_out if rows is None else rows), format="parquet"
        )
        snapshot = intake.add(self.house, self.owner, "judged", offer, allow_schema_change=True)
        asked = judging.Judge(policy=policy or self.policy, snapshot=snapshot.reference)
        told = next(one.digest for one in version.files if one.path == "MLmodel")
        text = self.house.get_blob(version.owner, told)
        job = self.house.write(
            lambda tx: judging.ask(
                tx, actor, version.model, version.number, asked=asked, told=text
            )
        )
        self.work()
        return self.house.read(lambda tx: jobs.get(tx, job.id))

    def trust(self, number=1, *, is_trusted=True, actor=BEN, reason="read its code"):
        return self.house.write(
            lambda tx: adoptions.set_trust(
                tx, actor, living.NAME, number, is_trusted=is_trusted, reason=reason
            )
        )

    def version(self, number=1):
        return self.house.read(
            lambda tx: registry.get_version(tx, self.owner, living.NAME, number)
        )


@pytest.fixture
def life(opened):
    found = Adopting(opened)
    yield found
    found.scorer.close()
    found.bench.close()


@pytest.mark.parametrize("pickled", [False, True], ids=["skops", "pickle"])
def test_a_model_from_elsewhere_is_judged_served_and_watched(life, pickled):
    model = life.estimator()
    life.register(model, pickled=pickled)
    if pickled:
        life.trust()
    job = life.judge(life.version())
    assert job.state is jobs.State.DONE
    assert job.result["verdict"] == "pass"
    judged = life.version()
    assert judged.schema.names == lender.FEATURES
    assert judged.report_id == job.result["report"]
    assert judged.digest == files.tree_digest(judged.files)
    life.deploy()
    life.live(1200)
    fresh = life.lender.applications(100)
    expected = model.predict_proba(fresh.select(lender.FEATURES).to_pandas())[:, 1]
    assert life.scores(1, fresh).tolist() == expected.tolist()
    windows = life.house.read(lambda tx: monitoring.list_windows(tx, life.owner, living.NAME))
    assert len(windows) == 6
    assert life.state().n_blocks >= 3
    life.live(400, income_factor=100.0)
    assert "quarantine" in life.kinds()
    told = life.house.read(lambda tx: lineage.ancestors(tx, judged.reference))
    assert {edge.kind for edge in told} >= {"let-in", "judged"}
    assert life.house.read(events.verify).ok


def test_without_a_pipeline_the_loop_watches_and_says_that_it_cannot_fit(life):
    (life.house.settings.code / "pipeline.py").unlink()
    life.register(life.estimator())
    life.judge(life.version())
    life.deploy()
    life.live(1600)
    life.live(1600, world=lender.RECESSION_WORLD)
    assert "retrain" in life.kinds()
    told = [one.sentence for one in life.decisions() if "came to nothing" in one.sentence]
    assert "pipeline" in told[0]
    assert [m.version for m in life.deployment().plan.arms[0].members] == [1]
    assert life.alerts()


def test_a_pickle_is_refused_until_it_is_trusted_and_again_afterwards(life):
    life.register(life.estimator(), pickled=True)
    with pytest.raises(errors.NotAllowedError, match=r"model\.pkl is pickled") as caught:
        life.judge(life.version())
    assert "homeostat model trust credit 1 --reason" in caught.value.hint
    with pytest.raises(errors.GateClosedError, match="no gate has judged it"):
        life.deploy()
    life.trust()
    assert life.judge(life.version()).state is jobs.State.DONE
    life.trust(is_trusted=False, reason="it phones home")
    with pytest.raises(errors.GateClosedError, match="nobody trusts it"):
        life.deploy()
    how = life.house.read(lambda tx: adopted.loadable(tx, life.version()))
    with pytest.raises(errors.NotAllowedError, match="not loaded"):
        life.scorer.predictor(how)
    life.trust(reason="it did not")
    life.deploy()
    words = life.house.read(lambda tx: adoptions.standing(tx, life.owner, living.NAME, 1)).trust
    assert [one.is_trusted for one in words] == [True, False, True]


def test_trusting_needs_a_reviewer_a_reason_and_at_tier_high_another_pair_of_eyes(opened):
    life = Adopting(opened, tier="high")
    opened.write(lambda tx: registry.create_model(tx, EVE, living.NAME, tier="high"))
    life.register(life.estimator(), pickled=True, actor=life.owner)
    with pytest.raises(errors.NotAllowedError, match="needs 'reviewer'"):
        life.trust(actor=EVE)
    with pytest.raises(errors.InvalidInputError, match="needs a reason"):
        life.trust(reason=" ")
    with pytest.raises(errors.NotAllowedError, match="second pair of eyes"):
        life.trust(actor=life.owner)
    with pytest.raises(errors.NotAllowedError, match="no person"):
        life.trust(actor=access.system("loop"))
    assert life.trust() == life.trust()
    kinds = [one.kind for one in opened.read(events.read)]
    assert kinds.count("version.trusted") == 1


def test_the_worker_itself_never_opens_a_pickle(life, tmp_path):
    model = life.estimator()
    life.register(model, pickled=True)
    life.trust()
    life.judge(life.version())
    how = life.house.read(lambda tx: adopted.loadable(tx, life.version()))
    assert isinstance(life.scorer.predictor(how), apart.Apart)
    assert life.scorer.predictor(how) is life.scorer.predictor(how)


def test_a_model_that_exits_or_hangs_costs_nothing_but_itself(life):
    model = life.estimator()
    life.register(model, pickled=True)
    life.trust()
    broken = life.register(Leaving(), pickled=True)
    life.trust(broken.number)
    with pytest.raises(errors.UserCodeError, match="its process ended: exit code 3"):
        life.judge(broken)
    assert life.judge(life.version()).state is jobs.State.DONE


class Leaving:
    """Leaves the process when it is opened."""

    def __reduce__(self):

        return os._exit, (3,)


def test_a_second_version_is_compared_with_the_one_that_answers(life):
    life.register(life.estimator())
    life.judge(life.version())
    life.deploy()
    rows = life.lender.applications(3000)
    numbers = [name for name in lender.FEATURES if name != "region"]
    better = make_pipeline(
        make_column_transformer(("passthrough", numbers)),
        HistGradientBoostingClassifier(random_state=0),
    ).fit(rows.select(lender.FEATURES).to_pandas(), rows["defaulted"].to_numpy())
    second = life.register(better)
    assert life.judge(second).state is jobs.State.DONE
    report = life.house.read(
        lambda tx: approvals.evaluation.get_report(tx, life.owner, life.version(2).report_id)
    )
    assert report.champion == "model:credit@1"
    assert report.exam.comparisons
    assert report.measured_by == "system"


OTHER_TASKS = {
    "classification": ("grade", "macro_f1", LogisticRegression(max_iter=1000)),
    "regression": ("worth", "r2", LinearRegression()),
}


def valued(rows):
    """Applications with a worth and a grade of three, both of which follow from the income."""
    worth = pl.col("income") / pl.col("income").std()
    graded = pl.when(worth < 2).then(pl.lit("c")).when(worth < 4).then(pl.lit("b"))
    return rows.with_columns(worth=worth, grade=graded.otherwise(pl.lit("a")))


@pytest.mark.parametrize("task", OTHER_TASKS)
def test_several_classes_and_numbers_are_gated_by_their_own_measures(life, task):
    target, metric, last = OTHER_TASKS[task]
    rows = valued(life.lender.applications(1000))
    policy = (
        f'[model]\nname = "{living.NAME}"\ntarget = "{target}"\ntask = "{task}"\ntier = "low"\n'
        f'[data]\nprotected = ["region"]\n[gates]\nmetric = "{metric}"\nat_least = 0.6\n'
    )
    compared = policy.replace("at_least = 0.6", "margin = 0.05")
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["region"]), remainder=StandardScaler()
    )
    model = make_pipeline(columns, last)
    features, held_out = rows.select(lender.FEATURES).to_pandas(), valued(life.held_out)
    life.register(model.fit(features, rows[target].to_list()))
    told = life.judge(life.version(), rows=held_out, policy=policy)
    assert told.result["verdict"] == "pass", told.error
    life.policy = policy
    life.deploy()
    life.register(model.fit(features, rows[target].shuffle(seed=1).to_list()))
    again = life.judge(life.version(2), rows=held_out, policy=compared)
    assert again.result["verdict"] == "fail", again.error
    read = evaluation.get_report
    report = life.house.read(lambda tx: read(tx, life.owner, again.result["report"]))
    assert report.champion == life.version(1).reference


def test_a_version_that_fails_its_gates_keeps_its_report_and_does_not_answer(life):
    life.register(life.estimator())
    strict = life.policy.replace("at_least = 0.70", "at_least = 0.9999")
    assert life.judge(life.version(), policy=strict).result["verdict"] == "fail"
    assert life.version().report_id
    with pytest.raises(errors.GateClosedError):
        life.deploy()
    assert life.judge(life.version()).result["verdict"] == "pass"
    life.deploy()
    assert life.house.read(lambda tx: adopted.find(tx, living.NAME, 1)).place == 2


def test_what_was_judged_when_it_was_registered_is_not_judged_again(life):
    life.train()
    with pytest.raises(errors.ConflictError, match="judged when it was registered"):
        life.judge(life.version())


def test_a_judgement_needs_rows_and_a_policy_of_the_same_model(life):
    version = life.register(life.estimator())
    other = life.policy.replace('name = "credit"', 'name = "fraud"')
    with pytest.raises(errors.InvalidInputError, match="of model 'fraud', not of 'credit'"):
        life.judge(version, policy=other)
    with pytest.raises(errors.InvalidInputError, match="target column"):
        life.judge(version, rows=life.held_out.drop("defaulted"))
    with pytest.raises(errors.InvalidInputError, match="takes 'income'"):
        life.judge(version, rows=life.held_out.rename({"income": "earned"}))

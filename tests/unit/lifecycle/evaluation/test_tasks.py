"""Metrics of several classes and of numbers are those of scikit-learn, and gates judge them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from sklearn import metrics as oracle

from homeostat.lifecycle.evaluation import gates, numbers, several, tasks

N = 400


@pytest.fixture(scope="module")
def kinds():
    rng = np.random.default_rng(3)
    chances = rng.dirichlet([0.6, 0.6, 0.6], size=N)
    truth = np.array([rng.choice(3, p=one) for one in chances])
    return truth, chances


@pytest.fixture(scope="module")
def prices():
    rng = np.random.default_rng(4)
    truth = rng.normal(100, 20, size=N)
    return truth, truth + rng.normal(0, 8, size=N)


def test_metrics_of_classes_are_those_of_scikit_learn(kinds):
    truth, chances = kinds
    told = chances.argmax(axis=1)
    found = {name: one.value for name, one in several.evaluate(truth, chances).items()}
    expected = {
        "accuracy": oracle.accuracy_score(truth, told),
        "balanced_accuracy": oracle.balanced_accuracy_score(truth, told),
        "macro_f1": oracle.f1_score(truth, told, average="macro"),
        "precision": oracle.precision_score(truth, told, average="macro"),
        "roc_auc": oracle.roc_auc_score(truth, chances, multi_class="ovr"),
        "log_loss": oracle.log_loss(truth, chances),
        "brier": 0.5 * np.mean(((np.eye(3)[truth] - chances) ** 2).sum(axis=1)),
    }
    assert found == pytest.approx(expected, rel=1e-9)


def test_metrics_of_numbers_are_those_of_scikit_learn(prices):
    truth, answered = prices
    found = {name: one.value for name, one in numbers.evaluate(truth, answered).items()}
    expected = {
        "r2": oracle.r2_score(truth, answered),
        "mae": oracle.mean_absolute_error(truth, answered),
        "rmse": oracle.root_mean_squared_error(truth, answered),
    }
    assert found == pytest.approx(expected, rel=1e-9)
    pinball = numbers.estimate("pinball@0.9", truth, answered).value
    assert pinball == pytest.approx(oracle.mean_pinball_loss(truth, answered, alpha=0.9))


def test_intervals_hold_the_value(kinds, prices):
    of_classes, of_numbers = several.evaluate(*kinds), numbers.evaluate(*prices)
    for one in (*of_classes.values(), *of_numbers.values()):
        assert one.low < one.value < one.high


def test_a_class_that_the_model_does_not_know_is_as_wrong_as_can_be():
    chances = np.array([[1.0, 0.0, 0.0]])
    unknown = np.array([-1])
    assert several.losses("brier", unknown, chances).tolist() == [1.0]
    assert several.losses("accuracy", unknown, chances).tolist() == [1.0]


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_the_margin_is_judged_on_the_same_rows(task, kinds, prices):
    truth, new = kinds if task == "multiclass" else prices
    metric, at_least = ("macro_f1", 0.4) if task == "multiclass" else ("mae", 12.0)
    worse = np.roll(new, 1, axis=0)
    shops = {"shop": ["north", "south"] * (N // 2)}
    rules = gates.Named(metric, at_least=at_least, margin=0.0)
    for candidate, champion, verdict in ((new, worse, "pass"), (worse, new, "fail")):
        exam = tasks.sit(
            task,
            truth,
            candidate,
            rows="all",
            metric=metric,
            champion=champion,
            protected=shops,
        )
        assert gates.judge(exam, rules).verdict == verdict
        assert len(exam.slices) == 2
        assert msgspec.json.decode(msgspec.json.encode(exam), type=type(exam)) == exam


def test_disparate_impact_is_not_known_of_several_classes(kinds):
    exam = tasks.sit("multiclass", *kinds, rows="all", metric="accuracy")
    rules = gates.Named("accuracy", disparate_impact_at_least=0.8)
    assert gates.judge(exam, rules).unknown == ("disparate_impact",)

"""Contributions add up to each of several classes, and to the number of a regression."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from homeostat.lifecycle.data import schema
from homeostat.lifecycle.explanations import contributions, entities, explain, original
from homeostat.lifecycle.registry import format as folder

NAMES = ("a", "b", "c")
ASKED = entities.Options(kinds=("contributions", "reasons", "counterfactual"))


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return pl.DataFrame({name: rng.normal(size=300) for name in NAMES})


def member(estimator, rows, *, target, is_number, number=1):
    estimator.fit(rows.to_pandas(), target)
    files = folder.pack(
        estimator,
        schema=schema.infer(rows),
        example=rows,
        target="y",
        outcomes=pl.Series("y", target) if is_number else None,
    )
    opened = original.open_version(files)
    return explain.Member(number, 0.5, contributions.Explainer(opened))


def told(members, rows):
    columns = {name: rows[name].to_list()[:3] for name in NAMES}
    return explain.explain(members, columns, rules=explain.Rules(), options=ASKED)


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_pipeline(StandardScaler(), LinearRegression()),
        lambda: HistGradientBoostingRegressor(max_iter=10),
        lambda: RandomForestRegressor(5, random_state=0),
        lambda: GradientBoostingRegressor(n_estimators=5, random_state=0),
    ],
    ids=["linear", "histogram", "forest", "boosting"],
)
def test_a_number_is_explained_exactly_and_without_reasons(make, rows):
    target = (100 * rows["a"] + 50 * rows["b"] ** 2).to_numpy()
    only = member(make(), rows, target=target, is_number=True)
    for one, said in zip(told([only], rows), only.explainer.of.scores(rows), strict=False):
        assert (one.space, one.is_exact) == ("value", True)
        assert one.base + sum(one.contributions.values()) == pytest.approx(said)
        assert (one.reasons, one.counterfactuals) == ((), ())
        assert "a number" in one.note


def test_each_class_is_explained_by_members_that_know_other_classes(rows):
    scores = (rows["a"] + rows["b"]).to_numpy()
    three = np.select([scores < -0.5, scores < 0.5], ["low", "middle"], "high")
    two = np.where(three == "middle", "low", three)
    two[:5] = "other"
    first = member(LogisticRegression(), rows, target=three, is_number=False)
    second = member(LogisticRegression(), rows, target=two, is_number=False, number=2)
    for at, one in enumerate(told([first, second], rows)):
        assert set(one.classes) == {"high", "low", "middle", "other"}
        assert sum(part.score for part in one.classes.values()) == pytest.approx(1)
        for part in one.classes.values():
            assert part.base + sum(part.contributions.values()) == pytest.approx(part.score)
        mine = first.explainer.of.scores({name: rows[name].to_list()[:3] for name in NAMES})
        places = first.explainer.of.description.classes
        assert one.classes["middle"].score == pytest.approx(
            mine[at, places.index("middle")] / 2
        )
        assert one.score == max(part.score for part in one.classes.values())
        assert "4 classes" in one.note

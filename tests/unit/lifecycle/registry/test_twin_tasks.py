"""Twins answer every class, and numbers, as their originals do; or say why there is none."""

from __future__ import annotations

import lightgbm
import numpy as np
import polars as pl
import pytest
import xgboost
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from homeostat.foundation import errors
from homeostat.lifecycle.data import schema
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.registry import load

RNG = np.random.default_rng(0)
ROWS = pl.DataFrame({name: RNG.normal(size=400) for name in "abc"})
KINDS = np.digitize((ROWS["a"] + ROWS["b"]).to_numpy(), [-0.5, 0.5])
PRICES = (1000 * ROWS["a"] + 500 * ROWS["b"] ** 2).to_numpy()
CLASSIFIERS = [
    make_pipeline(StandardScaler(), LogisticRegression()),
    HistGradientBoostingClassifier(max_iter=5),
    RandomForestClassifier(5, random_state=0),
    lightgbm.LGBMClassifier(n_estimators=5, verbose=-1),
    xgboost.XGBClassifier(n_estimators=5),
]
REGRESSORS = [
    make_pipeline(StandardScaler(), LinearRegression()),
    HistGradientBoostingRegressor(max_iter=5, loss="quantile", quantile=0.9),
    RandomForestRegressor(5, random_state=0),
    GradientBoostingRegressor(n_estimators=5, random_state=0),
    lightgbm.LGBMRegressor(n_estimators=5, verbose=-1),
    xgboost.XGBRegressor(n_estimators=5),
]


def packed(estimator, target, *, is_number):
    estimator.fit(ROWS.to_pandas(), target)
    return folder.pack(
        estimator,
        schema=schema.infer(ROWS),
        example=ROWS,
        outcomes=pl.Series("y", target) if is_number else None,
    )


def name(estimator):
    return type(getattr(estimator, "steps", [("", estimator)])[-1][1]).__name__


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=name)
def test_each_class_has_the_probability_of_the_original(estimator):
    files = packed(estimator, KINDS, is_number=False)
    twin, original = load.load_for_serving(files), load.load(files)
    assert twin.kind == "onnx"
    found, expected = twin.scores(ROWS), original.scores(ROWS)
    assert found.shape == (400, 3)
    assert np.abs(found - expected).max() <= 1e-5
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.mark.parametrize("estimator", REGRESSORS, ids=name)
def test_a_number_is_that_of_the_original(estimator):
    files = packed(estimator, PRICES, is_number=True)
    twin, original = load.load_for_serving(files), load.load(files)
    assert twin.kind == "onnx"
    expected = original.scores(ROWS)
    assert np.abs(twin.scores(ROWS) - expected).max() <= 1e-5 * np.abs(expected).max()
    assert original.description.deviation == pytest.approx(PRICES.std())


def test_what_has_no_twin_answers_by_itself_and_the_card_says_why():
    files = packed(GaussianNB(), KINDS, is_number=False)
    told = folder.read(files).twin
    assert told.sentence == "the original: GaussianNB has no counterpart in ONNX here"
    assert load.load_for_serving(files).scores(ROWS).shape == (400, 3)


def test_a_classifier_is_no_regressor():
    with pytest.raises(errors.InvalidInputError, match="no regressor"):
        packed(LogisticRegression(), KINDS, is_number=True)

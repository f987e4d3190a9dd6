"""Contributions add up to what the model says, and are those of the columns it was given."""

from __future__ import annotations

import itertools
import math

import lightgbm
import msgspec
import numpy as np
import polars as pl
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.explanations import contributions, histogram, original, paths
from homeostat.lifecycle.registry import adopt, reference
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.registry.entities import Description

N = 600
NAMES = ("income", "debt", "region", "age")
SCHEMA = Schema(
    (
        Column(name="income", kind="number", nullable=True),
        Column(name="debt", kind="number", nullable=True),
        Column(
            name="region",
            kind="category",
            nullable=True,
            categories=("east", "north", "south", "west"),
        ),
        Column(name="age", kind="integer"),
    )
)


def _table():
    rng = np.random.default_rng(3)
    income = rng.lognormal(7, 0.6, N)
    debt = rng.exponential(500, N)
    region = rng.choice(["east", "north", "south", "west"], N)
    age = rng.integers(18, 80, N)
    risk = debt / 500 - income / 1000 + (region == "north") - age / 60
    target = (risk + rng.normal(0, 1, N) > np.median(risk)).astype(int)
    frame = pl.DataFrame({"income": income, "debt": debt, "region": region, "age": age})
    gaps = rng.random((N, 3)) < 0.1
    frame = frame.with_columns(
        pl.when(pl.Series(gaps[:, at])).then(None).otherwise(pl.col(name)).alias(name)
        for at, name in enumerate(NAMES[:3])
    )
    return frame, target


FRAME, TARGET = _table()


def _numbers():
    return make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())


def _encoded():
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["region"]),
        (_numbers(), ["income", "debt"]),
        remainder=StandardScaler(),
    )


def _ordinal():
    return make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["region"]),
        remainder="passthrough",
    )


def _light():
    return lightgbm.LGBMClassifier(n_estimators=20, verbose=-1, random_state=0)


MADE = {
    "linear": lambda: make_pipeline(_encoded(), LogisticRegression()),
    "tree paths": lambda: make_pipeline(
        _ordinal(), HistGradientBoostingClassifier(max_iter=25, random_state=0)
    ),
    "lightgbm": lambda: make_pipeline(_ordinal(), _light()),
    "boosting": lambda: make_pipeline(
        _encoded(), GradientBoostingClassifier(n_estimators=15, random_state=0)
    ),
    "forest": lambda: make_pipeline(
        _encoded(), RandomForestClassifier(20, max_depth=6, random_state=0)
    ),
    "sampled": lambda: make_pipeline(_encoded(), PCA(2), GaussianNB()),
}


def _explainer(model, *, positive=1):
    """Explain a model that no file was made of."""
    description = Description(
        format=1,
        schema=SCHEMA,
        target="y",
        classes=("0", "1"),
        positive=positive,
        by_name=True,
        example=FRAME.head(20).to_dict(as_series=False),
        scores=(),
        trusted=(),
        packages={},
        reference=reference.of(model, FRAME, SCHEMA, by_name=True),
    )
    return contributions.Explainer(original.Original(model, description))


@pytest.fixture(scope="module", params=list(MADE))
def explained(request):
    model = MADE[request.param]().fit(FRAME.to_pandas(), TARGET)
    made = _explainer(model)
    trees = {"boosting": "tree paths", "forest": "tree paths"}
    assert made.method == trees.get(request.param, request.param)
    return made, model


def _rows(n=12):
    rows = FRAME.head(n).to_dict(as_series=False)
    rows["region"][3] = "a region never seen"
    return rows


def test_base_and_contributions_add_up_to_what_the_model_itself_says(explained):
    made, model = explained
    found = made.parts(_rows())
    chances = model.predict_proba(pl.DataFrame(_rows()).to_pandas())[:, 1]
    is_voted = type(model[-1]).__name__ == "RandomForestClassifier"
    assert found.space == ("probability" if is_voted else "log-odds")
    margins = chances if is_voted else np.log(chances / (1 - chances))
    assert found.names == NAMES
    assert found.values.shape == (12, 4)
    assert np.abs(found.base + found.values.sum(axis=1) - margins).max() < 1e-6
    assert found.gaps.max() < 1e-6
    assert np.abs(found.scores - chances).max() < 1e-12


def test_the_first_class_as_positive_turns_every_sign(explained):
    made, model = explained
    turned = _explainer(model, positive=0).parts(_rows())
    found = made.parts(_rows())
    assert np.allclose(turned.values, -found.values, atol=1e-6)
    whole = 1 if found.space == "probability" else 0
    assert turned.base == pytest.approx(whole - found.base, abs=1e-6)
    assert np.allclose(turned.scores, 1 - found.scores)


def test_a_linear_model_is_explained_against_the_mean_of_all_training_rows():
    model = MADE["linear"]().fit(FRAME.to_pandas(), TARGET)
    files = folder.pack(model, schema=SCHEMA, example=FRAME)
    found = contributions.Explainer(original.open_version(files)).parts(
        FRAME.to_dict(as_series=False)
    )
    assert np.abs(found.values.mean(axis=0)).max() < 1e-9
    assert found.base == pytest.approx(model.decision_function(FRAME.to_pandas()).mean())


def _matrix():
    numbers = FRAME.with_columns(
        pl.col("region").replace_strict(
            {"east": 0.0, "north": 1.0, "south": 2.0, "west": 3.0}, default=None
        )
    )
    return numbers.to_numpy().astype(np.float64)


def _native(**told):
    model = HistGradientBoostingClassifier(random_state=0, categorical_features=[2], **told)
    return model.fit(_matrix(), TARGET)


def test_trees_with_native_categories_add_up():
    model = _native(max_iter=40)
    rows = _matrix()[:40]
    rows[:4, 2] = [9.0, -1.0, np.nan, 300.0]
    told = histogram.Histogram(model).tell(rows)
    assert np.abs(told.base + told.values.sum(axis=1) - told.margins).max() < 1e-9
    assert np.abs(told.margins - model.decision_function(rows)).max() < 1e-12
    assert np.abs(told.values[:, 2]).max() > 0.01


def test_trees_have_the_shapley_values_of_their_definition():
    """Every subset of columns, by its expected value down the tree, categories included."""
    model = _native(max_iter=1, max_leaf_nodes=6, min_samples_leaf=5)
    (tree,) = model._predictors[0]
    made = histogram.Histogram(model)
    row = _matrix()[7:8]
    # The inner encoding puts the category first.
    order = [2, 0, 1, 3]
    turned = made._turns(row[:, order])[0]

    def value(known, node=0):
        now = tree.nodes[node]
        if now["is_leaf"]:
            return now["value"]
        left, right = int(now["left"]), int(now["right"])
        if now["feature_idx"] in known:
            return value(known, left if turned[node] else right)
        counts = tree.nodes["count"]
        return (
            counts[left] * value(known, left) + counts[right] * value(known, right)
        ) / counts[node]

    wanted = np.zeros(4)
    for at in range(4):
        others = [one for one in range(4) if one != at]
        for size in range(4):
            weight = math.factorial(size) * math.factorial(3 - size) / math.factorial(4)
            for known in itertools.combinations(others, size):
                wanted[order[at]] += weight * (value({*known, at}) - value(set(known)))
    assert np.allclose(made.tell(row).values[0], wanted, atol=1e-12)
    assert np.abs(wanted).max() > 0.01


def _expected(nodes, row, known, node=0):
    """What a tree is expected to say of a row of which some columns are known."""
    now = nodes[node]
    if now["is_leaf"]:
        return now["value"]
    left, right = (int(now[side]) for side in ("left", "right"))
    if now["feature_idx"] in known:
        seen = row[now["feature_idx"]]
        is_left = now["missing_go_to_left"] if np.isnan(seen) else seen <= now["num_threshold"]
        return _expected(nodes, row, known, left if is_left else right)
    said = [_expected(nodes, row, known, one) * nodes[one]["count"] for one in (left, right)]
    return sum(said) / now["count"]


def test_trees_of_numbers_have_the_shapley_values_of_all_orders():
    """Columns become known in every order; each is credited with what that changes."""
    model = HistGradientBoostingClassifier(max_iter=4, random_state=0).fit(_matrix(), TARGET)
    trees = [tree.nodes for (tree,) in model._predictors]
    rows = _matrix()[np.isnan(_matrix()).any(axis=1)][:2]
    rows = np.concatenate([rows, _matrix()[:3]])
    told = histogram.Histogram(model).tell(rows)
    orders = list(itertools.permutations(range(4)))
    for row, values in zip(rows, told.values, strict=True):
        says = {
            frozenset(known): sum(_expected(nodes, row, known) for nodes in trees)
            for n in range(5)
            for known in itertools.combinations(range(4), n)
        }
        wanted = np.zeros(4)
        for order in orders:
            for at, column in enumerate(order):
                gain = says[frozenset(order[: at + 1])] - says[frozenset(order[:at])]
                wanted[column] += gain / len(orders)
        assert np.allclose(values, wanted, atol=1e-12)
        base = says[frozenset()] + float(np.ravel(model._baseline_prediction)[0])
        assert told.base == pytest.approx(base, abs=1e-12)


def test_a_tree_without_a_split_says_one_thing_of_everybody():
    alone = paths.Tree([0], [0], [0], [5], [0.25], [True])
    found = paths.collect([alone], 3)
    assert found.base == 0.25
    assert paths.contributions(found, np.zeros((2, 1), dtype=bool)).tolist() == [[0.0] * 3] * 2


def _native_file(kind):
    """The files of a version that MLflow's client logged in a library's own format."""
    rows = FRAME.select("income", "debt", "age").to_pandas()
    if kind == "xgboost":
        model = xgboost.XGBClassifier(n_estimators=60, random_state=0).fit(rows, TARGET)
        data, path = bytes(model.get_booster().save_raw("ubj")), "model.ubj"
    else:
        model = lightgbm.LGBMClassifier(n_estimators=20, verbose=-1).fit(rows, TARGET)
        data, path = model.booster_.model_to_string().encode(), "model.lgb"
    return {path: data, "MLmodel": f"flavors: {{{kind}: {{data: {path}}}}}\n".encode()}


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
def test_boosters_from_their_own_files_add_up_too(kind):
    rows = FRAME.select("income", "debt", "age").with_columns(target=pl.Series(TARGET))
    files = _native_file(kind)
    adopted = adopt.adopt(files, rows, target="target")
    files["homeostat.json"] = msgspec.json.encode(adopted.description)
    made = contributions.Explainer(original.open_version(files))
    found = made.parts(rows.head(100).to_dict(as_series=False))
    assert made.method == kind
    assert np.abs(found.base + found.values.sum(axis=1) - found.margins).max() < 1e-6
    assert np.abs(found.scores - adopted.scores[:100]).max() < 1e-6

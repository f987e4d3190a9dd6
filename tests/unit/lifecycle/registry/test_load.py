"""Models are written, loaded and asked without ever unpickling anything."""

from __future__ import annotations

import warnings

import msgspec
import numpy as np
import polars as pl
import pytest
import skops.io
import yaml
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from homeostat.foundation import errors
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.registry import columns, load
from homeostat.lifecycle.registry import format as folder

SCHEMA = Schema(
    (
        Column(name="income", kind="number", nullable=True),
        Column(name="region", kind="category", categories=("east", "north", "west")),
        Column(name="age", kind="integer"),
        Column(name="owns", kind="boolean"),
    )
)
NUMBERS = Schema(tuple(Column(name=f"x{i}", kind="number") for i in range(4)))


def applications(n=400, seed=0):
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "income": rng.normal(40, 10, n),
            "region": rng.choice(["east", "north", "west"], n),
            "age": rng.integers(18, 80, n),
            "owns": rng.random(n) < 0.5,
        }
    )
    frame = frame.with_columns(
        pl.when(pl.Series(rng.random(n) < 0.1))
        .then(None)
        .otherwise(pl.col("income"))
        .alias("income")
    )
    income = frame["income"].fill_null(30).to_numpy()
    y = income + 10 * (frame["region"] == "west").to_numpy() > 42
    return frame, y


def boosted(**options):
    return HistGradientBoostingClassifier(max_iter=15, max_leaf_nodes=7, **options)


def encoded():
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=200,
    )
    return ColumnTransformer(
        [("c", encoder, ["region", "owns"]), ("n", "passthrough", ["income", "age"])],
        verbose_feature_names_out=False,
    )


def by_mask():
    return make_pipeline(encoded(), boosted(categorical_features=[True, True, False, False]))


def plain_codes():
    return make_pipeline(encoded(), boosted())


def one_hot():
    made = ColumnTransformer(
        [
            ("c", OneHotEncoder(handle_unknown="ignore"), ["region"]),
            ("n", "passthrough", ["age"]),
        ]
    )
    return make_pipeline(made, LogisticRegression())


def fitted(make):
    frame, y = applications()
    return make().fit(frame, y), frame, y


def rows_of(frame):
    return {name: frame[name].to_list() for name in frame.columns}


@pytest.mark.parametrize("make", [by_mask, plain_codes, one_hot])
def test_a_loaded_model_scores_as_the_fitted_one_did(make):
    estimator, frame, _ = fitted(make)
    files = folder.pack(estimator, schema=SCHEMA, example=frame)
    predictor = load.load(files)
    expected = estimator.predict_proba(frame)[:, 1]
    assert predictor.scores(frame) == pytest.approx(expected, abs=1e-12)
    assert predictor.scores(rows_of(frame)) == pytest.approx(expected, abs=1e-12)
    assert predictor.scores(frame[:1]) == pytest.approx(expected[:1], abs=1e-12)


@pytest.mark.parametrize("make", [by_mask, plain_codes])
def test_trees_behind_an_ordinal_encoding_are_asked_directly(make):
    estimator, frame, _ = fitted(make)
    assert load.load(folder.pack(estimator, schema=SCHEMA, example=frame)).is_fast


def test_native_pandas_categories_are_asked_directly():
    frame, y = applications()
    table = frame.drop("owns").to_pandas().astype({"region": "category"})
    estimator = boosted(categorical_features="from_dtype").fit(table, y)
    schema = SCHEMA.without(("owns",))
    predictor = load.load(folder.pack(estimator, schema=schema, example=frame))
    assert predictor.is_fast
    expected = estimator.predict_proba(table)[:, 1]
    assert predictor.scores(frame) == pytest.approx(expected, abs=1e-12)


def test_a_matrix_of_codes_is_asked_directly():
    frame, y = applications()
    estimator = boosted(categorical_features=[1, 3]).fit(columns.matrix(frame, SCHEMA), y)
    predictor = load.load(folder.pack(estimator, schema=SCHEMA, example=frame))
    assert predictor.is_fast
    expected = estimator.predict_proba(columns.matrix(frame, SCHEMA))[:, 1]
    assert predictor.scores(frame) == pytest.approx(expected, abs=1e-12)


def test_an_unknown_category_and_a_missing_value_are_scored_as_scikit_learn_would():
    estimator, frame, _ = fitted(by_mask)
    predictor = load.load(folder.pack(estimator, schema=SCHEMA, example=frame))
    odd = frame[:3].with_columns(region=pl.lit("mars"), income=pl.lit(None, dtype=pl.Float64))
    expected = estimator.predict_proba(odd)[:, 1]
    assert predictor.scores(odd) == pytest.approx(expected, abs=1e-12)


def test_a_transform_of_the_users_own_is_not_skipped():
    frame, y = applications()
    part = ColumnTransformer([("n", FunctionTransformer(np.log1p), ["age"])])
    estimator = make_pipeline(part, boosted()).fit(frame, y)
    predictor = load.load(folder.pack(estimator, schema=SCHEMA, example=frame))
    expected = estimator.predict_proba(frame)[:, 1]
    assert predictor.scores(frame) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        DecisionTreeClassifier(max_depth=3),
        RandomForestClassifier(5, max_depth=3),
        GradientBoostingClassifier(n_estimators=5),
        GaussianNB(),
        CalibratedClassifierCV(LogisticRegression(), cv=3),
        make_pipeline(StandardScaler(), LogisticRegression()),
        boosted(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_the_common_classifiers_load_from_trusted_types(estimator):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    estimator.fit(x, x[:, 0] > 0)
    frame = pl.DataFrame(x, schema=list(NUMBERS.names))
    predictor = load.load(folder.pack(estimator, schema=NUMBERS, example=frame))
    expected = estimator.predict_proba(x)[:, 1]
    assert predictor.scores(frame) == pytest.approx(expected, abs=1e-12)


def test_the_score_is_of_the_label_called_positive():
    x = np.random.default_rng(0).normal(size=(100, 4))
    estimator = boosted().fit(x, np.where(x[:, 0] > 0, "no", "yes"))
    frame = pl.DataFrame(x, schema=list(NUMBERS.names))
    for place, label in enumerate(["no", "yes"]):
        files = folder.pack(estimator, schema=NUMBERS, example=frame, positive=label)
        expected = estimator.predict_proba(x)[:, place]
        assert load.load(files).scores(frame) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(errors.InvalidInputError, match="'maybe' is not among"):
        folder.pack(estimator, schema=NUMBERS, example=frame, positive="maybe")


class Harmless:
    """A class of the user's own."""

    def __init__(self):
        self.classes_ = np.array([0, 1])

    def predict_proba(self, rows):
        return np.full((len(rows), 2), 0.5)


def test_a_type_of_the_users_own_is_refused_by_name_with_the_remedy():
    with pytest.raises(errors.NotAllowedError, match=r"holds .*Harmless") as caught:
        folder.pack(
            Harmless(), schema=NUMBERS, example=pl.DataFrame({n: [1.0] for n in NUMBERS.names})
        )
    assert "steps" in caught.value.hint


def test_a_file_that_would_call_the_system_is_refused(tmp_path):
    estimator, frame, _ = fitted(one_hot)
    files = folder.pack(estimator, schema=SCHEMA, example=frame)
    bad = skops.io.dumps(FunctionTransformer(func=warnings.warn))
    with pytest.raises(errors.NotAllowedError, match="warn"):
        load.load({**files, folder.MODEL: bad})


def test_a_pickle_is_refused_under_any_name():
    estimator, frame, _ = fitted(one_hot)
    files = folder.pack(estimator, schema=SCHEMA, example=frame)
    with pytest.raises(errors.InvalidInputError, match="no skops file"):
        load.load({**files, folder.MODEL: b"\x80\x04cos\nsystem\n."})
    without = {path: data for path, data in files.items() if path != folder.MODEL}
    with pytest.raises(errors.NotAllowedError, match="pickled"):
        load.load({**without, "model.pkl": b"\x80\x04."})


def test_a_missing_file_is_named():
    estimator, frame, _ = fitted(one_hot)
    files = folder.pack(estimator, schema=SCHEMA, example=frame)
    del files[folder.DESCRIPTION]
    with pytest.raises(errors.InvalidInputError, match=r"no file homeostat\.json"):
        load.load(files)


def test_a_model_that_answers_differently_on_this_machine_is_refused():
    estimator, frame, _ = fitted(one_hot)
    files = folder.pack(estimator, schema=SCHEMA, example=frame)
    description = folder.read(files)
    shifted = tuple(min(score + 0.01, 1.0) for score in description.scores)
    changed = msgspec.json.encode(msgspec.structs.replace(description, scores=shifted))
    with pytest.raises(errors.UserCodeError, match="its own example differently"):
        load.load({**files, folder.DESCRIPTION: changed})


@pytest.mark.parametrize(
    ("estimator", "words"),
    [(LinearSVC(), "predict_proba"), (LogisticRegression(), "predict_proba")],
    ids=["no-probabilities", "not-fitted"],
)
def test_what_is_no_fitted_classifier_is_refused(estimator, words):
    x = np.random.default_rng(0).normal(size=(50, 4))
    if isinstance(estimator, LinearSVC):
        estimator.fit(x, x[:, 0] > 0)
    with pytest.raises(errors.InvalidInputError, match=words):
        folder.pack(
            estimator, schema=NUMBERS, example=pl.DataFrame(x, schema=list(NUMBERS.names))
        )


def test_one_class_only_is_refused():
    x = np.zeros((5, 4))
    estimator = DummyClassifier().fit(x, [1] * 5)
    with pytest.raises(errors.InvalidInputError, match="one class only"):
        folder.pack(
            estimator, schema=NUMBERS, example=pl.DataFrame(x, schema=list(NUMBERS.names))
        )


def test_a_missing_column_is_named():
    estimator, frame, _ = fitted(by_mask)
    predictor = load.load(folder.pack(estimator, schema=SCHEMA, example=frame))
    with pytest.raises(errors.InvalidInputError, match="'age'"):
        predictor.scores(frame.drop("age"))


def test_a_model_that_raises_becomes_one_sentence():
    frame, y = applications()
    strict = ColumnTransformer([("c", OneHotEncoder(), ["region"])])
    estimator = make_pipeline(strict, LogisticRegression()).fit(frame, y)
    predictor = load.load(folder.pack(estimator, schema=SCHEMA, example=frame))
    with pytest.raises(errors.UserCodeError, match="raised ValueError"):
        predictor.scores(frame[:2].with_columns(region=pl.lit("mars")))


@pytest.mark.parametrize("answer", [np.nan, np.inf, 1.5], ids=str)
def test_an_answer_that_is_no_probability_is_refused(answer):
    estimator, frame, _ = fitted(one_hot)
    predictor = load.load(folder.pack(estimator, schema=SCHEMA, example=frame))
    estimator = predictor._estimator
    estimator.predict_proba = lambda rows: np.full((len(rows), 2), answer)
    with pytest.raises(errors.UserCodeError, match="no probability"):
        predictor.scores(frame)


def test_an_answer_of_the_wrong_shape_is_refused():
    estimator, frame, _ = fitted(one_hot)
    predictor = load.load(folder.pack(estimator, schema=SCHEMA, example=frame))
    predictor._estimator.predict_proba = lambda rows: np.zeros(len(rows))
    with pytest.raises(errors.UserCodeError, match="shape"):
        predictor.scores(frame)


def test_the_folder_names_mlflows_flavours_and_the_types_it_must_trust(tmp_path):
    estimator, frame, _ = fitted(by_mask)
    files = folder.pack(estimator, schema=SCHEMA, example=frame, run_id="r1")
    folder.write_folder(files, tmp_path / "m")
    assert folder.read_folder(tmp_path / "m") == files
    about = yaml.safe_load(files[folder.MLMODEL])
    sklearn = about["flavors"]["sklearn"]
    assert about["flavors"]["python_function"]["loader_module"] == "mlflow.sklearn"
    assert sklearn["serialization_format"] == "skops"
    assert (
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
        in (sklearn["skops_trusted_types"])
    )
    inputs = msgspec.json.decode(about["signature"]["inputs"])
    assert inputs[0] == {"type": "double", "name": "income", "required": False}
    assert about["run_id"] == "r1"

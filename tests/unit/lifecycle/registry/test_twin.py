"""A version answers by an ONNX twin only where the twin answers as the original does."""

from __future__ import annotations

import json
import subprocess
import sys

import msgspec
import numpy as np
import polars as pl
import pytest
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from homeostat.foundation import errors
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.registry import (
    adopt,
    columns,
    described,
    load,
    twin,
    twin_models,
    twinned,
)
from homeostat.lifecycle.registry import format as folder

REGIONS = tuple(f"r{place:02d}" for place in range(12))
SCHEMA = Schema(
    (
        Column(name="income", kind="number", nullable=True),
        Column(name="region", kind="category", categories=REGIONS),
        Column(name="age", kind="integer"),
        Column(name="owns", kind="boolean"),
    )
)
NUMBERS = Schema(tuple(Column(name=f"x{i}", kind="number") for i in range(4)))


def applications(n=400, seed=0):
    rng = np.random.default_rng(seed)
    region = rng.integers(0, len(REGIONS), n)
    income = rng.normal(40, 10, n)
    frame = pl.DataFrame(
        {
            "income": np.where(rng.random(n) < 0.1, np.nan, income),
            "region": [REGIONS[place] for place in region],
            "age": rng.integers(18, 80, n),
            "owns": rng.random(n) < 0.5,
        }
    ).with_columns(pl.col("income").fill_nan(None))
    score = income + 12 * np.isin(region, [1, 2, 7, 11]) + rng.normal(0, 4, n)
    return frame, score > 44


def odd_rows():
    """Fresh rows, some with a region never seen, some without one, some without an income."""
    frame, _ = applications(120, seed=7)
    rows = {name: frame[name].to_list() for name in frame.columns}
    rows["region"][:20] = ["mars"] * 20
    rows["region"][20:40] = [None] * 20
    rows["income"][::9] = [None] * len(rows["income"][::9])
    return rows


def columns_of(encoder, numbers="passthrough"):
    parts = [("c", encoder, ["region", "owns"]), ("n", numbers, ["income", "age"])]
    return ColumnTransformer(parts)


def ordinal():
    return OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=10,
    )


def one_hot(**options):
    return OneHotEncoder(**{"handle_unknown": "ignore", **options})


def boosted(**options):
    return HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=9, **options)


def numbers():
    return make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())


PIPELINES = {
    "native-categories": lambda: make_pipeline(
        columns_of(ordinal()), boosted(categorical_features=[True, True, False, False])
    ),
    "codes": lambda: make_pipeline(columns_of(ordinal()), boosted()),
    "logistic": lambda: make_pipeline(columns_of(one_hot(), numbers()), LogisticRegression()),
    "rare-categories": lambda: make_pipeline(
        columns_of(
            one_hot(handle_unknown="infrequent_if_exist", min_frequency=30, drop="first"),
            make_pipeline(RobustScaler(), SimpleImputer(strategy="median"), MinMaxScaler()),
        ),
        LogisticRegression(),
    ),
    "logarithms": lambda: make_pipeline(
        columns_of(
            TargetEncoder(),
            make_pipeline(SimpleImputer(), FunctionTransformer(np.log1p), StandardScaler()),
        ),
        LogisticRegression(),
    ),
    "imputed-categories": lambda: make_pipeline(
        columns_of(
            make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot()), numbers()
        ),
        RandomForestClassifier(12, random_state=0),
    ),
    "chosen-columns": lambda: make_pipeline(
        columns_of(one_hot(sparse_output=False), numbers()),
        SelectKBest(k=6),
        ExtraTreesClassifier(12, random_state=0),
    ),
    "gradient-boosting": lambda: make_pipeline(
        columns_of(one_hot(), SimpleImputer()),
        StandardScaler(with_mean=False),
        GradientBoostingClassifier(n_estimators=12, random_state=0),
    ),
    "exponential-loss": lambda: make_pipeline(
        columns_of(one_hot(), SimpleImputer()),
        GradientBoostingClassifier(n_estimators=8, loss="exponential", random_state=0),
    ),
    "lightgbm": lambda: make_pipeline(
        columns_of(one_hot()), LGBMClassifier(n_estimators=12, verbose=-1, n_jobs=1)
    ),
    "xgboost": lambda: make_pipeline(
        columns_of(one_hot()), XGBClassifier(n_estimators=12, n_jobs=1)
    ),
}


def packed(estimator, *, schema=SCHEMA, n=400, labels=None, **options):
    """Fit and pack; the description, the files, and original and twin as they load."""
    frame, y = applications(n)
    estimator.fit(frame, y if labels is None else labels(frame, y))
    files = folder.pack(estimator, schema=schema, example=frame, **options)
    return described.read(files), files


def pair(files):
    return load.load(files), load.load_for_serving(files)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("name", PIPELINES)
def test_a_twin_answers_as_the_original_on_unseen_categories(name):
    about, files = packed(PIPELINES[name]())
    assert about.twin.refused == ""
    assert about.twin.rows > 400
    assert about.twin.gap <= 1e-6
    original, other = pair(files)
    assert (original.kind, other.kind) == (original.kind, "onnx")
    rows = odd_rows()
    expected = original.scores(rows)
    assert other.scores(rows) == pytest.approx(expected, abs=1e-6)
    alone = {name: values[-1:] for name, values in rows.items()}
    assert other.scores(alone) == pytest.approx(expected[-1:], abs=1e-6)


@pytest.mark.parametrize("name", ["native-categories", "logistic", "lightgbm", "xgboost"])
def test_a_twin_of_three_classes_answers_for_the_positive_one(name):
    def three(frame, y):
        return np.where(frame["age"].to_numpy() > 60, 2, y.astype(int))

    about, files = packed(PIPELINES[name](), labels=three, positive=1)
    assert about.twin.refused == ""
    original, other = pair(files)
    rows = odd_rows()
    assert other.scores(rows) == pytest.approx(original.scores(rows), abs=1e-6)


@pytest.mark.parametrize("positive", ["no", "yes"])
def test_a_twin_answers_for_either_label(positive):
    def texts(_, y):
        return np.where(y, "yes", "no")

    _, files = packed(PIPELINES["codes"](), labels=texts, positive=positive)
    original, other = pair(files)
    assert other.kind == "onnx"
    assert other.scores(odd_rows()) == pytest.approx(original.scores(odd_rows()), abs=1e-9)


@pytest.mark.parametrize(
    "estimator",
    [
        boosted(categorical_features=[1, 3]),
        LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1, min_child_samples=5),
        LGBMClassifier(
            n_estimators=9, boosting_type="rf", subsample=0.7, subsample_freq=1, verbose=-1
        ),
        XGBClassifier(n_estimators=10, n_jobs=1),
        DecisionTreeClassifier(max_depth=4),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_model_of_a_matrix_has_a_twin(estimator):
    frame, y = applications()
    fitting = {}
    if isinstance(estimator, LGBMClassifier) and estimator.boosting_type == "gbdt":
        fitting = {"categorical_feature": [1]}
    estimator.fit(columns.matrix(frame, SCHEMA), y, **fitting)
    files = folder.pack(estimator, schema=SCHEMA, example=frame)
    assert described.read(files).twin.refused == ""
    original, other = pair(files)
    assert other.scores(odd_rows()) == pytest.approx(original.scores(odd_rows()), abs=1e-6)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (FunctionTransformer(np.sin), "FunctionTransformer(sin)"),
        (make_pipeline(SimpleImputer(), MinMaxScaler(clip=True)), "MinMaxScaler clips"),
    ],
    ids=["function", "clip"],
)
def test_a_pipeline_without_a_converter_serves_the_original_and_says_why(part, words):
    pipeline = make_pipeline(columns_of(one_hot(), part), boosted())
    pipeline.steps[0][1].set_params(sparse_threshold=0)
    about, files = packed(pipeline)
    assert about.twin.file == ""
    assert twin.FILE not in files
    assert words in about.twin.refused
    assert load.load_for_serving(files).kind == "estimator"


def test_a_classifier_without_a_converter_is_named():
    x = np.random.default_rng(0).normal(size=(80, 4))
    frame = pl.DataFrame(x, schema=list(NUMBERS.names))
    files = folder.pack(GaussianNB().fit(x, x[:, 0] > 0), schema=NUMBERS, example=frame)
    assert described.read(files).twin.refused == "GaussianNB has no counterpart in ONNX here"


def balanced():
    """A forest of two trees that disagree: scores of exactly 0.5 are a hair from a label."""
    x = np.array([[0.0], [1.0]])
    trees = RandomForestClassifier(2, bootstrap=False, random_state=0).fit(x, [0, 1])
    return trees, pl.DataFrame({"x0": [0.0, 0.25, 1.0]})


@pytest.mark.parametrize(
    ("change", "words"),
    [(-1e-9, "another label"), (-2e-5, "1e-05 is the most")],
    ids=["label", "difference"],
)
def test_a_twin_that_changes_a_label_is_refused(monkeypatch, change, words):
    estimator, frame = balanced()
    estimator.estimators_[1].tree_.value[:] = 1.0 - estimator.estimators_[0].tree_.value
    schema = Schema((Column(name="x0", kind="number"),))
    honest = described.read(folder.pack(estimator, schema=schema, example=frame)).twin
    assert (honest.file, honest.gap) == (twin.FILE, 0.0)
    read = twin_models.read

    def rounded(classifier, positive):
        found = read(classifier, positive)
        return found._replace(start=found.start + change * found.factor)

    monkeypatch.setattr(twin_models, "read", rounded)
    refused = described.read(folder.pack(estimator, schema=schema, example=frame)).twin
    assert refused.file == ""
    assert words in refused.refused


def test_thresholds_are_compared_in_the_precision_of_the_library():
    """Rows around every threshold, closer than single precision tells apart."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    frame = pl.DataFrame(x, schema=list(NUMBERS.names))
    for estimator in (
        RandomForestClassifier(5, random_state=0),
        boosted(),
        XGBClassifier(n_estimators=5, n_jobs=1),
    ):
        estimator.fit(x, x[:, 0] * x[:, 1] > 0)
        files = folder.pack(estimator, schema=NUMBERS, example=frame)
        original, other = pair(files)
        (forest,) = [twin_models.read(estimator, 1).body]
        close = x[:64].copy()
        for tree in forest.trees:
            for at in range(len(tree.features)):
                row = close[at % 64]
                row[tree.features[at]] = tree.thresholds[at] * (
                    1 + rng.choice([-1e-9, 0, 1e-9])
                )
        rows = {name: close[:, place].tolist() for place, name in enumerate(NUMBERS.names)}
        assert other.scores(rows) == pytest.approx(original.scores(rows), abs=1e-6)


def test_what_the_original_refuses_its_twin_refuses():
    strict = make_pipeline(columns_of(OneHotEncoder(), numbers()), LogisticRegression())
    _, files = packed(strict)
    original, other = pair(files)
    assert other.kind == "onnx"
    row = {"income": [40.0], "region": ["r01"], "age": [40], "owns": [True]}
    assert other.scores(row) == pytest.approx(original.scores(row))
    for odd in ("mars", None):
        for asked in (original, other):
            with pytest.raises(errors.UserCodeError, match="raised ValueError"):
                asked.scores({**row, "region": [odd]})


@pytest.mark.parametrize("last", [LogisticRegression(), GradientBoostingClassifier()])
def test_a_missing_number_that_the_original_refuses_is_not_answered(last):
    x = np.random.default_rng(0).normal(size=(80, 4))
    frame = pl.DataFrame(x, schema=list(NUMBERS.names))
    files = folder.pack(last.fit(x, x[:, 0] > 0), schema=NUMBERS, example=frame)
    other = load.load_for_serving(files)
    assert other.kind == "onnx"
    for n_rows in (1, 3):
        rows = {name: [0.5] * n_rows for name in NUMBERS.names}
        rows["x2"][-1] = None
        with pytest.raises(
            errors.UserCodeError, match=r"answers nothing where .x2. is missing"
        ):
            other.scores(rows)


def test_missing_columns_and_columns_of_other_lengths_are_named():
    _, files = packed(PIPELINES["codes"]())
    other = load.load_for_serving(files)
    rows = odd_rows()
    with pytest.raises(errors.InvalidInputError, match="'age'"):
        other.scores({name: values for name, values in rows.items() if name != "age"})
    with pytest.raises(errors.InvalidInputError, match="differ in length"):
        other.scores({**rows, "age": [3]})
    assert other.scores({name: [] for name in rows}).shape == (0,)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A version in a folder."""
    _, files = packed(PIPELINES["native-categories"]())
    place = tmp_path_factory.mktemp("version")
    folder.write_folder(files, place)
    return files, place


def test_a_version_with_a_twin_is_served_without_reading_its_original(kept):
    files, place = kept
    read = []

    def reads(path):
        read.append(path)
        return (place / path).read_bytes()

    lazy = described.Kept({path: path for path in files}, reads)
    assert load.load_for_serving(lazy).kind == "onnx"
    assert sorted(read) == [folder.DESCRIPTION, twin.FILE]
    assert lazy.bytes_read == len(files[folder.DESCRIPTION]) + len(files[twin.FILE])
    assert dict(lazy) == files


def test_a_process_that_serves_a_twin_imports_no_library_of_the_original(kept):
    files, place = kept
    program = """
import json, sys, pathlib
from homeostat.lifecycle.registry import described, load
place = pathlib.Path(sys.argv[1])
found = load.load_for_serving(described.Kept(
    {p: p for p in sys.argv[2:]}, lambda p: (place / p).read_bytes()))
about = found.description
gap = max(abs(found.scores(about.example) - about.scores))
heavy = "sklearn skops scipy pandas polars yaml onnx lightgbm xgboost sqlalchemy httpx pyarrow"
print(json.dumps([found.kind, float(gap), [n for n in heavy.split() if n in sys.modules]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(place), *files],
        capture_output=True,
        check=True,
        text=True,
    )
    kind, gap, heavy = json.loads(done.stdout)
    assert (kind, heavy) == ("onnx", [])
    assert gap < 1e-9


def test_a_twin_that_does_not_prove_itself_here_leaves_the_answer_to_the_original(kept, caplog):
    files, _ = kept
    about = described.read(files)
    for broken in (
        {path: data for path, data in files.items() if path != twin.FILE},
        {**files, twin.FILE: b"no model"},
        {**files, twin.FILE: shifted(files[twin.FILE])},
    ):
        found = load.load_for_serving(broken)
        assert found.kind != "onnx"
        assert found.scores(about.example) == pytest.approx(about.scores)


def shifted(data):
    """The same twin with its inputs in another order."""
    import onnx  # noqa: PLC0415 - what a stranger might have done to the file

    model = onnx.load_from_string(data)
    (told,) = model.metadata_props
    inputs = msgspec.json.decode(told.value)
    told.value = msgspec.json.encode(inputs[::-1]).decode()
    return model.SerializeToString()


def test_a_twin_that_fails_on_rows_held_out_is_taken_off(kept):
    files, _ = kept
    frame, _ = applications(60, seed=3)
    original = load.load(files)
    assert twin.checked(files, original, frame) == files
    for forged in (shifted(files[twin.FILE]), b"no model"):
        without = twin.checked({**files, twin.FILE: forged}, original, frame)
        assert twin.FILE not in without
        assert "failed on rows it was not made on" in described.read(without).twin.refused
        assert load.load_for_serving(without).kind == "trees"


def test_a_twin_of_another_schema_is_refused(kept):
    files, _ = kept
    about = described.read(files)
    other = msgspec.structs.replace(about, schema=NUMBERS)
    with pytest.raises(errors.InvalidInputError, match="is no feature"):
        twinned.Twinned(files[twin.FILE], other)


def test_a_version_older_than_twins_is_read_and_served(kept):
    files, _ = kept
    old = msgspec.json.decode(files[folder.DESCRIPTION])
    del old["twin"]
    older = {**files, folder.DESCRIPTION: msgspec.json.encode(old)}
    assert described.read(older).twin.file == ""
    assert load.load_for_serving(older).kind == "trees"


def logged(flavour, file, data):
    """The files that MLflow writes for a native model, as far as they are read."""
    about = {"flavors": {flavour: {"data": file, "model_class": "xgboost.core.Booster"}}}
    return {"MLmodel": json.dumps(about).encode(), file: data}


def labelled():
    rng = np.random.default_rng(2)
    rows = pl.DataFrame(rng.normal(size=(300, 3)), schema=["a", "b", "c"])
    return rows, rows.with_columns(bad=(pl.col("a") * pl.col("b") > 0).cast(pl.Int64))


def native(flavour):
    rows, table = labelled()
    x, y = rows.to_pandas(), table["bad"].to_numpy()
    if flavour == "lightgbm":
        fitted = LGBMClassifier(n_estimators=8, verbose=-1, n_jobs=1).fit(x, y)
        return logged(flavour, "model.lgb", fitted.booster_.model_to_string().encode())
    booster = XGBClassifier(n_estimators=8, n_jobs=1).fit(x, y).get_booster()
    return logged(flavour, "model.ubj", bytes(booster.save_raw("ubj")))


@pytest.mark.parametrize("flavour", ["lightgbm", "xgboost"])
def test_an_adopted_model_answers_by_the_twin_in_its_description(flavour):
    files = native(flavour)
    rows, table = labelled()
    found = adopt.adopt(files, table, target="bad")
    assert found.description.twin.refused == ""
    stored = {**files, folder.DESCRIPTION: msgspec.json.encode(found.description)}
    original, other = pair(stored)
    assert other.kind == "onnx"
    assert other.scores(rows) == pytest.approx(original.scores(rows), abs=1e-6)


def test_a_twin_too_large_for_a_description_is_not_carried(monkeypatch):
    monkeypatch.setattr(twin, "CARRIED_AT_MOST", 100)
    _, table = labelled()
    said = adopt.adopt(native("lightgbm"), table, target="bad").description.twin
    assert (said.file, said.data) == ("", b"")
    assert "100 are the most" in said.refused


def test_a_twin_does_not_stand_in_for_trust_that_was_taken_back(kept):
    files, _ = kept
    about = msgspec.structs.replace(described.read(files), loader="pickle")
    untrusted = {**files, folder.DESCRIPTION: msgspec.json.encode(about)}
    with pytest.raises(errors.NotAllowedError, match="is pickled and is not loaded"):
        load.load_for_serving(untrusted)
    assert load.load_for_serving(untrusted, is_trusted=True).kind == "onnx"

"""A folder that MLflow wrote becomes a model that can be served, or one clear sentence."""

from __future__ import annotations

import json
import pathlib

import cloudpickle
import msgspec
import numpy as np
import polars as pl
import pytest
import skops.io
import yaml
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from homeostat.foundation import errors
from homeostat.lifecycle.registry import adopt, load, mlmodel
from homeostat.lifecycle.registry import format as folder

KINDS = {"age": "long", "income": "double", "job": "string", "is_new": "boolean"}


def applicants(n=300, *, label=("no", "yes")):
    rng = np.random.default_rng(3)
    age = rng.integers(18, 80, n)
    income = rng.normal(40_000, 9_000, n)
    job = rng.choice(["clerk", "cook", "nurse"], n)
    is_new = rng.random(n) < 0.4
    bad = rng.random(n) < 1 / (1 + np.exp((income - 38_000) / 5_000 + (job == "cook")))
    return pl.DataFrame(
        {
            "key": [f"k{i}" for i in range(n)],
            "age": age,
            "income": income,
            "job": job,
            "is_new": is_new,
            "bad": [label[int(one)] for one in bad],
        }
    )


def fitted(rows):
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["job"]),
        (StandardScaler(), ["age", "income"]),
        remainder="passthrough",
    )
    model = make_pipeline(columns, LogisticRegression())
    return model.fit(rows.select(*KINDS).to_pandas(), rows["bad"].to_numpy())


def signature(kinds=KINDS, *, optional=()):
    return json.dumps(
        [
            {"type": kind, "name": name, "required": name not in optional}
            for name, kind in kinds.items()
        ]
    )


def signed(inputs):
    flavours = {"python_function": {"x": 1}}
    return yaml.safe_dump({"flavors": flavours, "signature": {"inputs": inputs}}).encode()


def logged(model, *, pickled=False, inputs=None, **more):
    """The files that MLflow's sklearn flavour writes, as far as they are read."""
    file = "model.pkl" if pickled else "model.skops"
    sklearn = {"pickled_model": file, "serialization_format": "cloudpickle"}
    about = {
        "flavors": {
            "python_function": {"loader_module": "mlflow.sklearn", "python_version": "3.11.7"},
            "sklearn": sklearn,
        },
        "mlflow_version": "3.18.0",
        "signature": {"inputs": inputs} if inputs else None,
        **more,
    }
    data = cloudpickle.dumps(model) if pickled else skops.io.dumps(model)
    return {"MLmodel": yaml.safe_dump(about).encode(), file: data}


def served(files, found, *, is_trusted=False):
    described = msgspec.json.encode(found.description)
    return load.load({**files, folder.DESCRIPTION: described}, is_trusted=is_trusted)


@pytest.mark.parametrize("pickled", [False, True], ids=["skops", "pickle"])
def test_an_adopted_model_answers_exactly_what_the_estimator_answers(pickled):
    rows = applicants()
    model = fitted(rows)
    files = logged(model, pickled=pickled, inputs=signature())
    found = adopt.adopt(files, rows, target="bad", is_trusted=pickled)
    fresh = applicants(50).select(*KINDS)
    expected = model.predict_proba(fresh.to_pandas())[:, 1]
    answered = served(files, found, is_trusted=pickled).scores(fresh)
    assert answered.tolist() == expected.tolist()
    assert found.description.classes == ("no", "yes")
    assert found.description.loader == ("pickle" if pickled else "skops")
    assert found.truth.tolist() == (rows["bad"] == "yes").to_list()
    assert found.scores.tolist() == model.predict_proba(rows.to_pandas())[:, 1].tolist()


def test_columns_have_the_kinds_of_the_signature_and_what_the_rows_show():
    rows = applicants()
    rows = rows.with_columns(
        income=pl.when(pl.int_range(pl.len()) % 50 == 0).then(None).otherwise("income")
    )
    whole = rows.with_columns(pl.col("income").fill_null(1.0))
    files = logged(fitted(whole), inputs=signature(optional=("age",)))
    schema = adopt.adopt(files, whole, target="bad").description.schema
    kinds = {one.name: (one.kind, one.nullable) for one in schema.columns}
    assert kinds == {
        "age": ("integer", True),
        "income": ("number", False),
        "job": ("category", False),
        "is_new": ("boolean", False),
    }
    assert schema.find("job").categories == ("clerk", "cook", "nurse")


def test_a_pickle_that_nobody_trusts_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return pathlib.Path.touch, (tmp_path / "sprung",)

    rows = applicants()
    files = {**logged(fitted(rows), pickled=True), "model.pkl": cloudpickle.dumps(Trap())}
    with pytest.raises(errors.NotAllowedError, match="pickled") as caught:
        adopt.adopt(files, rows, target="bad")
    assert "homeostat model trust" in caught.value.hint
    assert not (tmp_path / "sprung").exists()
    described = adopt.adopt(
        logged(fitted(rows), pickled=True), rows, target="bad", is_trusted=True
    ).description
    for loader in ("pickle", "pyfunc", "skops-any", "anything"):
        forged = msgspec.structs.replace(described, loader=loader)
        with pytest.raises(errors.NotAllowedError, match="not loaded"):
            load.load({**files, folder.DESCRIPTION: msgspec.json.encode(forged)})
    assert not (tmp_path / "sprung").exists()


def test_skops_with_types_of_ones_own_needs_the_same_trust():
    rows = applicants()
    own = FunctionTransformer(json.dumps)
    model = fitted(rows)
    model.steps.insert(0, ("own", own))
    files = logged(model, inputs=signature())
    with pytest.raises(errors.NotAllowedError, match="not on the list") as caught:
        adopt.adopt(files, rows, target="bad")
    assert "homeostat model trust" in caught.value.hint


def test_a_model_without_names_takes_the_other_columns_in_order():
    rows = applicants().select("key", "age", "income", "bad")
    model = LogisticRegression().fit(
        rows.select("age", "income").to_numpy(), rows["bad"].to_numpy()
    )
    spec = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]
    files = logged(model, inputs=json.dumps(spec))
    found = adopt.adopt(files, rows, target="bad", apart=("key",))
    assert found.description.schema.names == ("age", "income")
    assert not found.description.by_name
    with pytest.raises(errors.InvalidInputError, match=r"2 columns without names.* has 3"):
        adopt.adopt(files, rows, target="bad")


class Ranking(LogisticRegression):
    """Answers by the place of a row among the others."""

    def predict_proba(self, rows):
        order = np.argsort(np.argsort(super().predict_proba(rows)[:, 1])) / len(rows)
        return np.column_stack([1 - order, order])


def test_a_model_that_looks_at_the_other_rows_of_a_call_cannot_be_served():
    rows = applicants().select("age", "income", "bad")
    model = Ranking().fit(rows.select("age", "income").to_pandas(), rows["bad"].to_numpy())
    with pytest.raises(errors.InvalidInputError, match="asked about other rows with it"):
        adopt.adopt(logged(model, pickled=True), rows, target="bad", is_trusted=True)


def test_the_positive_class_may_be_named_and_labels_must_be_known():
    rows = applicants(label=(0, 1))
    files = logged(fitted(rows), inputs=signature())
    found = adopt.adopt(files, rows, target="bad", positive=0)
    assert found.truth.tolist() == (rows["bad"] == 0).to_list()
    as_bool = rows.with_columns(pl.col("bad") == 1)
    assert adopt.adopt(files, as_bool, target="bad").truth.tolist() == as_bool["bad"].to_list()
    as_float = rows.with_columns(pl.col("bad").cast(pl.Float64))
    assert adopt.adopt(files, as_float, target="bad").truth.any()
    with pytest.raises(errors.InvalidInputError, match="the label 'clerk'"):
        adopt.adopt(files, rows.drop("bad").with_columns(bad="job"), target="bad")


def test_rows_that_do_not_fit_are_refused_by_name():
    rows = applicants()
    files = logged(fitted(rows), inputs=signature())
    with pytest.raises(errors.InvalidInputError, match="takes 'income', which is no column"):
        adopt.adopt(files, rows.rename({"income": "incme"}), target="bad")
    with pytest.raises(errors.InvalidInputError, match="'age' of the table is category"):
        adopt.adopt(files, rows.with_columns(age=pl.lit("old")), target="bad")
    with pytest.raises(errors.InvalidInputError, match="target column 'worse'"):
        adopt.adopt(files, rows, target="worse")
    with pytest.raises(errors.InvalidInputError, match="no row has a label"):
        adopt.adopt(files, rows.with_columns(bad=pl.lit(None, pl.String)), target="bad")


def test_a_regressor_answers_numbers_and_only_where_the_task_says_so():
    rows = applicants().select("age", "income", "bad")
    model = LinearRegression().fit(rows.select("age").to_pandas(), rows["income"].to_numpy())
    files, labelled = logged(model), rows.rename({"income": "bad", "bad": "income"})
    with pytest.raises(errors.InvalidInputError, match="LinearRegression is no fitted class"):
        adopt.adopt(files, rows, target="bad")
    found = adopt.adopt(files, labelled, target="bad", is_regression=True)
    assert found.truth.tolist() == rows["income"].to_list()
    assert found.description.task == "regression"
    assert found.description.twin.file
    expected = model.predict(rows.select("age").to_pandas())
    assert served(files, found).scores(rows).tolist() == pytest.approx(expected.tolist())
    with pytest.raises(errors.InvalidInputError, match="'bad' holds no number"):
        adopt.adopt(files, rows, target="bad", is_regression=True)
    grouped = logged(LogisticRegression().fit(rows.select("age").to_pandas(), rows["bad"]))
    with pytest.raises(errors.InvalidInputError, match="LogisticRegression is no regressor"):
        adopt.adopt(grouped, labelled, target="bad", is_regression=True)


def test_several_classes_have_a_score_each_unless_one_is_named():
    rows = applicants()
    kinds = [("low", "middle", "high")[at % 3] for at in range(rows.height)]
    rows = rows.with_columns(pl.Series("grade", kinds))
    names = ["age", "income"]
    model = LogisticRegression(max_iter=1000)
    model.fit(rows.select(names).to_pandas(), rows["grade"].to_list())
    files = logged(model)
    found = adopt.adopt(files, rows, target="grade")
    assert found.description.task == "multiclass"
    assert found.description.classes == ("high", "low", "middle")
    assert [found.description.classes[at] for at in found.truth] == rows["grade"].to_list()
    expected = model.predict_proba(rows.select(names).to_pandas())
    assert served(files, found).scores(rows).tolist() == expected.tolist()
    assert found.scores.tolist() == expected.tolist()
    one = adopt.adopt(files, rows, target="grade", positive="low")
    assert one.scores.tolist() == expected[:, 1].tolist()
    assert one.truth.tolist() == (rows["grade"] == "low").to_list()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"flavors: [", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"- a\n- b", "no keys"),
        (b"name: x", "no flavour"),
        (b"flavors: {onnx: {data: model.onnx}}", "no flavour that can be loaded"),
        (b"flavors: {sklearn: {pickled_model: other.pkl}}", "'other.pkl'"),
        (b"a: &a [1]\nflavors: {sklearn: *a}", "an alias"),
        (b"flavors: {python_function: {x: 1}}\nsignature: {inputs: '[{'}", "signature"),
        (signed('[{"type": "array", "name": "v"}]'), "type 'array'"),
        (signed('[{"type": "tensor", "tensor-spec": {"shape": [9]}}]'), "only rows of columns"),
        (b"!!python/object/apply:os.system [true]", "cannot be read"),
    ],
)
def test_a_bad_mlmodel_is_refused_with_a_reason(text, said):
    with pytest.raises(errors.InvalidInputError, match=said):
        mlmodel.read({"MLmodel": text})


def test_what_an_mlmodel_says_is_told():
    told = mlmodel.read(logged(object(), pickled=True, inputs=signature(), run_id="r"))
    assert (told.flavour, told.loader, told.file) == ("sklearn", "pickle", "model.pkl")
    assert told.needs_trust
    assert (told.mlflow, told.python, told.run_id) == ("3.18.0", "3.11.7", "r")
    assert [one.name for one in told.inputs] == list(KINDS)
    old = {"inputs": '[{"type": "double", "name": "x", "optional": true}, {"type": "long"}]'}
    text = yaml.safe_dump({"flavors": {"python_function": {"x": 1}}, "signature": old})
    told = mlmodel.read({"MLmodel": text.encode()})
    assert (told.loader, told.inputs, told.width) == ("pyfunc", None, 2)


@pytest.mark.parametrize(
    ("about", "package"),
    [
        ({"lightgbm": {"data": "model.lgb"}}, "lightgbm"),
        ({"xgboost": {"data": "model.ubj"}}, "xgboost"),
        ({"python_function": {"loader_module": "x"}}, "mlflow"),
    ],
    ids=["lightgbm", "xgboost", "python_function"],
)
def test_a_missing_package_is_one_clear_sentence(about, package, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    files = {"MLmodel": yaml.safe_dump({"flavors": about}).encode()}
    files |= {part["data"]: b"tree" for part in about.values() if "data" in part}
    with pytest.raises(errors.InvalidInputError, match=f"package {package}, which is not"):
        adopt.adopt(files, applicants(), target="bad", is_trusted=True)

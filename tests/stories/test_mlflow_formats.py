"""What the stock client writes of LightGBM, XGBoost and Python models is read as it is meant.

Runs where the stock client's environment is there, with its libraries behind our own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
KNOWN = (os.environ.get("HOMEOSTAT_TEST_MLFLOW", ""), str(ROOT / ".venv-mlflow3/bin/python"))
STOCK = next((one for one in KNOWN if one and Path(one).is_file()), "")
LONGEST_S = 300
WRITE = """
import sys
import lightgbm, mlflow, numpy as np, pandas as pd, xgboost
from sklearn.datasets import make_classification

folder = sys.argv[1]
X, y = make_classification(600, 4, random_state=0)
rows = pd.DataFrame(X, columns=list("abcd")).astype({"a": "float32"})
rows.assign(y=y).to_parquet(folder + "/rows.parquet")
forest = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(rows, y)
trees = xgboost.XGBClassifier(n_estimators=5).fit(rows, y)
several = xgboost.XGBClassifier(n_estimators=5).fit(rows, y + (rows.b > 0))
several_lgbm = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(rows, y + (rows.b > 0))
several_own = several_lgbm.booster_
numbers = xgboost.XGBRegressor(n_estimators=5).fit(rows, 10 * rows.a + y)
numbers_lgbm = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1).fit(rows, 10 * rows.a + y)
booster = trees.get_booster()


class Own(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        assert model_input["a"].dtype == "float32"
        return 1 / (1 + np.exp(-model_input["b"].to_numpy()))


class Numbers(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return 10.0 * model_input["a"].to_numpy() + 1.0


class Labels(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return (model_input["b"] > 0).astype(int).to_numpy()


def chances(model):
    found = model.predict_proba(rows)
    return found[:, -1] if found.shape[1] == 2 else found


def save(name, saver, model, expected, **more):
    needs = {"pip_requirements": ["numpy"]}  # given: else a process of its own finds them out
    saver(model, f"{folder}/{name}", input_example=rows.head(3), **needs, **more)
    np.save(f"{folder}/{name}.npy", expected)


save("lgbm", mlflow.lightgbm.save_model, forest, chances(forest))
save("lgbm-booster", mlflow.lightgbm.save_model, forest.booster_, chances(forest))
save("xgb", mlflow.xgboost.save_model, trees, chances(trees))
save("xgb-json", mlflow.xgboost.save_model, trees, chances(trees), model_format="json")
save("xgb-booster", mlflow.xgboost.save_model, booster, booster.predict(xgboost.DMatrix(rows)))
save("xgb-several", mlflow.xgboost.save_model, several, chances(several))
save("xgb-several-booster", mlflow.xgboost.save_model, several.get_booster(), chances(several))
save("lgbm-several-booster", mlflow.lightgbm.save_model, several_own, several_own.predict(rows))
save("xgb-number", mlflow.xgboost.save_model, numbers, numbers.predict(rows))
own_numbers = numbers.get_booster()
save("xgb-number-booster", mlflow.xgboost.save_model, own_numbers, numbers.predict(rows))
own_numbers = numbers_lgbm.booster_
save("lgbm-number-booster", mlflow.lightgbm.save_model, own_numbers, numbers_lgbm.predict(rows))
save("xgb-regressor", mlflow.xgboost.save_model, numbers, [])
for name, model in (("own", Own()), ("own-number", Numbers()), ("labels", Labels())):
    example = {"input_example": rows.head(3), "pip_requirements": ["numpy"]}
    mlflow.pyfunc.save_model(f"{folder}/{name}", python_model=model, **example)
np.save(f"{folder}/own.npy", Own().predict(None, rows))
np.save(f"{folder}/own-number.npy", Numbers().predict(None, rows))
np.save(f"{folder}/labels.npy", [])
"""
READ = """
import json, pathlib, sys, warnings
folder = pathlib.Path(sys.argv[1])
sys.path.append(sys.argv[2])
warnings.simplefilter("ignore")
import msgspec, numpy as np, polars as pl
from homeostat.foundation import errors
from homeostat.lifecycle.registry import adopt, load
from homeostat.lifecycle.registry import format as formats

said = {}
for file in sorted(folder.glob("*.npy")):
    files = formats.read_folder(folder / file.stem)
    rows = pl.read_parquet(folder / "rows.parquet")
    if "several" in file.stem:
        rows = rows.with_columns(y=pl.col("y") + (pl.col("b") > 0))
    try:
        is_trusted = "own" in file.stem or file.stem == "labels"
        how = {"is_trusted": is_trusted, "is_regression": "number" in file.stem}
        found = adopt.adopt(files, rows, target="y", **how)
        told = {**files, formats.DESCRIPTION: msgspec.json.encode(found.description)}
        scores = load.load(told, is_trusted=is_trusted).scores(rows)
        gap = float(np.abs(scores - np.load(file)).max())
        said[file.stem] = [found.description.loader, gap]
    except errors.HomeostatError as error:
        said[file.stem] = [type(error).__name__, error.message]
print("SAID" + json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What came of each kind of model: how it is read, and the largest gap of its scores."""
    if not STOCK:
        pytest.skip("no environment with the stock client of MLflow")
    folder = str(tmp_path_factory.mktemp("formats"))
    libraries = str(next(Path(STOCK).parents[1].glob("lib/python3*/site-packages")))
    environment = {"PATH": os.environ["PATH"], "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["PYTHONPATH"] = str(ROOT / "src")
    environment["OMP_NUM_THREADS"] = "1"
    for python, script in ((STOCK, WRITE), (sys.executable, READ)):
        done = subprocess.run(
            [python, "-c", script, folder, libraries],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    line = next(one for one in done.stdout.splitlines() if one.startswith("SAID"))
    return json.loads(line.removeprefix("SAID"))


@pytest.mark.parametrize(
    ("name", "loader"),
    [
        ("lgbm", "skops"),
        ("lgbm-booster", "lightgbm"),
        ("xgb", "xgboost"),
        ("xgb-json", "xgboost"),
        ("xgb-booster", "xgboost"),
        ("xgb-several", "xgboost"),
        ("xgb-several-booster", "xgboost"),
        ("lgbm-several-booster", "lightgbm"),
        ("xgb-number", "xgboost"),
        ("xgb-number-booster", "xgboost"),
        ("lgbm-number-booster", "lightgbm"),
        ("own", "pyfunc"),
        ("own-number", "pyfunc"),
    ],
)
def test_a_model_scores_as_in_the_library_that_made_it(said, name, loader):
    assert said[name] == [loader, 0.0]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("xgb-regressor", "model.ubj"), ("labels", "labels or numbers that are no probability")],
)
def test_a_model_without_probabilities_is_refused_in_a_sentence(said, name, sentence):
    kind, message = said[name]
    assert kind == "InvalidInputError"
    assert sentence in message

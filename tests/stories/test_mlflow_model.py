"""A model registered through MLflow is gated, approved, deployed and watched: real processes.

The stock client logs it where there is one (`HOMEOSTAT_TEST_MLFLOW` names its Python, or the
environment `.venv-mlflow3` beside the sources); a few calls of its protocol do always.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import cloudpickle
import httpx
import numpy as np
import polars as pl
import pytest
import skops.io
import yaml
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import nursery
import processes
from homeostat.doors import local
from homeostat.doors.cli.demo import lender

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
KNOWN = (os.environ.get("HOMEOSTAT_TEST_MLFLOW", ""), str(ROOT / ".venv-mlflow3/bin/python"))
STOCK = next((one for one in KNOWN if one and Path(one).is_file()), "")
TYPES = ("double", "double", "double", "double", "string")
LOG = """
import json, sys
import mlflow, pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

url, table = sys.argv[1:3]
rows = pd.read_csv(table)
mlflow.set_tracking_uri(url)
mlflow.set_experiment("loans")
X, y = rows.drop(columns="defaulted"), rows["defaulted"]
columns = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), ["region"]), remainder=StandardScaler()
)
with mlflow.start_run():
    model = make_pipeline(columns, LogisticRegression()).fit(X, y)
    more = {"name" if mlflow.__version__ >= "3" else "artifact_path": "m"}
    mlflow.sklearn.log_model(
        model,
        registered_model_name="credit",
        input_example=X.head(5),
        pip_requirements=["scikit-learn"],
        **more,
    )
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    home = tmp_path_factory.mktemp("mlflow") / "home"
    (home / "project").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    with processes.Household(home) as started:
        yield started.start()


@pytest.fixture(scope="module")
def bank():
    return lender.Lender(3)


class Person:
    """Somebody at a shell in the project's folder."""

    def __init__(self, household):
        self._household = household

    def says(self, *words):
        """Run a command; return its exit code, output and complaint."""
        environment = {**self._household.environment, "HOMEOSTAT_URL": self._household.url}
        done = nursery.run(
            words,
            environment=environment,
            folder=self._household.home / "project",
            timeout=processes.LONG_S,
        )
        return done.returncode, done.stdout, done.stderr

    def does(self, *words):
        code, told, complaint = self.says(*words)
        assert code == 0, complaint or told
        return told


def fitted(rows):
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["region"]), remainder=StandardScaler()
    )
    model = make_pipeline(columns, LogisticRegression())
    return model.fit(rows.select(lender.FEATURES).to_pandas(), rows["defaulted"].to_numpy())


def log_by_hand(url, rows, *, pickled):
    """Do what log_model of a 3.x client does, as far as a version needs it."""
    file = "model.pkl" if pickled else "model.skops"
    inputs = [
        {"type": kind, "name": name, "required": True}
        for name, kind in zip(lender.FEATURES, TYPES, strict=True)
    ]
    about = {
        "flavors": {
            "python_function": {"loader_module": "mlflow.sklearn", "model_path": file},
            "sklearn": {"pickled_model": file, "serialization_format": "cloudpickle"},
        },
        "signature": {"inputs": json.dumps(inputs)},
    }
    model = fitted(rows)
    data = cloudpickle.dumps(model) if pickled else skops.io.dumps(model)
    files = {"MLmodel": yaml.safe_dump(about).encode(), file: data}
    with httpx.Client(base_url=f"{url}/api/2.0", trust_env=False, timeout=180) as http:

        def call(verb, path, body):
            answer = http.request(verb, f"/mlflow/{path}", json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        run = call("POST", "runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
        logged = call(
            "POST",
            "logged-models",
            {"experiment_id": "0", "name": "m", "source_run_id": run},
        )["model"]["info"]
        model_id = logged["model_id"]
        outputs = [{"model_id": model_id, "step": 0}]
        call("POST", "runs/outputs", {"run_id": run, "models": outputs})
        place = logged["artifact_uri"].removeprefix("mlflow-artifacts:/")
        for path, content in files.items():
            address = f"/mlflow-artifacts/artifacts/{place}/{path}"
            assert http.put(address, content=content).status_code == 200
        ready = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
        call("PATCH", f"logged-models/{model_id}", ready)
        if http.get("/mlflow/registered-models/get?name=credit").status_code == 404:
            call("POST", "registered-models/create", {"name": "credit"})
        version = call(
            "POST",
            "model-versions/create",
            {
                "name": "credit",
                "source": f"models:/{model_id}",
                "run_id": run,
                "model_id": model_id,
            },
        )["model_version"]
    return run, model_id, int(version["version"])


def newest(household):
    with local.open_client(household.settings) as client:
        return client.models.versions("credit", limit=1)[0]


def estimator(household, version):
    """The estimator as it was logged, for what the deployment must answer exactly."""
    with local.open_client(household.settings) as client:
        contents = client.models.files(version)
    for path, data in contents.items():
        if path.endswith(".pkl"):
            return cloudpickle.loads(data)
        if path.endswith(".skops"):
            return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    raise AssertionError(contents.keys())


def written(bank, folder):
    """Labelled rows that no model has seen, as a table beside the project."""
    held_out = folder / "held_out.parquet"
    bank.applications(1500).select(*lender.FEATURES, "defaulted").write_parquet(held_out)
    return held_out


def test_a_pickled_model_answers_once_it_is_trusted_judged_approved_and_deployed(house, bank):
    person = Person(house)
    run, model_id, number = log_by_hand(house.url, bank.applications(3000), pickled=True)
    version = str(number)
    table = str(written(bank, house.home / "project"))
    judge = ("model", "judge", "credit", version, "--data", table, "--target", "defaulted")

    code, _, complaint = person.says(*judge)
    assert code == 6
    assert "model.pkl is pickled" in complaint
    assert f"homeostat model trust credit {version} --reason" in complaint
    code, _, complaint = person.says("deploy", f"credit:{version}")
    assert code == 6
    assert "homeostat model judge credit" in complaint

    person.does("model", "trust", "credit", version, "--reason", "we wrote it ourselves")
    assert "is attached to model:credit" in person.does(*judge)
    code, _, complaint = person.says("deploy", f"credit:{version}")
    assert code == 6
    assert "needs the approval of a person" in complaint
    person.does("model", "approve", "credit", version)
    assert "answers with model:credit" in person.does("deploy", f"credit:{version}")

    answers_and_is_watched(house, bank, newest(house))
    told = person.does("model", "show", "credit", version)
    assert "trusted by" in told
    assert run in told
    page = httpx.get(f"{house.url}/models/credit/versions/{version}", trust_env=False)
    assert "we wrote it ourselves" in page.text
    assert f"/logged-models/{model_id}" in page.text
    shown = httpx.get(f"{house.url}/runs/{run}", trust_env=False)
    assert f"/models/credit/versions/{version}" in shown.text


@pytest.mark.skipif(not STOCK, reason="no environment with the stock client of MLflow")
def test_what_the_stock_client_registers_goes_the_same_way(house, bank):
    person = Person(house)
    folder = house.home / "project"
    rows = bank.applications(3000).select(*lender.FEATURES, "defaulted")
    rows.write_csv(folder / "loans.csv")
    done = subprocess.run(
        [STOCK, "-c", LOG, house.url, str(folder / "loans.csv")],
        env={"PATH": os.environ["PATH"], "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=4 * processes.LONG_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    version = newest(house)
    number = str(version.number)
    judge = ("model", "judge", "credit", number, "--data", str(written(bank, folder)))
    if any(one.path.endswith(".pkl") for one in version.files):
        assert person.says(*judge, "--target", "defaulted")[0] == 6
        person.does("model", "trust", "credit", number, "--reason", "we wrote it ourselves")
    person.does(*judge, "--target", "defaulted")
    person.does("model", "approve", "credit", number)
    name = f"credit-{number}"
    person.does("deploy", f"credit:{number}", "--name", name)
    answers_and_is_watched(house, bank, newest(house), name=name)


def answers_and_is_watched(household, bank, version, *, name="credit"):
    """What the estimator answers is what callers get, in both protocols; a window is judged."""
    rows = bank.applications(200).select(lender.FEATURES)
    expected = estimator(household, version).predict_proba(rows.to_pandas())
    with httpx.Client(base_url=household.predict_url, trust_env=False, timeout=180) as http:
        processes.until(
            lambda: http.get(f"/v2/models/{name}/ready").status_code == 200,
            told=household.serve.tell,
        )
        tensors = [
            {
                "name": column.name,
                "shape": [rows.height],
                "datatype": "BYTES" if column.dtype == pl.String else "FP64",
                "data": column.to_list(),
            }
            for column in rows
        ]
        answer = http.post(f"/v2/models/{name}/infer", json={"inputs": tensors})
        assert answer.status_code == 200, answer.text
        scores = answer.json()["outputs"][0]["data"]
        assert scores == pytest.approx(expected[:, 1], rel=0, abs=1e-9)  # by its twin
        split = {"columns": rows.columns, "data": [list(row) for row in rows.rows()]}
        named = {"x-homeostat-deployment": name}
        answer = http.post("/invocations", json={"dataframe_split": split}, headers=named)
        assert answer.json()["scores"] == scores
        assert answer.json()["predictions"] == np.argmax(expected, axis=1).tolist()
    with local.open_client(household.settings) as client:
        window = processes.until(
            lambda: client.alerts.windows(name, with_findings=False),
            told=household.worker.tell,
            look_s=0.1,
        )[-1]
    assert window.n_rows == 200
    assert window.findings == ()

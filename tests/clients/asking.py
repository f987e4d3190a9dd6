"""What the scenarios share. Imported by the stock client's own Python, not by pytest."""

from __future__ import annotations

import os
import secrets

import mlflow
import numpy as np
import pandas as pd
import requests
from mlflow.exceptions import MlflowException
from packaging.version import Version

IS_NEWEST = Version(mlflow.__version__) >= Version("3")
REQUIREMENTS = ["scikit-learn"]  # given: else log_model spends seconds on finding them out


def newest(scenario):
    """Mark a scenario that only clients of 3.x can play."""
    scenario.needs_newest = True
    return scenario


def signed_in(scenario):
    """Mark a scenario that only clients with a key can play."""
    scenario.needs_key = True
    return scenario


def fresh(what):
    """Return a name that nothing else has."""
    return f"{what}-{secrets.token_hex(5)}"


def client():
    return mlflow.MlflowClient()


def an_experiment(what="experiment"):
    """Make an experiment and return its id."""
    return client().create_experiment(fresh(what))


def a_run(experiment_id=None, **told):
    """Start a run and return its id."""
    return client().create_run(experiment_id or an_experiment(), **told).info.run_id


def refused(code, call, *given, **named):
    """Call what must be refused and return the exception."""
    told = None
    try:
        call(*given, **named)
    except MlflowException as error:
        told = error
    assert told is not None, f"nothing was refused; {code} was due"
    assert told.error_code == code, f"{told.error_code}, not {code}: {told}"
    return told


def ask(method, path, **given):
    """Make one bare HTTP request with the credentials of the environment."""
    headers = {}
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    name = os.environ.get("MLFLOW_TRACKING_USERNAME")
    auth = (name, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if name else None
    url = mlflow.get_tracking_uri() + path
    return requests.request(method, url, timeout=99, headers=headers, auth=auth, **given)


def turned_away(answer, status, code):
    """Hold a bare answer to a status and an error code, with a message for people."""
    told = answer.json()
    assert (answer.status_code, told["error_code"]) == (status, code), answer.text[:300]
    assert told["message"], told


def a_table():
    """Return features and a class that follows from them."""
    points = np.random.default_rng(5).uniform(size=(40, 3))
    table = pd.DataFrame(points, columns=["height", "width", "depth"])
    return table, (table["height"] > table["width"]).astype(int)


def a_model():
    """Return a small fitted model and rows for it."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - seconds

    table, labels = a_table()
    return LogisticRegression().fit(table, labels), table[:4]


def log_model(*, registered=None, place="small", **told):
    """Log a small model in the active run; return model, rows and what was told of it."""
    model, rows = a_model()
    where = {"name": place} if IS_NEWEST else {"artifact_path": place}
    info = mlflow.sklearn.log_model(
        model,
        **where,
        registered_model_name=registered,
        input_example=rows,
        pip_requirements=REQUIREMENTS,
        **told,
    )
    return model, rows, info


def same(left, right):
    """Say whether two arrays of predictions are equal."""
    return np.array_equal(np.asarray(left), np.asarray(right))

"""Autologging of what classical-ML users train with."""

from __future__ import annotations

import contextlib

import mlflow
import numpy as np
import pandas as pd
from asking import IS_NEWEST, a_table, client, fresh, newest, same


@contextlib.contextmanager
def _autologged(flavour, **how):
    mlflow.set_experiment(fresh("auto"))
    flavour.autolog(silent=True, **how)
    try:
        yield
    finally:
        flavour.autolog(disable=True, silent=True)


def _last_model():
    run = mlflow.last_active_run()
    if IS_NEWEST:
        return run, f"models:/{run.outputs.model_outputs[0].model_id}"
    return run, f"runs:/{run.info.run_id}/model"


def scikit_learn_is_logged_with_its_model():
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - seconds

    table, labels = a_table()
    with _autologged(mlflow.sklearn):
        fitted = LogisticRegression(C=0.5).fit(table, labels)
        fitted.score(table, labels)
    run, model = _last_model()
    assert run.info.status == "FINISHED"
    assert run.data.params["C"] == "0.5"
    assert run.data.metrics["training_accuracy_score"] > 0.5
    assert run.data.tags["estimator_name"] == "LogisticRegression"
    assert any(key.startswith("LogisticRegression_score") for key in run.data.metrics)
    names = {one.path for one in client().list_artifacts(run.info.run_id)}
    assert any(name.endswith(".png") for name in names)
    assert run.inputs.dataset_inputs
    assert same(mlflow.sklearn.load_model(model).predict(table), fitted.predict(table))


def a_pipeline_and_a_grid_search_are_logged_with_their_candidates():
    from sklearn.model_selection import GridSearchCV  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415

    table, labels = a_table()
    steps = make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0))
    grid = {"decisiontreeclassifier__max_depth": [1, 2, 3]}
    with _autologged(mlflow.sklearn, max_tuning_runs=3, log_models=False):
        search = GridSearchCV(steps, grid, cv=2).fit(table, labels)
    run = mlflow.last_active_run()
    best = search.best_params_["decisiontreeclassifier__max_depth"]
    assert run.data.params["best_decisiontreeclassifier__max_depth"] == str(best)
    assert run.data.metrics["best_cv_score"] == search.best_score_
    where = f"tags.mlflow.parentRunId = '{run.info.run_id}'"
    candidates = client().search_runs([run.info.experiment_id], where)
    assert len(candidates) == 3
    assert all("mean_test_score" in one.data.metrics for one in candidates)
    names = {one.path for one in client().list_artifacts(run.info.run_id)}
    assert "cv_results.csv" in names


@newest
def lightgbm_is_logged_with_every_round():
    import lightgbm  # noqa: PLC0415 - seconds

    table, labels = a_table()
    told = {"objective": "binary", "verbose": -1, "min_data_in_leaf": 2, "num_threads": 1}
    with _autologged(mlflow.lightgbm):
        data = lightgbm.Dataset(table, labels)
        fitted = lightgbm.train(told, data, num_boost_round=6, valid_sets=[data])
    run, model = _last_model()
    assert run.data.params["objective"] == "binary"
    history = client().get_metric_history(run.info.run_id, "training-binary_logloss")
    assert [one.step for one in history] == list(range(6))
    loaded = mlflow.lightgbm.load_model(model)
    assert same(loaded.predict(table), fitted.predict(table))
    assert same(mlflow.pyfunc.load_model(model).predict(table), fitted.predict(table))


@newest
def xgboost_is_logged_with_every_round():
    import xgboost  # noqa: PLC0415 - seconds

    table, labels = a_table()
    told = {"objective": "binary:logistic", "eval_metric": "logloss", "nthread": 1}
    with _autologged(mlflow.xgboost):
        data = xgboost.DMatrix(table, label=labels)
        fitted = xgboost.train(
            told, data, num_boost_round=5, evals=[(data, "train")], verbose_eval=False
        )
    run, model = _last_model()
    assert run.data.params["num_boost_round"] == "5"
    history = client().get_metric_history(run.info.run_id, "train-logloss")
    assert [one.step for one in history] == list(range(5))
    loaded = mlflow.xgboost.load_model(model)
    assert np.allclose(loaded.predict(data), fitted.predict(data))


def a_regression_is_judged_by_evaluate():
    mlflow.set_experiment(fresh("judged"))
    table = pd.DataFrame({"due": [0.0, 1.0, 2.0, 3.0], "said": [0.25, 1.0, 2.0, 3.5]})
    with mlflow.start_run() as run:
        found = mlflow.evaluate(
            data=table,
            targets="due",
            predictions="said",
            model_type="regressor",
            evaluator_config={"log_explainer": False, "log_model_explainability": False},
        )
    assert found.metrics["max_error"] == 0.5
    kept = client().get_run(run.info.run_id).data.metrics
    assert kept["max_error"] == 0.5
    assert "mean_absolute_error" in kept

"""Runs: what is logged comes back, whatever way it was logged."""

from __future__ import annotations

import contextlib
import math
import time

import mlflow
import pandas as pd
from asking import a_run, an_experiment, ask, client, fresh, refused, turned_away
from mlflow.entities import Metric, Param, RunTag

HUGE = 1.7976931348623157e308


def what_the_fluent_api_logs_comes_back():
    mlflow.set_experiment(fresh("fluent"))
    with mlflow.start_run(
        run_name="spring", description="first try", tags={"who": "ada"}
    ) as run:
        mlflow.log_param("rate", 0.25)
        mlflow.log_params({"layers": 4, "kind": "a b/c"})
        for step in range(4):
            mlflow.log_metric("loss", 2.0**-step, step=step)
        mlflow.log_metrics({"auc": 0.75, "tiny": 5e-324})
        mlflow.set_tags({"kept": "1", "dropped": "1"})
        mlflow.delete_tag("dropped")
    found = mlflow.get_run(run.info.run_id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "spring")
    assert found.info.end_time >= found.info.start_time
    assert found.data.params == {"rate": "0.25", "layers": "4", "kind": "a b/c"}
    assert found.data.metrics == {"loss": 0.125, "auc": 0.75, "tiny": 5e-324}
    tags = found.data.tags
    assert (tags["who"], tags["kept"]) == ("ada", "1")
    assert "dropped" not in tags
    assert tags["mlflow.note.content"] == "first try"
    assert tags["mlflow.runName"] == "spring"
    assert {"mlflow.user", "mlflow.source.name", "mlflow.source.type"} <= set(tags)


def a_run_whose_code_fails_is_failed_and_can_be_resumed():
    mlflow.set_experiment(fresh("failed"))
    with contextlib.suppress(ZeroDivisionError), mlflow.start_run() as run:
        mlflow.log_metric("m", 1.0)
        mlflow.log_metric("m", 1 / 0)
    assert client().get_run(run.info.run_id).info.status == "FAILED"
    with mlflow.start_run(run_id=run.info.run_id):
        assert client().get_run(run.info.run_id).info.status == "RUNNING"
        mlflow.log_metric("m", 2.0, step=1)
    found = client().get_run(run.info.run_id)
    assert (found.info.status, found.data.metrics["m"]) == ("FINISHED", 2.0)


def a_run_has_a_name_and_its_tag_says_the_same():
    experiment = an_experiment()
    nameless = client().create_run(experiment)
    assert nameless.info.run_name
    assert nameless.data.tags["mlflow.runName"] == nameless.info.run_name
    run_id = a_run(experiment, run_name="one")
    client().update_run(run_id, name="two")
    found = client().get_run(run_id)
    assert found.data.tags["mlflow.runName"] == found.info.run_name == "two"
    client().set_tag(run_id, "mlflow.runName", "three")
    assert client().get_run(run_id).info.run_name == "three"
    client().update_run(run_id, status="KILLED")
    assert client().get_run(run_id).info.status == "KILLED"


def runs_inside_runs_know_their_parent():
    name = fresh("nested")
    mlflow.set_experiment(name)
    with mlflow.start_run() as outer:
        inner = []
        for _ in range(2):
            with mlflow.start_run(nested=True) as run:
                inner.append(run.info.run_id)
                with mlflow.start_run(nested=True):
                    pass
    where = f"tags.mlflow.parentRunId = '{outer.info.run_id}'"
    found = mlflow.search_runs(experiment_names=[name], filter_string=where)
    assert set(found["run_id"]) == set(inner)
    assert len(mlflow.search_runs(experiment_names=[name])) == 5
    assert client().get_parent_run(inner[0]).info.run_id == outer.info.run_id


def numbers_that_are_none_come_back_as_they_are_kept():
    run_id = a_run()
    values = [1.5, math.nan, math.inf, -math.inf, -0.5]
    points = [Metric("m", value, 5000 + i, i - 2) for i, value in enumerate(values)]
    client().log_batch(run_id, metrics=points)
    kept = {one.step: one for one in client().get_metric_history(run_id, "m")}
    assert sorted(kept) == [-2, -1, 0, 1, 2]
    assert math.isnan(kept[-1].value)
    assert (kept[0].value, kept[1].value) == (HUGE, -HUGE)
    assert (kept[2].value, kept[2].timestamp) == (-0.5, 5004)
    client().log_metric(run_id, "only", math.nan)
    assert math.isnan(client().get_run(run_id).data.metrics["only"])


def the_latest_value_is_the_one_of_the_highest_step():
    run_id = a_run()
    client().log_metric(run_id, "m", 10.0, timestamp=100, step=5)
    client().log_metric(run_id, "m", 20.0, timestamp=900, step=4)
    assert client().get_run(run_id).data.metrics["m"] == 10.0
    client().log_metric(run_id, "m", 30.0, timestamp=101, step=5)
    assert client().get_run(run_id).data.metrics["m"] == 30.0
    client().log_metric(run_id, "m", 25.0, timestamp=101, step=5)
    assert client().get_run(run_id).data.metrics["m"] == 30.0


def the_same_point_is_kept_once():
    run_id = a_run()
    for _ in range(3):
        client().log_metric(run_id, "m", 1.0, timestamp=7, step=7)
    assert len(client().get_metric_history(run_id, "m")) == 1
    assert client().get_metric_history(run_id, "never") == []


def a_long_history_comes_back_whole_and_in_order_of_time():
    run_id = a_run()
    for first in range(0, 2500, 500):
        part = [Metric("m", i / 7, 10_000 - i, i) for i in range(first, first + 500)]
        client().log_batch(run_id, metrics=part)
    found = client().get_metric_history(run_id, "m")
    assert len(found) == 2500
    assert [one.timestamp for one in found] == sorted(one.timestamp for one in found)
    assert {one.step: one.value for one in found} == {i: i / 7 for i in range(2500)}


def whole_numbers_of_64_bits_survive():
    run_id = a_run(start_time=2**53 + 1)
    client().log_metric(run_id, "m", 1.0, timestamp=2**53 + 1, step=2**62 + 1)
    client().log_metric(run_id, "m", 1.0, timestamp=2**53 + 3, step=-(2**62) - 1)
    found = client().get_metric_history(run_id, "m")
    assert [one.step for one in found] == [2**62 + 1, -(2**62) - 1]
    assert client().get_run(run_id).info.start_time == 2**53 + 1


def a_batch_is_taken_whole_or_not_at_all():
    run_id = a_run()
    good = [Param(f"p{i}", str(i)) for i in range(100)]
    tags = [RunTag(f"t{i}", "é") for i in range(100)]
    client().log_batch(run_id, params=good, tags=tags)
    found = client().get_run(run_id).data
    assert len(found.params) == 100
    assert found.tags["t99"] == "é"
    path = "/api/2.0/mlflow/runs/log-batch"
    over = {"run_id": run_id, "metrics": [{"key": "m", "value": 1, "timestamp": 1}] * 1001}
    turned_away(ask("POST", path, json=over), 400, "INVALID_PARAMETER_VALUE")
    twice = {
        "run_id": run_id,
        "params": [{"key": "q", "value": "1"}, {"key": "q", "value": "2"}],
    }
    turned_away(ask("POST", path, json=twice), 400, "INVALID_PARAMETER_VALUE")
    changed = [{"key": "new", "value": "1"}, {"key": "p0", "value": "other"}]
    half = {"run_id": run_id, "params": changed, "tags": [{"key": "half", "value": "1"}]}
    turned_away(ask("POST", path, json=half), 400, "INVALID_PARAMETER_VALUE")
    assert "new" not in client().get_run(run_id).data.params


def a_parameter_never_changes():
    run_id = a_run()
    client().log_param(run_id, "rate", 1)
    client().log_param(run_id, "rate", 1)
    told = refused("INVALID_PARAMETER_VALUE", client().log_param, run_id, "rate", 2)
    assert "Changing param values is not allowed" in str(told)
    client().log_param(run_id, "long", "y" * 6000)
    assert client().get_run(run_id).data.params["long"] == "y" * 6000


def keys_that_are_no_names_are_refused():
    run_id = a_run()
    for key in ("a\tb", "../up", "/root", "a//b", "k" * 251):
        refused("INVALID_PARAMETER_VALUE", client().log_param, run_id, key, "1")
        refused("INVALID_PARAMETER_VALUE", client().log_metric, run_id, key, 1.0)
    client().log_metric(run_id, "val/loss top-1_x.y", 1.0)
    assert "val/loss top-1_x.y" in client().get_run(run_id).data.metrics


def a_deleted_run_takes_nothing_until_it_is_restored():
    run_id = a_run()
    client().delete_run(run_id)
    client().delete_run(run_id)
    assert client().get_run(run_id).info.lifecycle_stage == "deleted"
    refused("INVALID_PARAMETER_VALUE", client().log_metric, run_id, "m", 1.0)
    refused("INVALID_PARAMETER_VALUE", client().log_param, run_id, "p", 1)
    refused("INVALID_PARAMETER_VALUE", client().set_tag, run_id, "t", "1")
    client().restore_run(run_id)
    client().restore_run(run_id)
    client().log_metric(run_id, "m", 1.0)
    assert client().get_run(run_id).data.metrics == {"m": 1.0}


def runs_go_and_come_with_their_experiment():
    experiment = an_experiment()
    run_id = a_run(experiment)
    client().delete_experiment(experiment)
    assert client().get_run(run_id).info.lifecycle_stage == "deleted"
    client().restore_experiment(experiment)
    assert client().get_run(run_id).info.lifecycle_stage == "active"


def what_is_not_there_is_told_by_its_code():
    nobody = "0" * 32
    refused("RESOURCE_DOES_NOT_EXIST", client().get_run, nobody)
    refused("RESOURCE_DOES_NOT_EXIST", client().log_metric, nobody, "m", 1.0)
    refused("RESOURCE_DOES_NOT_EXIST", client().set_tag, nobody, "t", "1")
    refused("RESOURCE_DOES_NOT_EXIST", client().delete_run, nobody)
    refused("RESOURCE_DOES_NOT_EXIST", client().delete_tag, a_run(), "never")


def datasets_are_inputs_of_a_run_and_found_by_it():
    name = fresh("inputs")
    mlflow.set_experiment(name)
    table = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    data = mlflow.data.from_pandas(
        table, source="http://example.org/t.csv", name="loans", targets="y"
    )
    with mlflow.start_run() as run:
        mlflow.log_input(data, context="training", tags={"part": "a"})
        mlflow.log_input(data, context="training", tags={"part": "a"})
    [found] = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("loans", data.digest)
    assert {one.key: one.value for one in found.tags} == {
        "mlflow.data.context": "training",
        "part": "a",
    }
    for where in ("dataset.name = 'loans'", "datasets.context = 'training'"):
        assert len(mlflow.search_runs(experiment_names=[name], filter_string=where)) == 1
    assert mlflow.search_runs(experiment_names=[name], filter_string="dataset.name = 'x'").empty


def what_is_logged_in_the_background_is_all_there_afterwards():
    mlflow.set_experiment(fresh("background"))
    with mlflow.start_run() as run:
        waiting = [mlflow.log_metric("m", i, step=i, synchronous=False) for i in range(60)]
        mlflow.log_params({"p": 1}, synchronous=False)
        mlflow.set_tags({"t": "1"}, synchronous=False)
        for one in waiting:
            one.wait()
    mlflow.flush_async_logging()
    found = client().get_run(run.info.run_id)
    assert len(client().get_metric_history(run.info.run_id, "m")) == 60
    assert (found.data.params["p"], found.data.tags["t"]) == ("1", "1")


def metrics_of_the_machine_are_logged():
    mlflow.set_experiment(fresh("machine"))
    mlflow.set_system_metrics_sampling_interval(0.1)
    mlflow.set_system_metrics_samples_before_logging(1)
    with mlflow.start_run(log_system_metrics=True) as run:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = client().get_run(run.info.run_id).data.metrics
            if any(key.startswith("system/cpu") for key in found):
                return
            time.sleep(0.1)
    raise AssertionError("no system metric arrived")

"""Runs updated, deleted and restored through MLflow's door, and what they read and made."""

from __future__ import annotations

import pytest

SEE = " See the API docs for more information about request parameters."
INVALID = "INVALID_PARAMETER_VALUE"
ABSENT = "RESOURCE_DOES_NOT_EXIST"
DATA = {"name": "rows", "digest": "ab12", "source_type": "local", "source": "{}"}
CONTEXT = {"key": "mlflow.data.context", "value": "training"}


def info(door, run_id):
    return door.get("runs/get", run_id=run_id)["run"]["info"]


def tags(door, run_id):
    found = door.get("runs/get", run_id=run_id)["run"]["data"].get("tags", [])
    return {tag["key"]: tag["value"] for tag in found}


def test_update_returns_the_info_of_the_run(door, run_id):
    new = {"run_id": run_id, "status": "FINISHED", "end_time": 77, "run_name": "best"}
    changed = door.post("runs/update", new)["run_info"]
    assert (changed["status"], changed["end_time"]) == ("FINISHED", 77)
    assert changed == info(door, run_id)
    assert tags(door, run_id)["mlflow.runName"] == changed["run_name"] == "best"


def test_a_run_resumes_and_ends_again(door, run_id):
    for status in ("FINISHED", "RUNNING", "FAILED", "KILLED", "SCHEDULED"):
        door.post("runs/update", {"run_id": run_id, "status": status})
        found = info(door, run_id)
        assert found["status"] == status
        assert ("end_time" in found) == (status in ("FINISHED", "FAILED", "KILLED"))


def test_an_update_of_nothing_changes_nothing(door, run_id):
    before = info(door, run_id)
    for body in ({}, {"run_name": ""}):
        assert door.post("runs/update", {"run_id": run_id, **body})["run_info"] == before


def test_the_old_name_of_the_field_and_numbers_as_text_are_understood(door, run_id):
    new = {"run_uuid": run_id, "status": 3, "end_time": str(2**63 - 1)}
    changed = door.post("runs/update", new)["run_info"]
    assert (changed["status"], changed["end_time"]) == ("FINISHED", 2**63 - 1)


def test_set_tag_of_the_name_renames_and_an_empty_one_does_not(door, run_id):
    body = {"run_id": run_id, "key": "mlflow.runName", "value": "by tag"}
    door.post("runs/set-tag", body)
    assert info(door, run_id)["run_name"] == "by tag"
    door.post("runs/set-tag", {**body, "value": ""})
    assert info(door, run_id)["run_name"] == tags(door, run_id)["mlflow.runName"] == "by tag"


def test_delete_twice_and_restore_twice_are_well(door, run_id):
    for path, stage in (("runs/delete", "deleted"), ("runs/restore", "active")):
        for _ in range(2):
            assert door.post(path, {"run_id": run_id}) == {}
            assert info(door, run_id)["lifecycle_stage"] == stage


def test_a_deleted_run_takes_no_writes(door, run_id):
    door.post("runs/delete", {"run_id": run_id})
    state = f"The run {run_id} must be in the 'active' state. Current state is deleted."
    for path, body in (
        ("runs/update", {"status": "FAILED"}),
        ("runs/set-tag", {"key": "a", "value": "b"}),
        ("runs/delete-tag", {"key": "mlflow.runName"}),
        ("runs/log-metric", {"key": "a", "value": 1, "timestamp": 1}),
        ("runs/log-parameter", {"key": "a", "value": "1"}),
        ("runs/log-batch", {"metrics": [{"key": "a", "value": 1, "timestamp": 1}]}),
        ("runs/log-inputs", {"datasets": [{"dataset": DATA}]}),
        ("runs/outputs", {"models": [{"model_id": "m-1"}]}),
    ):
        refused = door.refused("POST", path, body={"run_id": run_id, **body})
        assert refused == (400, INVALID, state)


def test_a_tag_is_taken_off_once(door, run_id):
    door.post("runs/set-tag", {"run_id": run_id, "key": "stage", "value": "a"})
    which = {"run_id": run_id, "key": "stage"}
    assert door.post("runs/delete-tag", which) == {}
    assert "stage" not in tags(door, run_id)
    refused = door.refused("POST", "runs/delete-tag", body=which)
    assert refused == (404, ABSENT, f"No tag with name: stage in run with id {run_id}")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs/update", {"status": "FINISHED"}),
        ("runs/delete", {}),
        ("runs/restore", {}),
        ("runs/delete-tag", {"key": "a"}),
        ("runs/log-inputs", {}),
        ("runs/outputs", {"models": []}),
    ],
)
def test_the_run_is_asked_for_and_an_absent_one_told(door, path, body):
    refused = door.refused("POST", path, body=body)
    assert refused == (400, INVALID, f"Missing value for required parameter 'run_id'.{SEE}")
    refused = door.refused("POST", path, body={**body, "run_id": "nope"})
    assert refused == (404, ABSENT, "Run with id=nope not found")


def wrong(field, value, kind):
    return f"Invalid value {value} for parameter '{field}' supplied:  Hint: {kind}.{SEE}"


def missing(field):
    return f"Missing value for required parameter '{field}'.{SEE}"


REFUSED = [
    ("update", {"end_time": "xx"}, wrong("end_time", '"xx"', "Value was of type 'str'")),
    ("update", {"status": "DONE"}, "Invalid value \"DONE\" for parameter 'status' supplied"),
    ("delete-tag", {}, missing("key")),
    ("outputs", {}, missing("models")),
    ("log-inputs", {"datasets": 5}, wrong("datasets", 5, "Value was of type 'int'")),
    ("log-inputs", {"datasets": [{"tags": []}]}, missing("datasets[0].dataset")),
    (
        "log-inputs",
        {"datasets": [{"dataset": {**DATA, "name": "n" * 501}}]},
        "'name' exceeds the maximum length of 500 characters",
    ),
    (
        "log-inputs",
        {"datasets": [{"dataset": DATA, "tags": [{"key": "k", "value": "v" * 501}]}]},
        "'value' exceeds the maximum length of 500 characters",
    ),
]


@pytest.mark.parametrize("asked", REFUSED, ids=[f"{one[0]}: {one[2][:60]}" for one in REFUSED])
def test_what_cannot_be_right_is_refused_in_mlflows_words(door, run_id, asked):
    path, body, message = asked
    refused = door.refused("POST", f"runs/{path}", body={"run_id": run_id, **body})
    assert refused[:2] == (400, INVALID)
    assert refused[2].startswith(message)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("experiments/create", {"name": "a\0b"}),
        ("runs/update", {"run_name": "a\0b"}),
        ("runs/set-tag", {"key": "a", "value": "a\0b"}),
        ("runs/log-parameter", {"key": "a", "value": "a\0b"}),
        ("runs/log-inputs", {"datasets": [{"dataset": {**DATA, "profile": "a\0b"}}]}),
    ],
)
def test_a_text_one_database_cannot_keep_is_no_failure_of_the_server(door, run_id, path, body):
    status, _, _ = door.call("POST", path, body={"run_id": run_id, **body})
    # SQLite keeps a NUL; clients would repeat a 5xx for minutes.
    assert status == (200 if door.house.database.is_sqlite else 400)
    status, _, _ = door.call("GET", "runs/get", run_id="a\0b")
    assert status == (404 if door.house.database.is_sqlite else 400)
    assert info(door, run_id)["status"] == "RUNNING"


def test_described_data_comes_back_with_the_run_once(door, run_id):
    body = {"run_id": run_id, "datasets": [{"dataset": DATA, "tags": [CONTEXT]}]}
    for _ in range(2):
        assert door.post("runs/log-inputs", body) == {}
    found = door.get("runs/get", run_id=run_id)["run"]["inputs"]
    assert found == {"dataset_inputs": [{"tags": [CONTEXT], "dataset": DATA}]}
    long = {**DATA, "digest": "cd", "schema": "{}", "profile": "p" * 5_000_000}
    door.post("runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": long}]})
    read = door.get("runs/get", run_id=run_id)["run"]["inputs"]["dataset_inputs"]
    assert read[1]["dataset"] == long


def test_logged_models_come_back_with_the_run(door, run_id):
    door.post("runs/log-inputs", {"run_id": run_id, "models": [{"model_id": "m-1"}]})
    for step in ("3", 4):
        models = [{"model_id": "m-2", "step": step}, {"model_id": "m-3"}]
        assert door.post("runs/outputs", {"run_id": run_id, "models": models}) == {}
    run = door.get("runs/get", run_id=run_id)["run"]
    assert run["inputs"] == {"model_inputs": [{"model_id": "m-1"}]}
    made = {model["model_id"]: model["step"] for model in run["outputs"]["model_outputs"]}
    assert made == {"m-2": 4, "m-3": 0}


def test_a_history_is_thinned_out_for_charts(door, run_id):
    points = [{"key": "m", "value": n, "timestamp": n, "step": n} for n in range(20)]
    points[19]["value"] = "NaN"
    door.post("runs/log-batch", {"run_id": run_id, "metrics": points})
    path, which = "metrics/get-history-bulk-interval", {"metric_key": "m"}
    found = door.get(path, run_ids=["absent", run_id], max_results=3, **which)["metrics"]
    assert [point["step"] for point in found] == [0, 7, 19]
    assert found[2] == {
        "key": "m",
        "value": "NaN",
        "timestamp": 19,
        "step": 19,
        "run_id": run_id,
    }
    assert door.get(path, run_ids=run_id, metric_key="other") == {}
    for asked, message in (
        ({"max_results": 0}, "max_results must be between 1 and 2500"),
        ({"start_step": 3}, "If either start step or end step are specified, both must be"),
        ({"start_step": 6, "end_step": 5}, "end_step must be greater than start_step."),
    ):
        refused = door.refused("GET", path, run_ids=run_id, **which, **asked)
        assert refused[:2] == (400, INVALID)
        assert refused[2].startswith(message)
    refused = door.refused("GET", path, **which)
    assert refused == (400, INVALID, f"Missing value for required parameter 'run_ids'.{SEE}")

"""Experiments through MLflow's door: shapes, codes and sentences as its clients know them."""

from __future__ import annotations

import pytest

SEE = " See the API docs for more information about request parameters."
INVALID = "INVALID_PARAMETER_VALUE"
ABSENT = "RESOURCE_DOES_NOT_EXIST"


def test_an_experiment_looks_as_a_client_expects(door, experiment_id):
    found = door.get("experiments/get", experiment_id=experiment_id)["experiment"]
    at = found.pop("creation_time")
    assert isinstance(at, int)
    assert found == {
        "experiment_id": experiment_id,
        "name": "credit",
        "artifact_location": f"mlflow-artifacts:/{experiment_id}",
        "lifecycle_stage": "active",
        "last_update_time": at,
    }


def test_the_default_experiment_is_there_at_once(door):
    found = door.get("experiments/get-by-name", experiment_name="Default")["experiment"]
    assert found == door.get("experiments/get", experiment_id="0")["experiment"]
    assert (found["experiment_id"], found["artifact_location"]) == ("0", "mlflow-artifacts:/0")


def test_set_experiment_finds_creates_and_loses_a_race_in_the_codes_a_client_asks_for(door):
    asked = {"experiment_name": "new"}
    status, code, message = door.refused("GET", "experiments/get-by-name", **asked)
    assert (status, code) == (404, ABSENT)
    assert message == "Could not find experiment with name 'new'"
    door.post("experiments/create", {"name": "new"})
    refused = door.refused("POST", "experiments/create", body={"name": "new"})
    assert refused == (
        *(400, "RESOURCE_ALREADY_EXISTS"),
        "Experiment(name=new) already exists.",
    )
    assert door.get("experiments/get-by-name", **asked)["experiment"]["name"] == "new"


def test_tags_and_a_place_of_its_own_are_kept(door):
    tags = [{"key": "b", "value": "2"}, {"key": "a", "value": "1"}]
    new = {"name": "far", "tags": tags, "artifact_location": "s3://bucket/far"}
    number = door.post("experiments/create", new)["experiment_id"]
    found = door.get("experiments/get", experiment_id=number)["experiment"]
    assert found["tags"] == tags[::-1]
    assert found["artifact_location"] == "s3://bucket/far"
    made = door.post("runs/create", {"experiment_id": number, "start_time": 1})["run"]["info"]
    assert made["artifact_uri"] == f"s3://bucket/far/{made['run_id']}/artifacts"


def test_tags_are_set_and_taken_off(door, experiment_id):
    which = {"experiment_id": experiment_id, "key": "team"}
    assert door.post("experiments/set-experiment-tag", {**which, "value": "risk"}) == {}
    found = door.get("experiments/get", experiment_id=experiment_id)["experiment"]
    assert found["tags"] == [{"key": "team", "value": "risk"}]
    assert door.post("experiments/delete-experiment-tag", which) == {}
    assert "tags" not in door.get("experiments/get", experiment_id=experiment_id)["experiment"]
    refused = door.refused("POST", "experiments/delete-experiment-tag", body=which)
    assert refused == (
        *(404, ABSENT),
        f"No tag with name: team in experiment with id {experiment_id}",
    )


def test_delete_and_restore_take_the_runs_along(door, experiment_id, run_id):
    which = {"experiment_id": experiment_id}
    assert door.post("experiments/delete", which) == {}
    found = door.get("experiments/get", **which)["experiment"]
    assert found["lifecycle_stage"] == "deleted"
    assert door.get("runs/get", run_id=run_id)["run"]["info"]["lifecycle_stage"] == "deleted"
    gone = (404, ABSENT, f"No Experiment with id={experiment_id} exists")
    assert door.refused("POST", "experiments/delete", body=which)[:2] == gone[:2]
    assert door.post("experiments/restore", which) == {}
    assert door.get("runs/get", run_id=run_id)["run"]["info"]["lifecycle_stage"] == "active"
    status, code, message = door.refused("POST", "experiments/restore", body=which)
    assert (status, code) == gone[:2]
    assert message.startswith(gone[2])


def test_a_deleted_experiment_refuses_what_a_client_might_still_send(door, experiment_id):
    which = {"experiment_id": experiment_id}
    door.post("experiments/delete", which)
    state = f"The experiment {experiment_id} must be in the 'active' state. Current state is"
    for path, body in (
        ("runs/create", which),
        ("experiments/set-experiment-tag", {**which, "key": "a", "value": "b"}),
        ("experiments/delete-experiment-tag", {**which, "key": "a"}),
    ):
        assert door.refused("POST", path, body=body) == (400, INVALID, f"{state} deleted.")
    refused = door.refused("POST", "experiments/update", body={**which, "new_name": "x"})
    assert refused == (400, INVALID, "Cannot rename a non-active experiment.")
    refused = door.refused("POST", "experiments/create", body={"name": "credit"})
    assert refused[:2] == (400, "RESOURCE_ALREADY_EXISTS")


def test_an_experiment_is_renamed(door, experiment_id):
    new = {"experiment_id": experiment_id, "new_name": "loss"}
    assert door.post("experiments/update", new) == {}
    assert door.get("experiments/get-by-name", experiment_name="loss")
    refused = door.refused("POST", "experiments/update", body={**new, "new_name": "Default"})
    assert refused[:2] == (400, "RESOURCE_ALREADY_EXISTS")


@pytest.mark.parametrize(
    ("method", "path", "lacking"),
    [
        ("POST", "experiments/create", "name"),
        ("GET", "experiments/get", "experiment_id"),
        ("GET", "experiments/get-by-name", "experiment_name"),
        ("POST", "experiments/update", "experiment_id"),
        ("POST", "experiments/delete", "experiment_id"),
        ("POST", "experiments/restore", "experiment_id"),
        ("POST", "experiments/set-experiment-tag", "experiment_id"),
        ("POST", "experiments/delete-experiment-tag", "experiment_id"),
    ],
)
def test_what_is_required_is_asked_for_by_name(door, method, path, lacking):
    asked = {"body": {}} if method == "POST" else {}
    refused = door.refused(method, path, **asked)
    assert refused == (
        *(400, INVALID),
        f"Missing value for required parameter '{lacking}'.{SEE}",
    )


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("create", {"name": ""}, f"Missing value for required parameter 'name'.{SEE}"),
        (
            "create",
            {"name": 5},
            (
                "Invalid value 5 for parameter 'name' supplied:  "
                f"Hint: Value was of type 'int'.{SEE}"
            ),
        ),
        (
            "create",
            {"name": "n" * 501},
            "'name' exceeds the maximum length of 500 characters; got 501",
        ),
        (
            "create",
            {"name": "x", "tags": [{"key": "a%", "value": "b"}]},
            (
                "Invalid value \"a%\" for parameter 'key' supplied: Names may only contain"
                " alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ),"
                " colon(:) and slashes (/)."
            ),
        ),
        (
            "create",
            {"name": "x", "artifact_location": "s3://b/a#f"},
            "'artifact_location' URL can't include fragments or params.",
        ),
        (
            "create",
            {"name": "x", "artifact_location": "runs:/abc"},
            "Artifact location cannot be a runs:/ URI. Given: 'runs:/abc'",
        ),
        (
            "delete",
            {"experiment_id": "abc"},
            "Invalid experiment ID 'abc'. Experiment ID must be a valid integer.",
        ),
        (
            "set-experiment-tag",
            {"experiment_id": "0", "key": "k", "value": "v" * 20_001},
            "'value' exceeds the maximum length of 20000 characters; got 20001",
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_cannot_be_right_is_refused_in_mlflows_words(door, path, body, message):
    refused = door.refused("POST", f"experiments/{path}", body=body)
    assert refused == (400, INVALID, message)


@pytest.mark.parametrize("number", ["77777", "-1", "9" * 40])
def test_an_absent_experiment_is_a_404(door, number):
    refused = door.refused("GET", "experiments/get", experiment_id=number)
    assert refused[:2] == (404, ABSENT)
    assert refused[2].startswith(f"No Experiment with id={number}")

"""Where MLflow's server is strict and where it is not: this door is neither more nor less."""

from __future__ import annotations

import json

import pytest

INVALID = "INVALID_PARAMETER_VALUE"
MISSING = "RESOURCE_DOES_NOT_EXIST"


@pytest.fixture
def model(door):
    door.post("registered-models/create", {"name": "credit"})
    return "credit"


@pytest.mark.parametrize("given", [{"dataset_name": "d"}, {"dataset_digest": "x"}])
@pytest.mark.parametrize("of", [{}, {"model_id": "m-1"}])
def test_a_dataset_has_name_and_digest_or_neither(door, run_id, given, of):
    point = {"key": "auc", "value": 1.0, "timestamp": 1, "step": 0} | given | of
    for path, body in (
        ("runs/log-metric", point),
        ("runs/log-batch", {"metrics": [point]}),
    ):
        status, code, message = door.refused("POST", path, body={"run_id": run_id} | body)
        assert (status, code) == (400, INVALID)
        assert message == (
            "Both dataset_name and dataset_digest must be provided if one is provided"
        )
    assert "metrics" not in door.get("runs/get", run_id=run_id)["run"]["data"]


def test_a_point_with_a_whole_dataset_is_taken(door, run_id):
    point = {"key": "auc", "value": 1.0, "timestamp": 1, "dataset_name": "d"}
    door.post("runs/log-metric", point | {"run_id": run_id, "dataset_digest": "x"})
    assert door.get("runs/get", run_id=run_id)["run"]["data"]["metrics"][0]["value"] == 1.0


@pytest.mark.parametrize("alias", ["a b", "a.b", "x" * 256])
@pytest.mark.parametrize("name", ["credit", "nobody"])
def test_what_never_was_an_alias_cannot_be_deleted(door, model, name, alias):
    body = {"name": name, "alias": alias}
    status, code, _ = door.refused("DELETE", "registered-models/alias", body=body)
    assert (status, code) == (400, INVALID)


@pytest.mark.parametrize("alias", ["latest", "v1", "nowhere"])
def test_an_alias_that_could_be_and_is_not_is_deleted_in_peace(door, model, alias):
    assert door.delete("registered-models/alias", {"name": model, "alias": alias}) == {}


@pytest.mark.parametrize("name", ["a/b", "a:b", " "])
def test_a_name_that_cannot_be_is_an_invalid_value_wherever_it_is_asked_for(door, name):
    for method, path, more in (
        ("GET", "registered-models/get", {}),
        ("GET", "registered-models/get-latest-versions", {}),
        ("GET", "model-versions/get", {"version": "1"}),
    ):
        status, code, message = door.refused(method, path, name=name, **more)
        assert (status, code) == (400, INVALID)
        assert "Names cannot contain" in message or "'name'" in message
    for method, path, more in (
        ("DELETE", "registered-models/delete", {}),
        ("PATCH", "registered-models/update", {"description": "x"}),
        ("POST", "registered-models/rename", {"new_name": "b"}),
        ("POST", "registered-models/set-tag", {"key": "k", "value": "v"}),
        ("POST", "registered-models/alias", {"alias": "a", "version": "1"}),
        ("POST", "model-versions/create", {"source": "s3://bucket/key"}),
    ):
        status, code, _ = door.refused(method, path, body={"name": name} | more)
        assert (status, code) == (400, INVALID), path


@pytest.mark.parametrize("version", ["-1", "0", "1", "+1", str(2**31), "9" * 19])
def test_a_number_that_no_version_has_is_not_found(door, model, version):
    asked = {"name": model, "version": version}
    status, code, message = door.refused("GET", "model-versions/get", **asked)
    assert (status, code) == (404, MISSING)
    assert message == f"Model Version (name=credit, version={int(version)}) not found"
    for path, more in (
        ("model-versions/set-tag", {"key": "k", "value": "v"}),
        ("model-versions/transition-stage", {"stage": "Staging"}),
        ("registered-models/alias", {"alias": "a"}),
    ):
        status, code, _ = door.refused("POST", path, body=asked | more)
        assert (status, code) == (404, MISSING), path


@pytest.mark.parametrize("version", ["x", "1.0", "--1", "1_0", "9" * 20])
def test_what_is_no_whole_number_is_no_version(door, model, version):
    asked = {"name": model, "version": version}
    status, code, _ = door.refused("GET", "model-versions/get", **asked)
    assert (status, code) == (400, INVALID)


@pytest.mark.parametrize(
    "scheme", ["ftp", "sftp", "hdfs", "viewfs", "http", "https", "FTP", "r2", "b2", "abfss"]
)
def test_a_source_that_names_a_host_to_ask_is_refused(door, model, run_id, scheme):
    source = f"{scheme}://host/folder"
    for more in ({}, {"run_id": run_id}):
        body = {"name": model, "source": source} | more
        status, code, message = door.refused("POST", "model-versions/create", body=body)
        assert (status, code) == (400, INVALID)
        assert source in message


def test_a_source_on_a_host_may_lie_in_the_folder_of_its_run(door, model):
    home = "abfss://files@account.example/runs"
    made = door.post("experiments/create", {"name": "cloud", "artifact_location": home})
    asked = {"experiment_id": made["experiment_id"], "start_time": 1}
    info = door.post("runs/create", asked)["run"]["info"]
    body = {"name": model, "run_id": info["run_id"]}
    inside = {"source": f"{info['artifact_uri']}/model"}
    assert door.post("model-versions/create", body | inside)["model_version"]["version"] == "1"
    for outside in (home, f"{info['artifact_uri']}/../../x", info["artifact_uri"] + "x/model"):
        status, code, _ = door.refused(
            "POST", "model-versions/create", body=body | {"source": outside}
        )
        assert (status, code) == (400, INVALID)


@pytest.mark.parametrize(
    ("given", "status"), [("3", "FINISHED"), (3, "FINISHED"), ("4", "FAILED")]
)
def test_a_status_may_be_its_number_as_text_too(door, run_id, given, status):
    done = door.post("runs/update", {"run_id": run_id, "status": given})
    assert done["run_info"]["status"] == status


@pytest.mark.parametrize("given", ["6", "0", "", "finished", "٣", 6])
def test_what_is_no_status_is_refused(door, run_id, given):
    body = {"run_id": run_id, "status": given}
    status, code, _ = door.refused("POST", "runs/update", body=body)
    assert (status, code) == (400, INVALID)


def test_of_a_parameter_given_twice_the_first_counts(door, run_id):
    other = "0" * 32
    told = door.get("runs/get", run_id=[run_id, other])
    assert told["run"]["info"]["run_id"] == run_id
    assert door.refused("GET", "runs/get", run_id=[other, run_id])[:2] == (404, MISSING)
    assert door.refused("GET", "runs/get", run_id=["", run_id])[:2] == (400, INVALID)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/json;", 200),
        ("application/JSON", 400),
        ("application/jsonx", 400),
        ("application/json ;x", 400),
        ("application/json, text/plain", 400),
        ("text/plain", 400),
        ("", 400),
    ],
)
def test_a_body_is_json_by_its_exact_name(door, experiment_id, kind, status):
    raw = json.dumps({"experiment_id": experiment_id, "key": "a", "value": "b"}).encode()
    path = "experiments/set-experiment-tag"
    found = door.call("POST", path, raw=raw, headers={"content-type": kind})
    assert found[0] == status


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (["name ASC", "name DESC"], ["Default", "credit", "other"]),
        (["name DESC", "name ASC", "name"], ["other", "credit", "Default"]),
        (["experiment_id", "experiment_id DESC"], ["Default", "credit", "other"]),
        (["creation_time DESC", "attribute.creation_time"], None),
    ],
)
def test_experiments_may_be_ordered_by_a_field_twice(door, experiment_id, order, names):
    door.post("experiments/create", {"name": "other"})
    asked = {"max_results": 2, "order_by": order}
    first = door.post("experiments/search", asked)
    rest = door.post("experiments/search", asked | {"page_token": first["next_page_token"]})
    found = [one["name"] for one in first["experiments"] + rest["experiments"]]
    assert found == names or (names is None and sorted(found) == ["Default", "credit", "other"])


def test_runs_may_not_be_ordered_by_a_field_twice(door, experiment_id):
    asked = {"experiment_ids": [experiment_id], "order_by": ["start_time", "start_time DESC"]}
    assert door.refused("POST", "runs/search", body=asked)[:2] == (400, INVALID)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("experiments/create", {"name": "a\ud800"}),
        ("runs/create", {"experiment_id": "0", "run_name": "\ud800"}),
        ("runs/log-inputs", {"datasets": [{"dataset": {"name": "\udfff"}}]}),
        ("registered-models/create", {"name": "\udc00\ud800"}),
    ],
)
def test_half_a_surrogate_pair_is_no_text(door, path, body):
    status, code, message = door.refused("POST", path, body=body)
    assert (status, code) == (400, INVALID)
    assert "surrogates not allowed" in message
    whole = {"name": "\N{GRINNING FACE}", "unknown": "\N{GRINNING FACE}"}
    assert "experiment_id" in door.post("experiments/create", whole)

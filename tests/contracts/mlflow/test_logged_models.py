"""Logged models as MLflow's clients see them, on both databases."""

from __future__ import annotations

import re

import pytest

from homeostat.foundation import events, lineage


@pytest.fixture
def make(door, experiment_id):
    def making(name="tree", **fields):
        asked = {"experiment_id": experiment_id, "name": name, **fields}
        return door.post("logged-models", asked)["model"]

    return making


@pytest.fixture
def measure(door, run_id):
    """Log points of a model: (key, value, at, step, dataset, digest) each."""
    names = ("key", "value", "timestamp", "step", "dataset_name", "dataset_digest")

    def measuring(model_id, *points):
        metrics = [{**dict(zip(names, p, strict=True)), "model_id": model_id} for p in points]
        door.post("runs/log-batch", {"run_id": run_id, "metrics": metrics})

    return measuring


@pytest.fixture
def names(door, experiment_id):
    """Search and return names."""

    def asking(condition="", **fields):
        asked = {"experiment_ids": [experiment_id], "filter": condition, **fields}
        found = door.post("logged-models/search", asked)
        return [model["info"]["name"] for model in found.get("models", [])]

    return asking


def id_of(model):
    return model["info"]["model_id"]


def test_a_new_model_is_pending_and_shows_what_stock_mlflow_shows(make, experiment_id, run_id):
    made = make(
        params=[{"key": "p", "value": "1"}],
        tags=[{"key": "t", "value": "v"}],
        model_type="agent",
        source_run_id=run_id,
    )
    info = made["info"]
    assert re.fullmatch("m-[0-9a-f]{32}", info["model_id"])
    assert info["creation_timestamp_ms"] == info["last_updated_timestamp_ms"]
    assert made == {
        "info": {
            "model_id": info["model_id"],
            "experiment_id": experiment_id,
            "name": "tree",
            "creation_timestamp_ms": info["creation_timestamp_ms"],
            "last_updated_timestamp_ms": info["creation_timestamp_ms"],
            "artifact_uri": (
                f"mlflow-artifacts:/{experiment_id}/models/{info['model_id']}/artifacts"
            ),
            "status": "LOGGED_MODEL_PENDING",
            "model_type": "agent",
            "source_run_id": run_id,
            "tags": [{"key": "t", "value": "v"}],
        },
        "data": {"params": [{"key": "p", "value": "1"}]},
    }


def test_a_model_without_a_name_gets_one_and_lacks_what_it_does_not_have(door, experiment_id):
    made = door.post("logged-models", {"experiment_id": experiment_id})["model"]
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d+", made["info"]["name"])
    assert made["data"] == {}
    assert "tags" not in made["info"]
    assert made["info"]["model_type"] == made["info"]["source_run_id"] == ""


@pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", "a%b", 'a"b', "a'b", "x" * 501])
def test_a_name_that_would_not_do_in_an_address_is_refused(door, experiment_id, name):
    asked = {"experiment_id": experiment_id, "name": name}
    status, code, message = door.refused("POST", "logged-models", body=asked)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "Invalid model name" in message


def test_a_model_needs_an_active_experiment(door, experiment_id):
    refused = door.refused("POST", "logged-models", body={"experiment_id": "99"})
    assert refused[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    refused = door.refused("POST", "logged-models", body={"experiment_id": "zz"})
    assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")
    refused = door.refused("POST", "logged-models", body={})
    assert "Missing value for required parameter 'experiment_id'" in refused[2]
    door.post("experiments/delete", {"experiment_id": experiment_id})
    refused = door.refused("POST", "logged-models", body={"experiment_id": experiment_id})
    assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("LOGGED_MODEL_READY", "LOGGED_MODEL_READY"),
        (2, "LOGGED_MODEL_READY"),
        ("3", "LOGGED_MODEL_UPLOAD_FAILED"),
    ],
)
def test_a_model_is_finished_by_name_or_number_of_a_status(door, make, given, shown):
    model_id = id_of(make())
    asked = {"model_id": model_id, "status": given}
    assert door.patch(f"logged-models/{model_id}", asked)["model"]["info"]["status"] == shown
    assert door.get(f"logged-models/{model_id}")["model"]["info"]["status"] == shown


@pytest.mark.parametrize("given", ["READY", 9, "x", "-1"])
def test_a_status_that_is_none_is_refused(door, make, given):
    refused = door.refused("PATCH", f"logged-models/{id_of(make())}", body={"status": given})
    assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_a_deleted_model_is_gone_but_not_forgotten(door, make, names):
    model_id = id_of(make())
    assert door.delete(f"logged-models/{model_id}") == {}
    assert door.delete(f"logged-models/{model_id}") == {}
    status, code, message = door.refused("GET", f"logged-models/{model_id}")
    assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert message == f"Logged model with ID '{model_id}' not found."
    assert names() == []
    kept = door.get(f"logged-models/{model_id}", allow_deleted="true")
    assert id_of(kept["model"]) == model_id
    body = {"tags": [{"key": "a", "value": "b"}]}
    assert door.refused("PATCH", f"logged-models/{model_id}/tags", body=body)[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "logged-models/m-0", None),
        ("DELETE", "logged-models/m-0", None),
        ("PATCH", "logged-models/m-0", {"status": "LOGGED_MODEL_READY"}),
        ("PATCH", "logged-models/m-0/tags", {"tags": [{"key": "a", "value": "b"}]}),
        ("DELETE", "logged-models/m-0/tags/a", None),
        ("POST", "logged-models/m-0/params", {"params": [{"key": "a", "value": "b"}]}),
        ("GET", "logged-models/m-0/artifacts/directories", None),
    ],
)
def test_an_absent_model_is_told_as_such(door, method, path, body):
    assert door.refused(method, path, body=body)[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


def test_tags_change_and_go(door, make):
    model_id = id_of(make(tags=[{"key": "a", "value": "1"}]))
    tags = [{"key": "a", "value": "2"}, {"key": "mlflow.x/y", "value": "é" * 20_000}]
    assert door.patch(f"logged-models/{model_id}/tags", {"tags": tags}) == {}
    assert door.get(f"logged-models/{model_id}")["model"]["info"]["tags"] == tags
    assert door.delete(f"logged-models/{model_id}/tags/a") == {}
    assert door.delete(f"logged-models/{model_id}/tags/mlflow.x%2Fy") == {}
    assert "tags" not in door.get(f"logged-models/{model_id}")["model"]["info"]
    status, code, message = door.refused("DELETE", f"logged-models/{model_id}/tags/a")
    assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert message == f"No tag with key 'a' found for model with ID '{model_id}'."


def test_params_come_in_batches_and_never_change(door, make):
    model_id = id_of(make(params=[{"key": f"a{n:03}", "value": "1"} for n in range(100)]))
    rest = [{"key": f"b{n:03}", "value": "x" * 7000} for n in range(150)]
    for _ in range(2):  # again is nothing new
        assert door.post(f"logged-models/{model_id}/params", {"params": rest}) == {}
    params = door.get(f"logged-models/{model_id}")["model"]["data"]["params"]
    assert len(params) == 250
    assert params[-1] == rest[-1]
    changed = {"params": [{"key": "a001", "value": "2"}, {"key": "new", "value": "1"}]}
    refused = door.refused("POST", f"logged-models/{model_id}/params", body=changed)
    assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert len(door.get(f"logged-models/{model_id}")["model"]["data"]["params"]) == 250


def test_one_key_with_two_values_is_refused(door, experiment_id):
    twice = [{"key": "p", "value": "1"}, {"key": "p", "value": "2"}]
    for field in ("params", "tags"):
        asked = {"experiment_id": experiment_id, field: twice}
        refused = door.refused("POST", "logged-models", body=asked)
        assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_metrics_of_a_model_are_kept_by_run_and_data(door, make, measure, run_id):
    model_id = id_of(make())
    point = ("acc", 0.5, 5, 1, "d", "x")
    measure(model_id, point, ("acc", 0.7, 6, 0, "", ""))
    measure(model_id, point, ("acc", 0.9, 5, 1, "e", "y"), ("n", "NaN", 7, -1, "", ""))
    about = {"model_id": model_id, "run_id": run_id}
    assert door.get(f"logged-models/{model_id}")["model"]["data"]["metrics"] == [
        {
            "key": "acc",
            "value": value,
            "timestamp": at,
            "step": step,
            **({"dataset_name": name, "dataset_digest": digest} if name else {}),
            **about,
        }
        for value, at, step, name, digest in [
            (0.5, 5, 1, "d", "x"),
            (0.9, 5, 1, "e", "y"),
            (0.7, 6, 0, "", ""),
        ]
    ] + [{"key": "n", "value": "NaN", "timestamp": 7, "step": -1, **about}]


def test_one_point_lands_on_the_run_and_on_the_model(door, make, run_id):
    point = {"key": "acc", "value": 0.5, "timestamp": 5, "step": 1}
    model_id = id_of(make())
    body = {**point, "run_id": run_id, "model_id": model_id}
    assert door.post("runs/log-metric", body) == {}
    assert door.get("runs/get", run_id=run_id)["run"]["data"]["metrics"] == [point]
    kept = door.get(f"logged-models/{model_id}")["model"]["data"]["metrics"]
    assert kept == [{**point, "model_id": model_id, "run_id": run_id}]


def test_a_point_of_an_absent_model_is_refused_whole(door, run_id):
    point = {"key": "acc", "value": 0.5, "timestamp": 5, "model_id": "m-none"}
    told = (404, "RESOURCE_DOES_NOT_EXIST", "Logged model with ID 'm-none' not found.")
    body = {"run_id": run_id, **point}
    assert door.refused("POST", "runs/log-metric", body=body) == told
    body = {"run_id": run_id, "metrics": [point]}
    assert door.refused("POST", "runs/log-batch", body=body) == told
    assert "metrics" not in door.get("runs/get", run_id=run_id)["run"]["data"]


def test_a_model_descends_from_its_run_and_tells_events(door, make, run_id):
    model_id = id_of(make(source_run_id=run_id))
    door.patch(f"logged-models/{model_id}", {"status": "LOGGED_MODEL_READY"})
    reference = f"logged-model:{model_id}"
    edges = door.house.read(lambda tx: lineage.descendants(tx, f"run:{run_id}"))
    assert [(edge.target, edge.kind) for edge in edges] == [(reference, "made")]
    told = door.house.read(lambda tx: events.read(tx, subject=reference))
    assert [event.kind for event in told] == [
        "logged-model.created",
        "logged-model.finished",
    ]


def test_a_source_run_that_is_not_here_is_kept_as_text(make):
    assert make(source_run_id="elsewhere")["info"]["source_run_id"] == "elsewhere"


@pytest.fixture
def forest(make, measure, door, run_id):
    """Three models that differ in everything."""
    for name, accuracy, kind in (("oak", 0.5, "a"), ("elm", 0.9, "b"), ("fir", 0.7, "b")):
        made = make(
            name,
            params=[{"key": "depth", "value": name[0]}],
            tags=[{"key": "kind", "value": kind}],
            model_type=kind,
            source_run_id=run_id if name == "oak" else "",
        )
        points = [("acc", accuracy, 10, 0, "train", "t1"), ("acc", 0.1, 5, 9, "test", "t2")]
        measure(id_of(made), *points[: 1 if name == "fir" else 2])
        if name != "fir":
            door.patch(f"logged-models/{id_of(made)}", {"status": "LOGGED_MODEL_READY"})


@pytest.mark.usefixtures("forest")
@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("", {"oak", "elm", "fir"}),
        ("name = 'oak'", {"oak"}),
        ("name != 'oak'", {"elm", "fir"}),
        ("name LIKE 'o%'", {"oak"}),
        ("name LIKE 'O%'", set()),
        ("name ILIKE 'O_K'", {"oak"}),
        ("name LIKE '%[a-z]%'", set()),
        ("name IN ('oak', 'fir')", {"oak", "fir"}),
        ("name NOT IN ('oak')", {"elm", "fir"}),
        ("attributes.model_type = 'b'", {"elm", "fir"}),
        ("status = 'READY'", {"oak", "elm"}),
        ("status = 'LOGGED_MODEL_READY'", {"oak", "elm"}),
        ("status != 'READY'", {"fir"}),
        ("status IN ('PENDING', 'UPLOAD_FAILED')", {"fir"}),
        ("params.depth = 'e'", {"elm"}),
        ("params.depth IN ('e', 'f')", {"elm", "fir"}),
        ("params.nope != 'e'", set()),
        ("tags.kind = 'b' AND metrics.acc > 0.8", {"elm"}),
        ("tags.`kind` LIKE 'b'", {"elm", "fir"}),
        ("metrics.acc < 0.2", {"oak", "elm"}),
        ("metrics.acc >= 0.7", {"elm", "fir"}),
        ("creation_timestamp > 1 AND last_updated_timestamp > 1", {"oak", "elm", "fir"}),
        ("creation_time < 1", set()),
        ("attributes.creation_timestamp_ms < 99999999999999", {"oak", "elm", "fir"}),
    ],
)
def test_models_are_found_by_what_is_known_of_them(names, condition, found):
    assert set(names(condition)) == found


@pytest.mark.usefixtures("forest")
def test_models_are_found_by_their_run(names, run_id):
    """What clients ask before they read `runs:/<id>/<name>`."""
    assert names(f"name = 'oak' AND source_run_id = '{run_id}'") == ["oak"]
    assert names(f"name = 'elm' AND source_run_id = '{run_id}'") == []


@pytest.mark.usefixtures("forest")
@pytest.mark.parametrize(
    ("datasets", "condition", "found"),
    [
        ([{"dataset_name": "test"}], "", {"oak", "elm"}),
        ([{"dataset_name": "test", "dataset_digest": "t1"}], "", set()),
        ([{"dataset_name": "test"}], "metrics.acc > 0.4", set()),
        (
            [{"dataset_name": "train", "dataset_digest": "t1"}],
            "metrics.acc > 0.6",
            {"elm", "fir"},
        ),
        ([{"dataset_name": "train"}, {"dataset_name": "test"}], "", {"oak", "elm", "fir"}),
    ],
)
def test_data_narrows_the_metrics_that_count(names, datasets, condition, found):
    assert set(names(condition, datasets=datasets)) == found


@pytest.mark.usefixtures("forest")
@pytest.mark.parametrize(
    ("order", "found"),
    [
        ([], ["fir", "elm", "oak"]),
        ([{"field_name": "name"}], ["elm", "fir", "oak"]),
        ([{"field_name": "name", "ascending": False}], ["oak", "fir", "elm"]),
        ([{"field_name": "creation_timestamp", "ascending": True}], ["oak", "elm", "fir"]),
        ([{"field_name": "metrics.acc", "ascending": False}], ["elm", "fir", "oak"]),
        (
            [{"field_name": "metrics.acc", "ascending": False, "dataset_name": "test"}],
            ["elm", "oak", "fir"],
        ),
        ([{"field_name": "metrics.none"}, {"field_name": "name"}], ["elm", "fir", "oak"]),
    ],
)
def test_models_are_ordered_values_first(names, order, found):
    assert names("", order_by=order) == found


def test_pages_follow_each_other_whatever_the_order(door, make, measure, experiment_id):
    numbers = [0.5, "NaN", 0.5, "Infinity", None, -1.0, None]
    for n, number in enumerate(numbers):
        model_id = id_of(make(f"model {n % 3}"))
        if number is not None:
            measure(model_id, ("acc", number, 1, 0, "", ""))
    for way in (True, False):
        order = [
            {"field_name": "metrics.acc", "ascending": way},
            {"field_name": "name", "ascending": not way},
        ]
        asked = {"experiment_ids": [experiment_id], "order_by": order}
        whole = [id_of(one) for one in door.post("logged-models/search", asked)["models"]]
        assert len(set(whole)) == len(numbers)
        seen, token = [], ""
        while True:
            page = door.post(
                "logged-models/search", {**asked, "max_results": "2", "page_token": token}
            )
            seen += [id_of(one) for one in page["models"]]
            token = page.get("next_page_token", "")
            if not token:
                break
        assert seen == whole


def test_a_token_of_another_question_is_refused(door, make, experiment_id):
    for name in ("a", "b"):
        make(name)
    asked = {"experiment_ids": [experiment_id], "max_results": 1}
    token = door.post("logged-models/search", asked)["next_page_token"]
    for other in ({"filter": "name != 'x'"}, {"order_by": [{"field_name": "name"}]}):
        body = {**asked, **other, "page_token": token}
        refused = door.refused("POST", "logged-models/search", body=body)
        assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")
    body = {**asked, "page_token": "garbage"}
    assert door.refused("POST", "logged-models/search", body=body)[0] == 400


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "Missing value for required parameter 'experiment_ids'"),
        ({"experiment_ids": ["zz"]}, "zz"),
        ({"experiment_ids": ["0"], "filter": "nope = 'x'"}, "nope"),
        ({"experiment_ids": ["0"], "filter": "foo.nope = 'x'"}, "Invalid entity type 'foo'"),
        ({"experiment_ids": ["0"], "filter": "metrics.acc = 'x'"}, "metric"),
        ({"experiment_ids": ["0"], "filter": "params.q > '1'"}, ">"),
        ({"experiment_ids": ["0"], "filter": "name = 'a' OR name = 'b'"}, "OR"),
        ({"experiment_ids": ["0"], "max_results": -1}, "max_results"),
        ({"experiment_ids": ["0"], "datasets": [{"dataset_digest": "x"}]}, "dataset_name"),
        ({"experiment_ids": ["0"], "order_by": [{"field_name": "params.a"}]}, "Only metrics"),
        ({"experiment_ids": ["0"], "order_by": [{"field_name": "nope"}]}, "nope"),
        ({"experiment_ids": ["0"], "order_by": ["name"]}, "order_by"),
    ],
)
def test_a_search_that_cannot_be_right_is_refused(door, asked, said):
    status, code, message = door.refused("POST", "logged-models/search", body=asked)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert said in message


def test_no_text_of_a_client_is_ever_more_than_text(door, make, names):
    bad = "'); DROP TABLE logged_models; --"
    make(bad.replace("'", ""), tags=[{"key": "t", "value": bad}])
    assert names('tags.t = "' + bad + '"') != []
    assert names("tags.`t` LIKE '%DROP%'") != []


def test_files_of_a_model_are_listed_folder_by_folder(door, make):
    made = make()
    root = made["info"]["artifact_uri"]
    below = root.removeprefix("mlflow-artifacts:")
    for path in ("MLmodel", "code/a b.py", "code/deep/c.py"):
        address = f"/api/2.0/mlflow-artifacts/artifacts{below}/{path.replace(' ', '%20')}"
        assert door.call("PUT", address, raw=b"12345")[0] == 200
    listing = f"logged-models/{id_of(made)}/artifacts/directories"
    assert door.get(listing) == {
        "root_uri": root,
        "files": [
            {"path": "MLmodel", "is_dir": False, "file_size": 5},
            {"path": "code", "is_dir": True},
        ],
    }
    assert door.get(listing, artifact_directory_path="code")["files"] == [
        {"path": "code/a b.py", "is_dir": False, "file_size": 5},
        {"path": "code/deep", "is_dir": True},
    ]
    assert door.get(listing, artifact_directory_path="none") == {"root_uri": root}
    for outside in ("../x", "%2e%2e/x", "/etc", "a\\b", "%252e%252e%252fx"):
        refused = door.refused("GET", listing, artifact_directory_path=outside)
        assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_a_text_with_a_nul_is_kept_or_refused_but_no_fault(door, make, experiment_id):
    """PostgreSQL cannot hold one."""
    asked = {"experiment_id": experiment_id, "tags": [{"key": "t", "value": "a\0b"}]}
    model_id = id_of(make())
    for method, path, body in (
        ("POST", "logged-models", asked),
        ("POST", "logged-models", {"experiment_id": experiment_id, "name": "a\0b"}),
        ("POST", "logged-models", {"experiment_id": experiment_id, "source_run_id": "\0"}),
        ("PATCH", f"logged-models/{model_id}/tags", {"tags": asked["tags"]}),
        ("POST", f"logged-models/{model_id}/params", {"params": asked["tags"]}),
    ):
        assert door.call(method, path, body=body)[0] in {200, 400}


def test_older_clients_note_their_models_on_the_run(door, run_id):
    description = (
        '{"artifact_path": "m", "flavors": {"python_function": {"config": {"a": 1},'
        ' "loader_module": "x"}}, "utc_time_created": "2020", "run_id": "r", "zz": 1}'
    )
    for _ in range(2):
        assert door.post("runs/log-model", {"run_id": run_id, "model_json": description}) == {}
    tags = door.get("runs/get", run_id=run_id)["run"]["data"]["tags"]
    kept = {tag["key"]: tag["value"] for tag in tags}["mlflow.log-model.history"]
    entry = (
        '{"run_id":"r","artifact_path":"m","utc_time_created":"2020","model_uuid":null,'
        '"flavors":{"python_function":{"loader_module":"x"}}}'
    )
    assert kept == f"[{entry},{entry}]"


@pytest.mark.parametrize("description", ["{", "[]", "{}", '"x"', "7"])
def test_a_description_that_is_none_is_refused(door, run_id, description):
    asked = {"run_id": run_id, "model_json": description}
    refused = door.refused("POST", "runs/log-model", body=asked)
    assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")

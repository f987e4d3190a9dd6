"""Registered models and their versions behave as MLflow's clients expect, on both databases."""

from __future__ import annotations

import json
from concurrent import futures

import pytest

from homeostat.foundation import access
from homeostat.lifecycle.registry import actions, files

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
def model(door):
    door.post("registered-models/create", {"name": "credit"})
    return "credit"


@pytest.fixture
def root(door, run_id):
    """Where the run keeps its artifacts; two files of a model are there."""
    address = door.get("runs/get", run_id=run_id)["run"]["info"]["artifact_uri"]
    for path in ("model/MLmodel", "model/model.pkl"):
        put(door, address, path, path.encode())
    return address


def put(door, address, path, data):
    below = address.removeprefix("mlflow-artifacts:/")
    status, _, body = door.call("PUT", f"{ARTIFACTS}/{below}/{path}", raw=data)
    assert status == 200, body


def create(door, name="credit", **fields):
    fields = {"source": "s3://bucket/model", **fields}
    made = door.post("model-versions/create", {"name": name, **fields})
    return made["model_version"]


def version(door, number, name="credit"):
    return door.get("model-versions/get", name=name, version=str(number))["model_version"]


def names(answer):
    return [one["name"] for one in answer.get("registered_models", [])]


def numbers(answer):
    return [(one["name"], one["version"]) for one in answer.get("model_versions", [])]


def test_a_new_model_has_no_description_tags_aliases_or_versions(door):
    made = door.post("registered-models/create", {"name": "credit"})["registered_model"]
    assert set(made) == {"name", "creation_timestamp", "last_updated_timestamp"}
    assert door.get("registered-models/get", name="credit")["registered_model"] == made


def test_a_model_shows_what_was_said_of_it(door):
    tags = [{"key": "team", "value": "risk"}, {"key": "team", "value": "fraud"}]
    given = {"name": "my model (v2)", "description": "d", "tags": tags}
    made = door.post("registered-models/create", given)["registered_model"]
    assert made["description"] == "d"
    assert made["tags"] == [{"key": "team", "value": "fraud"}]
    assert door.get("registered-models/get", name="my model (v2)")["registered_model"] == made


def test_a_name_that_is_taken_is_refused_in_mlflows_words(door, model):
    told = door.refused("POST", "registered-models/create", body={"name": model})
    assert told == (
        400,
        "RESOURCE_ALREADY_EXISTS",
        "Registered Model (name=credit) already exists.",
    )


def test_a_prompt_and_a_model_cannot_share_a_name(door, model):
    flag = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    told = door.refused("POST", "registered-models/create", body={"name": model, "tags": flag})
    assert told[1] == "RESOURCE_ALREADY_EXISTS"
    assert "Tried to create a prompt with name 'credit'" in told[2]


@pytest.mark.parametrize(
    "name", ["", "   ", "a/b", "a:b", ".", "..", "a\u0000b", "a\nb", "x" * 257]
)
def test_what_cannot_name_a_model_is_refused(door, name):
    told = door.refused("POST", "registered-models/create", body={"name": name})
    assert told[:2] == (400, "INVALID_PARAMETER_VALUE")


OF_MODELS = [
    ("GET", "registered-models/get", {}),
    ("PATCH", "registered-models/update", {"description": "d"}),
    ("POST", "registered-models/rename", {"new_name": "b"}),
    ("DELETE", "registered-models/delete", {}),
    ("POST", "registered-models/get-latest-versions", {}),
    ("POST", "registered-models/set-tag", {"key": "k", "value": "v"}),
    ("DELETE", "registered-models/delete-tag", {"key": "k"}),
    ("DELETE", "registered-models/alias", {"alias": "a"}),
    ("GET", "registered-models/alias", {"alias": "a"}),
    ("POST", "model-versions/create", {"source": "s3://b/m"}),
]
OF_VERSIONS = [
    ("GET", "model-versions/get", {}),
    ("GET", "model-versions/get-download-uri", {}),
    ("PATCH", "model-versions/update", {"description": "d"}),
    ("POST", "model-versions/transition-stage", {"stage": "Staging"}),
    ("DELETE", "model-versions/delete", {}),
    ("POST", "model-versions/set-tag", {"key": "k", "value": "v"}),
    ("DELETE", "model-versions/delete-tag", {"key": "k"}),
    ("POST", "registered-models/alias", {"alias": "a"}),
]


def test_what_is_not_there_is_told_in_mlflows_words(door, model):
    for method, path, fields in OF_MODELS:
        asked = {"name": "absent", **fields}
        told = door.refused(method, path, **(asked if method == "GET" else {"body": asked}))
        words = "Registered Model with name=absent not found"
        assert told == (404, "RESOURCE_DOES_NOT_EXIST", words), path
    for method, path, fields in OF_VERSIONS:
        asked = {"name": model, "version": "7", **fields}
        told = door.refused(method, path, **(asked if method == "GET" else {"body": asked}))
        words = "Model Version (name=credit, version=7) not found"
        assert told == (404, "RESOURCE_DOES_NOT_EXIST", words), path


def test_a_version_that_is_no_number_is_refused(door, model):
    told = door.refused("GET", "model-versions/get", name=model, version="one")
    assert told[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_a_version_has_text_for_a_number_and_empty_texts_for_what_is_unset(door, model):
    made = create(door)
    assert made == version(door, 1)
    assert {key: made[key] for key in made if "timestamp" not in key} == {
        "name": "credit",
        "version": "1",
        "current_stage": "None",
        "description": "",
        "source": "s3://bucket/model",
        "run_id": "",
        "run_link": "",
        "status": "READY",
    }


def test_numbers_count_from_one_and_are_never_given_twice(door, model):
    assert [create(door)["version"] for _ in range(3)] == ["1", "2", "3"]
    door.delete("model-versions/delete", {"name": model, "version": "3"})
    assert create(door)["version"] == "4"
    door.delete("registered-models/delete", {"name": model})
    door.post("registered-models/create", {"name": model})
    assert create(door)["version"] == "5"


def test_two_registers_at_once_get_two_numbers(door, model):
    with futures.ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: create(door)["version"], range(12)))
    assert sorted(map(int, made)) == list(range(1, 13))


def test_of_two_who_make_a_model_at_once_one_wins(door):
    def make(_):
        status, _, body = door.call("POST", "registered-models/create", body={"name": "race"})
        return status, json.loads(body).get("error_code")

    with futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(make, range(8)))
    assert sorted(answers, key=str) == [(200, None)] + [(400, "RESOURCE_ALREADY_EXISTS")] * 7


def test_a_version_keeps_the_files_that_were_there_when_it_was_made(door, model, run_id, root):
    made = create(door, source=f"{root}/model", run_id=run_id)
    put(door, root, "model/model.pkl", b"replaced")
    with door.house.database.read() as tx:
        found = actions.get_version(tx, access.local_owner("ada"), model, int(made["version"]))
    assert [file.path for file in found.files] == ["MLmodel", "model.pkl"]
    assert found.owner == f"run:{run_id}"
    assert files.fetch(door.house, found)["model.pkl"] == b"model/model.pkl"
    uri = door.get("model-versions/get-download-uri", name=model, version="1")
    assert uri == {"artifact_uri": f"{root}/model"}


def test_runs_addresses_are_told_as_real_ones(door, model, run_id, root):
    made = create(door, source=f"runs:/{run_id}/model", run_id=run_id)
    assert made["source"] == f"runs:/{run_id}/model"
    uri = door.get("model-versions/get-download-uri", name=model, version="1")
    assert uri == {"artifact_uri": f"{root}/model"}


def logged(door, experiment_id, run_id):
    asked = {"experiment_id": experiment_id, "source_run_id": run_id}
    return door.post("logged-models", asked)["model"]["info"]


def test_a_logged_model_is_registered_by_its_id(door, model, experiment_id, run_id):
    info = logged(door, experiment_id, run_id)
    put(door, info["artifact_uri"], "MLmodel", b"flavors: {}")
    model_id = info["model_id"]
    made = create(door, source=f"models:/{model_id}", model_id=model_id)
    assert (made["model_id"], made["run_id"]) == (model_id, run_id)
    uri = door.get("model-versions/get-download-uri", name=model, version="1")
    assert uri == {"artifact_uri": info["artifact_uri"]}
    tags = {
        tag["key"]: tag["value"]
        for tag in door.get(f"logged-models/{model_id}")["model"]["info"]["tags"]
    }
    assert json.loads(tags["mlflow.modelVersions"]) == [{"name": "credit", "version": 1}]


def test_a_runs_address_finds_the_model_that_the_run_logged_by_name(
    door, model, experiment_id, run_id
):
    asked = {"experiment_id": experiment_id, "source_run_id": run_id, "name": "tree"}
    info = door.post("logged-models", asked)["model"]["info"]
    put(door, info["artifact_uri"], "MLmodel", b"flavors: {}")
    create(door, source=f"runs:/{run_id}/tree", run_id=run_id)
    create(door, source=f"runs:/{run_id}/absent", run_id=run_id)
    found = [
        door.get("model-versions/get-download-uri", name=model, version=number)["artifact_uri"]
        for number in ("1", "2")
    ]
    assert found == [info["artifact_uri"], f"runs:/{run_id}/absent"]


def test_a_version_can_repeat_one_of_another_model(door, model, run_id, root):
    create(door, source=f"{root}/model", run_id=run_id)
    door.post("registered-models/alias", {"name": model, "alias": "best", "version": "1"})
    door.post("registered-models/create", {"name": "copy"})
    for source in ("models:/credit/1", "models:/credit@best", "models:/credit/latest"):
        made = create(door, name="copy", source=source)
        assert (made["source"], made["run_id"]) == ("models:/credit/1", run_id)
    uri = door.get("model-versions/get-download-uri", name="copy", version="3")
    assert uri == {"artifact_uri": f"{root}/model"}


ABROAD = [
    "/etc/passwd",
    "file:///etc",
    "file:/etc/passwd",
    "file://localhost/etc",
    "file:///tmp/../etc",
    "relative/path",
    "./model",
    "../model",
    "model",
    "C:\\model",
    "mlflow-artifacts:/",
    "mlflow-artifacts:/../../etc",
    "mlflow-artifacts:/{root}/../../../etc",
    "mlflow-artifacts:/{root}/%2e%2e/%2e%2e/secret",
    "mlflow-artifacts:/{root}/%252e%252e/secret",
    "mlflow-artifacts:/{root}/%25252e%25252e/secret",
    "mlflow-artifacts:/{root}/..%5csecret",
    "mlflow-artifacts:/{root}/model%00",
    "mlflow-artifacts:/{root}/model\u0000",
    "mlflow-artifacts://host:80/{root}/model",
    "mlflow-artifacts:/{other}/model",
    "mlflow-artifacts:/{root}x/model",
    "http://host/model",
    "https://host/api/2.0/mlflow-artifacts/artifacts/{root}/model",
    "runs:/{other_run}/model",
    "runs://host/{run}/model",
    "runs:/{run}/../{other_run}/model",
    "runs:/{run}/%2e%2e/model",
    "models:/m-00000000000000000000000000000000",
    "models://host/credit/1",
    "models:/",
    "models:credit/1",
    "s3://bucket/../other",
    "s3://bucket/%2e%2e/other",
    "dbfs:relative",
]


@pytest.mark.parametrize("is_named", [True, False], ids=["run", "nothing"])
def test_an_address_outside_what_is_named_is_refused(door, model, root, is_named):
    mine = door.get("runs/get", run_id=root.split("/")[-2])["run"]["info"]
    asked = {"experiment_id": mine["experiment_id"]}
    other = door.post("runs/create", asked)["run"]["info"]
    places = {
        "{run}": mine["run_id"],
        "{other_run}": other["run_id"],
        "{root}": root.removeprefix("mlflow-artifacts:/"),
        "{other}": other["artifact_uri"].removeprefix("mlflow-artifacts:/"),
    }
    for source in ABROAD:
        for word, place in places.items():
            source = source.replace(word, place)  # noqa: PLW2901 - filled in
        asked = {"name": model, "source": source}
        asked |= {"run_id": mine["run_id"]} if is_named else {}
        told = door.refused("POST", "model-versions/create", body=asked)
        known = {(400, "INVALID_PARAMETER_VALUE"), (404, "RESOURCE_DOES_NOT_EXIST")}
        assert told[:2] in known, (source, told)
    assert door.get("model-versions/search", filter="name = 'credit'") == {}


@pytest.mark.parametrize(
    "source", ["s3://bucket/a/b", "dbfs:/models/1", "gs://b/m", "wasbs://c@a.net/m"]
)
def test_a_place_elsewhere_may_be_named_freely(door, model, source):
    assert create(door, source=source)["source"] == source


def test_files_of_one_logged_model_are_not_registered_as_anothers(
    door, model, experiment_id, run_id
):
    mine, other = (logged(door, experiment_id, run_id) for _ in range(2))
    for source in (f"models:/{other['model_id']}", other["artifact_uri"], f"runs:/{run_id}/m"):
        asked = {"name": model, "source": source, "model_id": mine["model_id"]}
        told = door.refused("POST", "model-versions/create", body=asked)
        assert told[:2] == (400, "INVALID_PARAMETER_VALUE")
        assert "The model_id request parameter must identify" in told[2]


def test_aliases_move_and_are_shown_on_both_sides(door, model):
    for _ in range(2):
        create(door)
    for number in ("1", "2"):
        door.post(
            "registered-models/alias", {"name": model, "alias": "Best-1", "version": number}
        )
    found = door.get("registered-models/alias", name=model, alias="Best-1")["model_version"]
    assert (found["version"], found["aliases"]) == ("2", ["Best-1"])
    assert "aliases" not in version(door, 1)
    shown = door.get("registered-models/get", name=model)["registered_model"]
    assert shown["aliases"] == [{"alias": "Best-1", "version": "2"}]
    door.delete("registered-models/alias", {"name": model, "alias": "Best-1"})
    assert door.delete("registered-models/alias", {"name": model, "alias": "Best-1"}) == {}
    told = door.refused("GET", "registered-models/alias", name=model, alias="Best-1")
    assert told == (400, "INVALID_PARAMETER_VALUE", "Registered model alias Best-1 not found.")


@pytest.mark.parametrize(
    "alias", ["latest", "LATEST", "v1", "V23", "a b", "a.b", "", "x" * 256]
)
def test_what_cannot_be_an_alias_is_refused(door, model, alias):
    create(door)
    asked = {"name": model, "alias": alias, "version": "1"}
    told = door.refused("POST", "registered-models/alias", body=asked)
    assert told[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_deleting_a_version_drops_its_aliases(door, model):
    create(door)
    door.post("registered-models/alias", {"name": model, "alias": "a", "version": "1"})
    door.delete("model-versions/delete", {"name": model, "version": "1"})
    assert door.refused("GET", "registered-models/alias", name=model, alias="a")[0] == 400
    shown = door.get("registered-models/get", name=model)["registered_model"]
    assert not {"aliases", "latest_versions"} & set(shown)


def test_stages_are_written_in_any_case_and_may_archive(door, model):
    for _ in range(3):
        create(door)

    def move(number, stage, **more):
        asked = {"name": model, "version": str(number), "stage": stage, **more}
        return door.post("model-versions/transition-stage", asked)["model_version"]

    assert move(1, "pRoduction")["current_stage"] == "Production"
    move(2, "Production", archive_existing_versions=True)
    stages = [version(door, number)["current_stage"] for number in (1, 2, 3)]
    assert stages == ["Archived", "Production", "None"]
    newest = door.post("registered-models/get-latest-versions", {"name": model})
    assert numbers(newest) == [("credit", "1"), ("credit", "2"), ("credit", "3")]
    asked = {"name": model, "stages": ["production"]}
    assert numbers(door.post("registered-models/get-latest-versions", asked)) == [
        ("credit", "2")
    ]
    got = door.get(
        "registered-models/get-latest-versions", name=model, stages=["None", "Archived"]
    )
    assert numbers(got) == [("credit", "1"), ("credit", "3")]
    asked = {
        "name": model,
        "version": "1",
        "stage": "Archived",
        "archive_existing_versions": True,
    }
    told = door.refused("POST", "model-versions/transition-stage", body=asked)
    assert told[:2] == (400, "INVALID_PARAMETER_VALUE")
    asked = {"name": model, "version": "1", "stage": "Nowhere"}
    told = door.refused("POST", "model-versions/transition-stage", body=asked)
    assert told[2] == (
        "Invalid Model Version stage: Nowhere. Value must be one of None, Staging, Production, "
        "Archived."
    )


def test_descriptions_and_tags_change(door, model):
    create(door)
    said = door.patch("registered-models/update", {"name": model, "description": "m"})
    assert said["registered_model"]["description"] == "m"
    asked = {"name": model, "version": "1", "description": "v"}
    assert door.patch("model-versions/update", asked)["model_version"]["description"] == "v"
    of = {"name": model, "version": "1"}
    for value in ("1", "2"):
        door.post("registered-models/set-tag", {"name": model, "key": "k", "value": value})
        door.post("model-versions/set-tag", {**of, "key": "k", "value": value})
    assert version(door, 1)["tags"] == [{"key": "k", "value": "2"}]
    for _ in range(2):
        door.delete("registered-models/delete-tag", {"name": model, "key": "k"})
        door.delete("model-versions/delete-tag", {**of, "key": "k"})
    assert "tags" not in version(door, 1)
    assert "tags" not in door.get("registered-models/get", name=model)["registered_model"]


@pytest.mark.parametrize("key", ["a\u0000", "x" * 251, "a$b", "../x"])
def test_what_cannot_be_the_key_of_a_tag_is_refused(door, model, key):
    asked = {"name": model, "key": key, "value": "v"}
    told = door.refused("POST", "registered-models/set-tag", body=asked)
    assert told[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_a_rename_keeps_versions_aliases_tags_and_readable_files(door, model, run_id, root):
    create(door, source=f"{root}/model", run_id=run_id, tags=[{"key": "k", "value": "v"}])
    door.post("registered-models/alias", {"name": model, "alias": "a", "version": "1"})
    renamed = door.post("registered-models/rename", {"name": model, "new_name": "score"})
    assert renamed["registered_model"]["name"] == "score"
    assert door.refused("GET", "registered-models/get", name=model)[0] == 404
    found = door.get("registered-models/alias", name="score", alias="a")["model_version"]
    assert (found["name"], found["version"]) == ("score", "1")
    assert found["tags"] == [{"key": "k", "value": "v"}]
    back = door.post("registered-models/rename", {"name": "score", "new_name": model})
    assert back["registered_model"]["latest_versions"][0]["version"] == "1"
    assert create(door)["version"] == "2"


def test_a_rename_onto_a_name_that_is_taken_is_refused(door, model):
    door.post("registered-models/create", {"name": "score"})
    asked = {"name": model, "new_name": "score"}
    told = door.refused("POST", "registered-models/rename", body=asked)
    assert told[:2] == (400, "RESOURCE_ALREADY_EXISTS")
    assert told[2].startswith("Registered Model (name=score) already exists.")


def test_a_name_that_was_left_keeps_its_count(door, model):
    create(door)
    door.post("registered-models/rename", {"name": model, "new_name": "score"})
    door.post("registered-models/create", {"name": model})
    assert create(door)["version"] == "2"


def test_a_deleted_model_is_gone_with_its_versions_tags_and_aliases(door):
    flagged = {"name": "credit", "tags": [{"key": "k", "value": "v"}], "description": "d"}
    door.post("registered-models/create", flagged)
    create(door)
    door.post("registered-models/alias", {"name": "credit", "alias": "a", "version": "1"})
    assert door.delete("registered-models/delete", {"name": "credit"}) == {}
    assert door.refused("GET", "registered-models/get", name="credit")[0] == 404
    assert door.refused("GET", "model-versions/get", name="credit", version="1")[0] == 404
    assert numbers(door.get("model-versions/search")) == []
    made = door.post("registered-models/create", {"name": "credit"})["registered_model"]
    assert not {"tags", "aliases", "description", "latest_versions"} & set(made)


def test_models_are_found_by_name_and_tags_page_by_page(door):
    for name in ("Alpha", "alpha", "beta", "b_ta"):
        tags = [{"key": "team", "value": name.upper()}]
        door.post("registered-models/create", {"name": name, "tags": tags})

    def search(filter="", **more):  # noqa: A002 - MLflow's name
        return door.get("registered-models/search", filter=filter, **more)

    assert names(search()) == ["Alpha", "alpha", "b_ta", "beta"]
    assert names(search("name LIKE 'al%'")) == ["alpha"]
    assert names(search("name ILIKE 'AL%'")) == ["Alpha", "alpha"]
    assert names(search("name IN ('beta', 'no')")) == ["beta"]
    assert names(search("name != 'beta' AND tags.team = 'ALPHA'")) == ["Alpha", "alpha"]
    assert names(search("tags.`team` ILIKE 'b%'", order_by=["name DESC"])) == ["beta", "b_ta"]
    first = search(max_results=3, order_by=["timestamp DESC"])
    second = search(
        max_results=3, order_by=["timestamp DESC"], page_token=first["next_page_token"]
    )
    assert len(names(first)) == 3
    assert sorted(names(first) + names(second)) == sorted(["Alpha", "alpha", "b_ta", "beta"])
    assert "next_page_token" not in second


@pytest.mark.parametrize(
    "asked",
    [
        {"max_results": 1001},
        {"max_results": 0},
        {"page_token": "garbage"},
        {"filter": "owner = 'x'"},
        {"filter": "name > 'x'"},
        {"filter": "name = x"},
        {"filter": "name = 'x' OR name = 'y'"},
        {"order_by": ["owner"]},
        {"order_by": ["name", "name DESC"]},
    ],
    ids=str,
)
def test_a_search_that_cannot_be_right_is_refused(door, asked):
    told = door.refused("GET", "registered-models/search", **asked)
    assert told[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_versions_are_found_the_latest_changed_first(door, model):
    door.post("registered-models/create", {"name": "score"})
    create(door, run_id="r1", source="s3://b/one", tags=[{"key": "k", "value": "a"}])
    create(door, name="score", run_id="r2", source="s3://b/two")
    create(door, run_id="r2", source="s3://b/three")

    def search(text="", **more):
        return numbers(door.get("model-versions/search", filter=text, **more))

    one, two, score = ("credit", "1"), ("credit", "2"), ("score", "1")
    assert search(order_by=["name", "version_number"]) == [one, two, score]
    assert search("name = 'credit'", order_by=["version_number DESC"]) == [two, one]
    assert search("run_id = 'r2'", order_by=["name"]) == [two, score]
    assert search("run_id IN ('r1', 'zz')") == [one]
    assert search("source_path LIKE '%/t%'", order_by=["name"]) == [two, score]
    assert search("version_number >= 2") == [two]
    assert search("version_number = '1' AND name = 'credit'") == [one]
    assert search("tags.k = 'a'") == [one]
    door.patch("model-versions/update", {"name": "credit", "version": "1", "description": "d"})
    assert set(search()) == {one, two, score}
    first = door.get("model-versions/search", max_results=2)
    rest = door.get("model-versions/search", max_results=2, page_token=first["next_page_token"])
    assert sorted(numbers(first) + numbers(rest)) == [one, two, score]


def test_prompts_are_hidden_unless_they_are_asked_for(door, model):
    flag = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    door.post("registered-models/create", {"name": "greeting", "tags": flag})
    create(door, name="greeting", source="dummy-source", tags=flag)
    create(door)
    flagged = "tags.`mlflow.prompt.is_prompt`"
    find = "registered-models/search"
    assert names(door.get(find)) == ["credit"]
    assert names(door.get(find, filter=f"{flagged} = 'true'")) == ["greeting"]
    assert names(door.get(find, filter=f"{flagged} != 'true'")) == ["credit"]
    assert names(door.get(find, filter=f"{flagged} = 'false'")) == ["credit"]
    find = "model-versions/search"
    assert numbers(door.get(find)) == [("credit", "1")]
    assert numbers(door.get(find, filter=f"{flagged} = 'true'")) == [("greeting", "1")]
    told = door.refused(
        "POST",
        "model-versions/create",
        body={"name": "greeting", "source": "s3://b", "tags": flag},
    )
    assert "Prompt sources must use an MLflow placeholder" in told[2]

"""Experiments and what surrounds them, as the stock client sees them."""

from __future__ import annotations

import os

import mlflow
import requests
from asking import an_experiment, ask, client, fresh, refused, signed_in, turned_away


def the_server_says_that_it_is_there_and_which_level_it_speaks():
    url = mlflow.get_tracking_uri()
    health = requests.get(f"{url}/health", timeout=180)
    assert (health.status_code, health.text) == (200, "OK")
    version = requests.get(f"{url}/version", timeout=180)
    assert version.status_code == 200
    assert int(version.text.split(".")[0]) >= 3
    told = ask("GET", "/api/3.0/mlflow/server-info").json()
    assert isinstance(told, dict)


def what_is_not_served_is_a_404_without_a_body_that_clients_can_tell():
    answer = ask("GET", "/api/3.0/mlflow/nothing/of/the/kind")
    assert answer.status_code == 404
    try:
        told = answer.json()
    except ValueError:
        return
    assert "error_code" not in told


def the_default_experiment_is_there_from_the_start():
    found = client().get_experiment("0")
    assert (found.name, found.lifecycle_stage) == ("Default", "active")


def an_experiment_is_made_read_renamed_deleted_and_brought_back():
    name = fresh("life")
    made = client().create_experiment(name, tags={"team": "risk"})
    found = client().get_experiment_by_name(name)
    assert found.experiment_id == made
    assert found.tags["team"] == "risk"
    assert found.artifact_location
    assert found.creation_time > 1_700_000_000_000
    client().rename_experiment(made, f"{name}-later")
    assert client().get_experiment_by_name(name) is None
    client().set_experiment_tag(made, "seen", "yes")
    client().delete_experiment(made)
    assert client().get_experiment(made).lifecycle_stage == "deleted"
    refused("INVALID_PARAMETER_VALUE", client().create_run, made)
    client().restore_experiment(made)
    back = client().get_experiment(made)
    assert (back.lifecycle_stage, back.tags["seen"]) == ("active", "yes")


def a_name_is_taken_once_also_by_a_deleted_experiment():
    name = fresh("taken")
    made = client().create_experiment(name)
    refused("RESOURCE_ALREADY_EXISTS", client().create_experiment, name)
    client().delete_experiment(made)
    refused("RESOURCE_ALREADY_EXISTS", client().create_experiment, name)


def set_experiment_makes_one_the_first_time_and_finds_it_the_next():
    name = fresh("set")
    first, second = mlflow.set_experiment(name), mlflow.set_experiment(name)
    assert first.experiment_id == second.experiment_id
    client().delete_experiment(first.experiment_id)
    told = refused("INVALID_PARAMETER_VALUE", mlflow.set_experiment, name)
    assert "deleted" in str(told)


def an_experiment_may_say_where_its_artifacts_are():
    made = client().create_experiment(fresh("elsewhere"), artifact_location="s3://bucket/deep")
    run = client().create_run(made)
    assert client().get_experiment(made).artifact_location == "s3://bucket/deep"
    assert run.info.artifact_uri == f"s3://bucket/deep/{run.info.run_id}/artifacts"


def experiments_are_found_by_name_and_tag_in_order_and_page_by_page():
    group = fresh("found")
    for number in range(5):
        kind = "odd" if number % 2 else "even"
        client().create_experiment(f"{group}-{number}", tags={"kind": kind})
    mine = f"name LIKE '{group}-%'"

    def names(where, **how):
        found = client().search_experiments(filter_string=where, **how)
        return [one.name[-1] for one in found], found.token

    assert names(mine, order_by=["name ASC"])[0] == list("01234")
    assert names(mine)[0] == list("43210"), "newest first unless said"
    assert names(f"{mine} AND tags.kind = 'odd'", order_by=["name DESC"])[0] == list("31")
    assert names(f"name ILIKE '{group.upper()}-3'")[0] == ["3"]
    first, token = names(mine, order_by=["name ASC"], max_results=3)
    assert first == list("012")
    assert token
    rest, end = names(mine, order_by=["name ASC"], max_results=3, page_token=token)
    assert rest == list("34")
    assert not end


def deleted_experiments_are_seen_only_where_asked_for():
    name = fresh("hidden")
    made = client().create_experiment(name)
    client().delete_experiment(made)
    where = f"name = '{name}'"
    views = mlflow.entities.ViewType
    assert not client().search_experiments(filter_string=where)
    for view in (views.DELETED_ONLY, views.ALL):
        [found] = client().search_experiments(view_type=view, filter_string=where)
        assert found.experiment_id == made


def a_mistake_is_told_by_code_and_sentence():
    create = "/api/2.0/mlflow/experiments/create"
    turned_away(ask("POST", create, json={}), 400, "INVALID_PARAMETER_VALUE")
    missing = ask("POST", create, json={}).json()["message"]
    assert "Missing value for required parameter 'name'" in missing
    wrong = ask("POST", create, json={"name": 7})
    turned_away(wrong, 400, "INVALID_PARAMETER_VALUE")
    assert "Invalid value 7 for parameter 'name'" in wrong.json()["message"]
    assert ask("POST", create, data="{").status_code == 400
    nobody = ask("GET", "/api/2.0/mlflow/experiments/get?experiment_id=987654321")
    turned_away(nobody, 404, "RESOURCE_DOES_NOT_EXIST")
    refused("RESOURCE_DOES_NOT_EXIST", client().get_experiment, "987654321")
    more = ask("POST", create, json={"name": fresh("more"), "of_tomorrow": [1]})
    assert more.status_code == 200, "what a server does not know it ignores"


def a_tag_of_an_experiment_can_be_changed():
    made = an_experiment()
    client().set_experiment_tag(made, "state", "draft")
    client().set_experiment_tag(made, "state", "done")
    assert client().get_experiment(made).tags["state"] == "done"
    refused("INVALID_PARAMETER_VALUE", client().set_experiment_tag, made, "k" * 251, "v")


@signed_in
def a_client_with_a_wrong_key_is_told_so():
    secrets = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD")
    right = {name: os.environ[name] for name in secrets if name in os.environ}
    os.environ.update(dict.fromkeys(right, "hs_wrong"))
    told = ""
    try:
        client().get_experiment("0")
    except mlflow.exceptions.MlflowException as error:
        told = str(error)
    finally:
        os.environ.update(right)
    assert "unknown, expired or revoked" in told
    assert client().get_experiment("0").name == "Default"

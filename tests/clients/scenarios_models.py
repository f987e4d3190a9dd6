"""Models: logged, registered, named by aliases and stages, loaded by every address."""

from __future__ import annotations

import mlflow
from asking import (
    IS_NEWEST,
    a_model,
    a_run,
    client,
    fresh,
    log_model,
    newest,
    refused,
    same,
)


def a_model_loads_by_every_address_it_has():
    mlflow.set_experiment(fresh("addresses"))
    name = fresh("served")
    with mlflow.start_run() as run:
        model, rows, info = log_model(registered=name)
    client().set_registered_model_alias(name, "champion", 1)
    client().transition_model_version_stage(name, 1, "Production")
    addresses = [
        info.model_uri,
        f"runs:/{run.info.run_id}/small",
        f"models:/{name}/1",
        f"models:/{name}@champion",
        f"models:/{name}/latest",
        f"models:/{name}/Production",
    ]
    if IS_NEWEST:
        addresses.append(f"models:/{info.model_id}")
    for address in addresses:
        loaded = mlflow.pyfunc.load_model(address)
        assert same(loaded.predict(rows), model.predict(rows)), address
    assert same(mlflow.sklearn.load_model(addresses[3]).predict(rows), model.predict(rows))
    signature = mlflow.models.get_model_info(addresses[2]).signature
    assert signature.inputs.input_names() == ["height", "width", "depth"]


def versions_count_up_and_are_never_used_again():
    mlflow.set_experiment(fresh("versions"))
    name = fresh("counted")
    with mlflow.start_run() as run:
        _, _, info = log_model(registered=name)
    second = mlflow.register_model(info.model_uri, name, tags={"why": "again"})
    assert (str(second.version), second.status) == ("2", "READY")
    assert second.tags == {"why": "again"}
    found = client().get_model_version(name, "2")
    assert (found.run_id, found.name) == (run.info.run_id, name)
    client().delete_model_version(name, "2")
    refused("RESOURCE_DOES_NOT_EXIST", client().get_model_version, name, "2")
    assert str(mlflow.register_model(info.model_uri, name).version) == "3"


def a_model_of_a_run_is_registered_by_the_run():
    mlflow.set_experiment(fresh("byrun"))
    with mlflow.start_run() as run:
        model, rows, _ = log_model()
    name = fresh("byrun")
    made = mlflow.register_model(f"runs:/{run.info.run_id}/small", name)
    assert made.run_id == run.info.run_id
    assert same(
        mlflow.pyfunc.load_model(f"models:/{name}/1").predict(rows), model.predict(rows)
    )


def aliases_move_and_go_with_their_version():
    name = fresh("aliased")
    client().create_registered_model(name)
    for _ in range(2):
        client().create_model_version(name, "s3://bucket/model")
    client().set_registered_model_alias(name, "champion", 2)
    client().set_registered_model_alias(name, "before", "1")
    assert str(client().get_model_version_by_alias(name, "champion").version) == "2"
    found = client().get_registered_model(name).aliases
    assert {alias: str(number) for alias, number in found.items()} == {
        "champion": "2",
        "before": "1",
    }
    assert client().get_model_version(name, "2").aliases == ["champion"]
    client().set_registered_model_alias(name, "champion", 1)
    assert str(client().get_model_version_by_alias(name, "champion").version) == "1"
    client().delete_registered_model_alias(name, "before")
    client().delete_registered_model_alias(name, "before")
    refused("INVALID_PARAMETER_VALUE", client().get_model_version_by_alias, name, "before")
    client().delete_model_version(name, "1")
    refused("INVALID_PARAMETER_VALUE", client().get_model_version_by_alias, name, "champion")
    for alias in ("latest", "v3", "a b"):
        refused("INVALID_PARAMETER_VALUE", client().set_registered_model_alias, name, alias, 2)
    refused("RESOURCE_DOES_NOT_EXIST", client().set_registered_model_alias, name, "x", 9)


def stages_follow_their_old_rules():
    name = fresh("staged")
    client().create_registered_model(name)
    for _ in range(3):
        client().create_model_version(name, "s3://bucket/model")
    assert client().get_model_version(name, "1").current_stage == "None"
    client().transition_model_version_stage(name, "1", "production")
    client().transition_model_version_stage(name, "2", "Staging")
    client().transition_model_version_stage(
        name, "3", "Production", archive_existing_versions=True
    )
    stages = [client().get_model_version(name, str(n)).current_stage for n in (1, 2, 3)]
    assert stages == ["Archived", "Staging", "Production"]
    [found] = client().get_latest_versions(name, ["Production"])
    assert str(found.version) == "3"
    assert {one.current_stage for one in client().get_latest_versions(name)} == {
        "Archived",
        "Staging",
        "Production",
    }
    refused(
        "INVALID_PARAMETER_VALUE", client().transition_model_version_stage, name, "1", "Nowhere"
    )


def words_and_tags_of_models_and_versions_are_kept():
    name = fresh("told")
    made = client().create_registered_model(name, tags={"team": "risk"}, description="one")
    assert (made.description, made.tags) == ("one", {"team": "risk"})
    refused("RESOURCE_ALREADY_EXISTS", client().create_registered_model, name)
    client().update_registered_model(name, "two")
    client().set_registered_model_tag(name, "state", "new")
    client().delete_registered_model_tag(name, "team")
    found = client().get_registered_model(name)
    assert (found.description, found.tags) == ("two", {"state": "new"})
    version = client().create_model_version(
        name, "s3://bucket/model", tags={"a": "b"}, description="first"
    )
    assert (version.description, version.tags) == ("first", {"a": "b"})
    client().update_model_version(name, "1", description="better")
    client().set_model_version_tag(name, "1", "c", "d")
    client().delete_model_version_tag(name, "1", "a")
    found = client().get_model_version(name, "1")
    assert (found.description, found.tags) == ("better", {"c": "d"})
    assert client().get_model_version_download_uri(name, "1") == "s3://bucket/model"


def models_are_found_renamed_and_deleted():
    group = fresh("sought")
    for suffix in "abc":
        client().create_registered_model(f"{group}-{suffix}", tags={"s": suffix})
    where = f"name LIKE '{group}-%'"
    page = client().search_registered_models(where, order_by=["name DESC"], max_results=2)
    assert [one.name[-1] for one in page] == ["c", "b"]
    rest = client().search_registered_models(
        where, order_by=["name DESC"], max_results=2, page_token=page.token
    )
    assert [one.name[-1] for one in rest] == ["a"]
    [tagged] = client().search_registered_models(f"{where} AND tags.s = 'b'")
    assert tagged.name == f"{group}-b"
    client().create_model_version(f"{group}-a", "s3://bucket/model")
    client().set_registered_model_alias(f"{group}-a", "kept", 1)
    client().rename_registered_model(f"{group}-a", f"{group}-z")
    assert str(client().get_model_version_by_alias(f"{group}-z", "kept").version) == "1"
    refused("RESOURCE_DOES_NOT_EXIST", client().get_registered_model, f"{group}-a")
    client().delete_registered_model(f"{group}-z")
    refused("RESOURCE_DOES_NOT_EXIST", client().get_model_version, f"{group}-z", "1")
    refused("INVALID_PARAMETER_VALUE", client().search_registered_models, "nonsense ===")


def versions_are_found_by_what_is_known_of_them():
    name = fresh("listed")
    run_id = a_run()
    client().create_registered_model(name)
    for number in range(4):
        client().create_model_version(
            name,
            "s3://bucket/model",
            run_id=run_id if number == 2 else None,
            tags={"n": str(number)},
        )
    client().update_model_version(name, "1", description="touched last")

    def found(where, **how):
        return [str(one.version) for one in client().search_model_versions(where, **how)]

    mine = f"name = '{name}'"
    assert found(mine)[0] == "1", "what changed last comes first"
    assert found(mine, order_by=["version_number ASC"]) == ["1", "2", "3", "4"]
    assert found(f"{mine} AND tags.n = '3'") == ["4"]
    assert found(f"run_id = '{run_id}'") == ["3"]
    page = client().search_model_versions(mine, order_by=["version_number DESC"], max_results=3)
    assert [str(one.version) for one in page] == ["4", "3", "2"]
    assert page.token


def a_source_that_is_somebody_elses_is_refused():
    name = fresh("sourced")
    client().create_registered_model(name)
    run_id = a_run()
    for source in (
        "/etc",
        "file:///etc/passwd",
        "mlflow-artifacts:/../../etc",
        "https://example.org/model",
        "relative/path",
    ):
        refused("INVALID_PARAMETER_VALUE", client().create_model_version, name, source)
        refused("INVALID_PARAMETER_VALUE", client().create_model_version, name, source, run_id)


@newest
def a_logged_model_has_a_life_of_its_own():
    experiment = mlflow.set_experiment(fresh("logged"))
    with mlflow.start_run() as run:
        _, _, info = log_model(params={"depth": 2}, tags={"made": "here"})
        mlflow.log_metric("accuracy", 0.75, model_id=info.model_id)
    found = mlflow.get_logged_model(info.model_id)
    assert (found.name, found.status.value, found.source_run_id) == (
        "small",
        "READY",
        run.info.run_id,
    )
    assert found.params["depth"] == "2"
    assert found.tags["made"] == "here"
    [metric] = found.metrics
    assert (metric.key, metric.value, metric.run_id) == ("accuracy", 0.75, run.info.run_id)
    mlflow.set_logged_model_tags(info.model_id, {"state": "good"})
    mlflow.delete_logged_model_tag(info.model_id, "made")
    assert "made" not in mlflow.get_logged_model(info.model_id).tags
    [output] = client().get_run(run.info.run_id).outputs.model_outputs
    assert output.model_id == info.model_id
    names = {one.path for one in client().list_logged_model_artifacts(info.model_id)}
    assert "MLmodel" in names
    client().delete_logged_model(info.model_id)
    refused("RESOURCE_DOES_NOT_EXIST", client().get_logged_model, info.model_id)
    assert not client().search_logged_models([experiment.experiment_id])


@newest
def logged_models_are_found_and_ordered():
    experiment = mlflow.set_experiment(fresh("sought")).experiment_id
    made = []
    for number in range(3):
        with mlflow.start_run():
            model = mlflow.create_external_model(
                name=f"m{number}", params={"n": str(number)}, tags={"odd": str(number % 2)}
            )
            mlflow.log_metric("score", number / 2, model_id=model.model_id)
        made.append(model.model_id)

    def found(where=None, **how):
        models = client().search_logged_models([experiment], filter_string=where, **how)
        return [made.index(one.model_id) for one in models]

    assert found() == [2, 1, 0], "newest first unless said"
    assert found("metrics.score >= 0.5") == [2, 1]
    assert found("params.n = '0'") == [0]
    assert found("tags.odd = '1' AND name = 'm1'") == [1]
    first = {"field_name": "metrics.score", "ascending": True}
    assert found(order_by=[first]) == [0, 1, 2]
    page = client().search_logged_models([experiment], max_results=2)
    assert page.token
    rest = client().search_logged_models([experiment], max_results=2, page_token=page.token)
    assert len(rest) == 1
    for where in ("metrics.score", "params.n > 3"):
        refused(
            "INVALID_PARAMETER_VALUE",
            client().search_logged_models,
            [experiment],
            filter_string=where,
        )


@newest
def a_registered_logged_model_says_which_version_it_is():
    mlflow.set_experiment(fresh("linked"))
    name = fresh("linked")
    with mlflow.start_run():
        _, _, info = log_model(registered=name)
    version = client().get_model_version(name, "1")
    assert info.model_id in version.source
    assert name in mlflow.get_logged_model(info.model_id).tags["mlflow.modelVersions"]


def models_of_our_own_class_are_kept_as_code():
    mlflow.set_experiment(fresh("own"))

    class Doubling(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input * 2

    where = {"name": "own"} if IS_NEWEST else {"artifact_path": "own"}
    _, rows = a_model()
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            **where, python_model=Doubling(), pip_requirements=[], input_example=rows
        )
    assert same(mlflow.pyfunc.load_model(info.model_uri).predict(rows), rows * 2)

"""Experiments as MLflow's clients see them; their search stands in `searching`."""

from __future__ import annotations

from typing import Any

import msgspec

from homeostat.doors.mlflow import decoding, routing, shapes
from homeostat.lifecycle.tracking import actions, entities, places


class Pair(msgspec.Struct, frozen=True):
    """A tag as clients send it."""

    key: str = ""
    value: str = ""


class CreateExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of experiments/create."""

    name: decoding.Text
    artifact_location: str = ""
    tags: list[Pair] = []


class NamedExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of experiments/get-by-name."""

    experiment_name: decoding.Text


class OneExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of what needs an experiment's id only."""

    experiment_id: decoding.Text


class UpdateExperiment(OneExperiment, frozen=True, kw_only=True):
    """Fields of experiments/update."""

    new_name: decoding.Text


class SetTag(OneExperiment, frozen=True, kw_only=True):
    """Fields of experiments/set-experiment-tag."""

    key: decoding.Text
    value: str = ""


class DeleteTag(OneExperiment, frozen=True, kw_only=True):
    """Fields of experiments/delete-experiment-tag."""

    key: decoding.Text


async def create_experiment(call: routing.Call) -> dict[str, Any]:
    """Create an experiment."""
    asked: CreateExperiment = call.body
    tags = {pair.key: pair.value for pair in asked.tags}
    made = await call.write(
        lambda tx: actions.create_experiment(
            tx,
            call.actor,
            asked.name,
            artifact_location=asked.artifact_location,
            tags=tags,
        )
    )
    return {"experiment_id": made.id}


async def get_experiment(call: routing.Call) -> dict[str, Any]:
    """Return an experiment by its id."""
    asked: OneExperiment = call.body
    found = await call.peek(
        lambda tx: actions.get_experiment(tx, call.actor, asked.experiment_id)
    )
    return {"experiment": shown(found)}


async def get_experiment_by_name(call: routing.Call) -> dict[str, Any]:
    """Return an experiment by its name."""
    asked: NamedExperiment = call.body
    found = await call.peek(
        lambda tx: actions.get_experiment_by_name(tx, call.actor, asked.experiment_name)
    )
    return {"experiment": shown(found)}


async def update_experiment(call: routing.Call) -> None:
    """Give an experiment another name."""
    asked: UpdateExperiment = call.body
    await call.write(
        lambda tx: actions.rename_experiment(
            tx, call.actor, asked.experiment_id, name=asked.new_name
        )
    )


async def delete_experiment(call: routing.Call) -> None:
    """Delete an experiment and its runs."""
    asked: OneExperiment = call.body
    await call.write(lambda tx: actions.delete_experiment(tx, call.actor, asked.experiment_id))


async def restore_experiment(call: routing.Call) -> None:
    """Restore an experiment and its runs."""
    asked: OneExperiment = call.body
    await call.write(lambda tx: actions.restore_experiment(tx, call.actor, asked.experiment_id))


async def set_tag(call: routing.Call) -> None:
    """Write a tag of an experiment."""
    asked: SetTag = call.body
    await call.write(
        lambda tx: actions.set_experiment_tag(
            tx, call.actor, asked.experiment_id, key=asked.key, value=asked.value
        )
    )


async def delete_tag(call: routing.Call) -> None:
    """Take a tag off an experiment."""
    asked: DeleteTag = call.body
    await call.write(
        lambda tx: actions.delete_experiment_tag(
            tx, call.actor, asked.experiment_id, key=asked.key
        )
    )


def shown(found: entities.ExperimentRecord) -> dict[str, Any]:
    """Return an experiment as MLflow shows it; tags are absent when there are none."""
    experiment = found.experiment
    fields: dict[str, Any] = {
        "experiment_id": experiment.id,
        "name": experiment.name,
        "artifact_location": places.of_experiment(experiment.artifact_root, experiment.id),
        "lifecycle_stage": experiment.lifecycle_stage,
        "last_update_time": experiment.updated_at,
        "creation_time": experiment.created_at,
    }
    if found.tags:
        fields["tags"] = shapes.texts((tag.key, tag.value) for tag in found.tags)
    return fields


def _post(name: str, endpoint: routing.Endpoint, body: type[msgspec.Struct]) -> routing.Route:
    path = f"/2.0/mlflow/experiments/{name}"
    return routing.Route("POST", path, "experiment.write", endpoint, body=body)


def _get(name: str, endpoint: routing.Endpoint, body: type[msgspec.Struct]) -> routing.Route:
    path = f"/2.0/mlflow/experiments/{name}"
    return routing.Route("GET", path, "run.read", endpoint, body=body)


ROUTES = (
    _post("create", create_experiment, CreateExperiment),
    _get("get", get_experiment, OneExperiment),
    _get("get-by-name", get_experiment_by_name, NamedExperiment),
    _post("update", update_experiment, UpdateExperiment),
    _post("delete", delete_experiment, OneExperiment),
    _post("restore", restore_experiment, OneExperiment),
    _post("set-experiment-tag", set_tag, SetTag),
    _post("delete-experiment-tag", delete_tag, DeleteTag),
)

"""Registered models of MLflow's clients: names, descriptions, tags, aliases, search.

The rules are those of the registry's actions; this file only reads and shows MLflow's shapes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from homeostat.doors.mlflow import decoding, problems, registered, routing
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import actions, naming, notes, search, told


class CreateModel(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of registered-models/create."""

    name: decoding.Text
    tags: list[registered.Pair] = []
    description: str | None = None


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of registered-models/get and delete."""

    name: decoding.Text


class UpdateModel(Named, frozen=True, kw_only=True):
    """Fields of registered-models/update."""

    description: str = ""


class RenameModel(Named, frozen=True, kw_only=True):
    """Fields of registered-models/rename."""

    new_name: decoding.Text


class SearchModels(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of registered-models/search."""

    filter: str = ""
    max_results: decoding.Int = search.MODELS_PAGE
    order_by: list[str] = []
    page_token: str = ""


class LatestVersions(Named, frozen=True, kw_only=True):
    """Fields of registered-models/get-latest-versions."""

    stages: list[str] = []


class SetTag(Named, frozen=True, kw_only=True):
    """Fields of registered-models/set-tag."""

    key: decoding.Text
    value: str = ""


class DeleteTag(Named, frozen=True, kw_only=True):
    """Fields of registered-models/delete-tag."""

    key: decoding.Text


class SetAlias(Named, frozen=True, kw_only=True):
    """Fields of POST registered-models/alias."""

    alias: decoding.Text
    version: decoding.Text


class OneAlias(Named, frozen=True, kw_only=True):
    """Fields of GET and DELETE registered-models/alias."""

    alias: decoding.Text


async def create_model(call: routing.Call) -> dict[str, Any]:
    """Make a model of a name that is free."""
    asked: CreateModel = call.body

    def write(tx: Transaction) -> dict[str, Any]:
        made = naming.add_model(
            tx,
            call.actor,
            asked.name,
            description=asked.description,
            tags=registered.tags(asked.tags),
        )
        return {"registered_model": registered.model(told.whole_model(tx, made))}

    return await call.write(write)


async def get_model(call: routing.Call) -> bytes:
    """Return a model; clients ask this before nearly everything else."""
    asked: Named = call.body

    def read(tx: Transaction) -> bytes:
        with registered.asked(asked.name):
            found = told.model(tx, call.actor, asked.name)
        return msgspec.json.encode({"registered_model": registered.model(found)})

    return await call.peek(read)


async def update_model(call: routing.Call) -> dict[str, Any]:
    """Say what a model is for."""
    asked: UpdateModel = call.body

    def write(tx: Transaction) -> dict[str, Any]:
        with registered.asked(asked.name):
            found = notes.describe_model(
                tx, call.actor, asked.name, description=asked.description
            )
        return {"registered_model": registered.model(told.whole_model(tx, found))}

    return await call.write(write)


async def rename_model(call: routing.Call) -> dict[str, Any]:
    """Give a model another name."""
    asked: RenameModel = call.body

    def write(tx: Transaction) -> dict[str, Any]:
        with registered.asked(asked.name):
            found = naming.rename_model(tx, call.actor, asked.name, to=asked.new_name)
        return {"registered_model": registered.model(told.whole_model(tx, found))}

    return await call.write(write)


async def delete_model(call: routing.Call) -> None:
    """Hide a model with its versions."""
    asked: Named = call.body

    def write(tx: Transaction) -> None:
        with registered.asked(asked.name):
            naming.delete_model(tx, call.actor, asked.name)

    await call.write(write)


async def search_models(call: routing.Call) -> dict[str, Any]:
    """Find models."""
    asked: SearchModels = call.body
    limit = decoding.whole(asked.max_results, "max_results")

    def read(tx: Transaction) -> dict[str, Any]:
        found = search.search_models(
            tx,
            call.actor,
            condition=asked.filter,
            order=asked.order_by,
            limit=limit,
            after=asked.page_token,
        )
        shown = [registered.model(told.whole_model(tx, one)) for one in found.models]
        answer: dict[str, Any] = {"registered_models": shown} if shown else {}
        return {**answer, "next_page_token": found.next} if found.next else answer

    return await call.read(read)


async def latest_versions(call: routing.Call) -> dict[str, Any]:
    """Return the newest version of each stage."""
    asked: LatestVersions = call.body

    def read(tx: Transaction) -> dict[str, Any]:
        with registered.asked(asked.name):
            found = told.latest(tx, call.actor, asked.name, stages=asked.stages)
        return {"model_versions": [registered.version(one) for one in found]} if found else {}

    return await call.peek(read)


async def set_tag(call: routing.Call) -> None:
    """Write a tag of a model."""
    asked: SetTag = call.body
    values = {asked.key: asked.value}

    def write(tx: Transaction) -> None:
        with registered.asked(asked.name):
            notes.tag_model(tx, call.actor, asked.name, values=values)

    await call.write(write)


async def delete_tag(call: routing.Call) -> None:
    """Take a tag off a model; one that is not there is fine."""
    asked: DeleteTag = call.body

    def write(tx: Transaction) -> None:
        with registered.asked(asked.name):
            notes.untag_model(tx, call.actor, asked.name, key=asked.key)

    await call.write(write)


async def set_alias(call: routing.Call) -> None:
    """Point an alias at a version."""
    asked: SetAlias = call.body
    number = registered.number(asked.version)

    def write(tx: Transaction) -> None:
        with registered.asked(asked.name, number):
            actions.set_alias(tx, call.actor, asked.name, asked.alias, number=number)

    await call.write(write)


async def delete_alias(call: routing.Call) -> None:
    """Take an alias away; one that is not there is fine."""
    asked: OneAlias = call.body

    def write(tx: Transaction) -> None:
        with registered.asked(asked.name):
            naming.drop_alias(tx, call.actor, asked.name, asked.alias)

    await call.write(write)


async def get_alias(call: routing.Call) -> bytes:
    """Return the version an alias points to."""
    asked: OneAlias = call.body

    def read(tx: Transaction) -> bytes:
        with registered.asked(asked.name):
            actions.get_model(tx, call.actor, asked.name)
        try:
            found = told.at_alias(tx, call.actor, asked.name, asked.alias)
        except errors.NotFoundError as error:
            missing = f"Registered model alias {asked.alias} not found."
            raise problems.ToldAsError(
                errors.InvalidInputError(missing), "INVALID_PARAMETER_VALUE"
            ) from error
        return msgspec.json.encode({"model_version": registered.version(found)})

    return await call.peek(read)


ROUTES = (
    registered.route(
        "POST",
        "registered-models/create",
        create_model,
        action="model.register",
        body=CreateModel,
    ),
    registered.route(
        "GET", "registered-models/get", get_model, action="model.read", body=Named
    ),
    registered.route(
        "PATCH",
        "registered-models/update",
        update_model,
        action="model.write",
        body=UpdateModel,
    ),
    registered.route(
        "POST", "registered-models/rename", rename_model, action="model.write", body=RenameModel
    ),
    registered.route(
        "DELETE", "registered-models/delete", delete_model, action="model.write", body=Named
    ),
    registered.route(
        "GET", "registered-models/search", search_models, action="model.read", body=SearchModels
    ),
    registered.route(
        "GET",
        "registered-models/get-latest-versions",
        latest_versions,
        action="model.read",
        body=LatestVersions,
    ),
    registered.route(
        "POST",
        "registered-models/get-latest-versions",
        latest_versions,
        action="model.read",
        body=LatestVersions,
    ),
    registered.route(
        "POST", "registered-models/set-tag", set_tag, action="model.write", body=SetTag
    ),
    registered.route(
        "DELETE",
        "registered-models/delete-tag",
        delete_tag,
        action="model.write",
        body=DeleteTag,
    ),
    registered.route(
        "POST", "registered-models/alias", set_alias, action="model.write", body=SetAlias
    ),
    registered.route(
        "DELETE", "registered-models/alias", delete_alias, action="model.write", body=OneAlias
    ),
    registered.route(
        "GET", "registered-models/alias", get_alias, action="model.read", body=OneAlias
    ),
)

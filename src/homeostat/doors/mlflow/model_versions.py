"""Versions of registered models of MLflow's clients.

The rules are those of the registry's actions; this file only reads and shows MLflow's shapes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from homeostat.doors.mlflow import decoding, registered, routing
from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import naming, notes, search, sourcing, told


class CreateVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of model-versions/create."""

    name: decoding.Text
    source: decoding.Text
    run_id: str = ""
    model_id: str = ""
    run_link: str = ""
    description: str = ""
    tags: list[registered.Pair] = []


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of model-versions/get, delete and get-download-uri."""

    name: decoding.Text
    version: decoding.Text


class UpdateVersion(Named, frozen=True, kw_only=True):
    """Fields of model-versions/update."""

    description: str = ""


class MoveStage(Named, frozen=True, kw_only=True):
    """Fields of model-versions/transition-stage."""

    stage: decoding.Text
    archive_existing_versions: bool = False


class SearchVersions(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of model-versions/search."""

    filter: str = ""
    max_results: decoding.Int = search.VERSIONS_PAGE
    order_by: list[str] = []
    page_token: str = ""


class SetTag(Named, frozen=True, kw_only=True):
    """Fields of model-versions/set-tag."""

    key: decoding.Text
    value: str = ""


class DeleteTag(Named, frozen=True, kw_only=True):
    """Fields of model-versions/delete-tag."""

    key: decoding.Text


def create_version(actor: access.Actor, asked: CreateVersion) -> routing.Write:
    """Register what lies at an address as the next version."""
    tags = registered.tags(asked.tags)

    def write(tx: Transaction) -> bytes:
        with registered.asked(asked.name):
            made = sourcing.register_source(
                tx,
                actor,
                asked.name,
                source=asked.source,
                run_id=asked.run_id,
                model_id=asked.model_id,
                run_link=asked.run_link,
                description=asked.description,
                tags=tags,
            )
        return _encoded(told.ToldVersion(made, tuple(tags.items()), ()))

    return routing.Write(write, bytes)


async def get_version(call: routing.Call) -> bytes:
    """Return a version."""
    asked: Named = call.body
    number = registered.number(asked.version)

    def read(tx: Transaction) -> bytes:
        with registered.asked(asked.name, number):
            return _encoded(told.version(tx, call.actor, asked.name, number))

    return await call.peek(read)


async def update_version(call: routing.Call) -> bytes:
    """Say what a version is for."""
    asked: UpdateVersion = call.body
    number = registered.number(asked.version)

    def write(tx: Transaction) -> bytes:
        with registered.asked(asked.name, number):
            found = notes.describe_version(
                tx, call.actor, asked.name, number, description=asked.description
            )
        return _encoded(told.whole(tx, found))

    return await call.write(write)


async def move_stage(call: routing.Call) -> bytes:
    """Put a version into a stage."""
    asked: MoveStage = call.body
    number = registered.number(asked.version)

    def write(tx: Transaction) -> bytes:
        with registered.asked(asked.name, number):
            found = notes.move_stage(
                tx,
                call.actor,
                asked.name,
                number,
                stage=asked.stage,
                archive_existing=asked.archive_existing_versions,
            )
        return _encoded(told.whole(tx, found))

    return await call.write(write)


async def delete_version(call: routing.Call) -> None:
    """Hide a version."""
    asked: Named = call.body
    number = registered.number(asked.version)

    def write(tx: Transaction) -> None:
        with registered.asked(asked.name, number):
            naming.delete_version(tx, call.actor, asked.name, number)

    await call.write(write)


async def download_uri(call: routing.Call) -> dict[str, str]:
    """Return where the files of a version lie."""
    asked: Named = call.body
    number = registered.number(asked.version)

    def read(tx: Transaction) -> dict[str, str]:
        with registered.asked(asked.name, number):
            return {"artifact_uri": told.location(tx, call.actor, asked.name, number)}

    return await call.peek(read)


async def search_versions(call: routing.Call) -> dict[str, Any]:
    """Find versions."""
    asked: SearchVersions = call.body
    limit = decoding.whole(asked.max_results, "max_results")

    def read(tx: Transaction) -> dict[str, Any]:
        found = search.search_versions(
            tx,
            call.actor,
            condition=asked.filter,
            order=asked.order_by,
            limit=limit,
            after=asked.page_token,
        )
        shown = [registered.version(one) for one in told.versions(tx, found.versions)]
        answer: dict[str, Any] = {"model_versions": shown} if shown else {}
        return {**answer, "next_page_token": found.next} if found.next else answer

    return await call.read(read)


async def set_tag(call: routing.Call) -> None:
    """Write a tag of a version."""
    asked: SetTag = call.body
    number = registered.number(asked.version)
    values = {asked.key: asked.value}

    def write(tx: Transaction) -> None:
        with registered.asked(asked.name, number):
            notes.tag_version(tx, call.actor, asked.name, number, values=values)

    await call.write(write)


async def delete_tag(call: routing.Call) -> None:
    """Take a tag off a version; one that is not there is fine."""
    asked: DeleteTag = call.body
    number = registered.number(asked.version)

    def write(tx: Transaction) -> None:
        with registered.asked(asked.name, number):
            notes.untag_version(tx, call.actor, asked.name, number, key=asked.key)

    await call.write(write)


def _encoded(found: told.ToldVersion) -> bytes:
    return msgspec.json.encode({"model_version": registered.version(found)})


ROUTES = (
    routing.planned(
        "POST",
        "/2.0/mlflow/model-versions/create",
        "model.register",
        create_version,
        body=CreateVersion,
    ),
    registered.route("GET", "model-versions/get", get_version, action="model.read", body=Named),
    registered.route(
        "PATCH",
        "model-versions/update",
        update_version,
        action="model.write",
        body=UpdateVersion,
    ),
    registered.route(
        "POST",
        "model-versions/transition-stage",
        move_stage,
        action="model.write",
        body=MoveStage,
    ),
    registered.route(
        "DELETE", "model-versions/delete", delete_version, action="model.write", body=Named
    ),
    registered.route(
        "GET", "model-versions/get-download-uri", download_uri, action="model.read", body=Named
    ),
    registered.route(
        "GET",
        "model-versions/search",
        search_versions,
        action="model.read",
        body=SearchVersions,
    ),
    registered.route(
        "POST", "model-versions/set-tag", set_tag, action="model.write", body=SetTag
    ),
    registered.route(
        "DELETE", "model-versions/delete-tag", delete_tag, action="model.write", body=DeleteTag
    ),
)

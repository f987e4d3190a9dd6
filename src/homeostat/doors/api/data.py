"""Datasets and snapshots over HTTP; asked by the SDK, the command line and the pages."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.data import actions, intake
from homeostat.lifecycle.data import profile as profiles
from homeostat.lifecycle.data.entities import Dataset, Snapshot
from homeostat.lifecycle.data.inspection import Offer
from homeostat.lifecycle.data.profile import ColumnProfile

TABLE_LIMIT_BYTES = 1024 * 1024 * 1024


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a table that is sent."""

    format: Annotated[
        Literal["parquet", "csv", "tsv", "arrow"], msgspec.Meta(description="of the body")
    ]
    source: Annotated[str, msgspec.Meta(max_length=1000, description="a label for people")] = ""
    key: Annotated[str | None, msgspec.Meta(description="column that identifies rows")] = None
    time: Annotated[str | None, msgspec.Meta(description="column that orders rows")] = None
    made_of: Annotated[
        tuple[str, ...], msgspec.Meta(description="references it was derived from")
    ] = ()
    allow_schema_change: Annotated[
        bool, msgspec.Meta(description="columns may go or change their kind")
    ] = False


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of the snapshots is asked for."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="rows a page")] = 100
    before: Annotated[int | None, msgspec.Meta(description="only numbers below this one")] = (
        None
    )


async def list_datasets(call: routing.Call) -> list[Dataset]:
    """Return datasets by name."""
    page: routing.Paging = call.query
    return await call.read(
        lambda tx: actions.list_datasets(tx, call.actor, after=page.after, limit=page.limit)
    )


async def get_dataset(call: routing.Call) -> Dataset:
    """Return one dataset."""
    name = call.path_params["name"]
    return await call.read(lambda tx: actions.get_dataset(tx, call.actor, name))


async def list_snapshots(call: routing.Call) -> list[Snapshot]:
    """Return the snapshots of a dataset, the newest first."""
    name = call.path_params["name"]
    page: Before = call.query

    def fetch(tx: Transaction) -> list[Snapshot]:
        return actions.list_snapshots(
            tx, call.actor, name, before=page.before, limit=page.limit
        )

    return await call.read(fetch)


async def add_snapshot(call: routing.Call) -> Snapshot:
    """Take in a table and add it as the next snapshot."""
    name = call.path_params["name"]
    given: Given = call.query
    offer = Offer(
        data=call.body,
        format=given.format,
        source=given.source,
        key=given.key or None,
        time=given.time or None,
    )
    delivery = await call.work(
        lambda: intake.take(call.house, call.actor, name, offer, project=call.project)
    )

    def write(tx: Transaction) -> Snapshot:
        return actions.add_snapshot(
            tx,
            call.actor,
            name,
            delivery,
            made_of=given.made_of,
            allow_schema_change=given.allow_schema_change,
        )

    return await call.write(write)


async def get_snapshot(call: routing.Call) -> Snapshot:
    """Return one snapshot of a dataset."""
    return await _snapshot(call)


async def get_newest(call: routing.Call) -> Snapshot:
    """Return the newest snapshot of a dataset."""
    name = call.path_params["name"]
    return await call.read(lambda tx: actions.get_snapshot(tx, call.actor, name))


async def find_snapshot(call: routing.Call) -> Snapshot:
    """Return a snapshot by its id."""
    return await call.read(
        lambda tx: actions.find_snapshot(tx, call.actor, call.path_params["id"])
    )


async def get_table(call: routing.Call) -> bytes:
    """Return the file of a snapshot as it was given."""
    snapshot = await _snapshot(call)
    return await call.work(
        lambda: intake.read_bytes(call.house, snapshot, project=call.project)
    )


async def get_profile(call: routing.Call) -> tuple[ColumnProfile, ...]:
    """Return what each column of a snapshot holds."""
    snapshot = await _snapshot(call)

    def work() -> tuple[ColumnProfile, ...]:
        found = intake.read_summary(call.house, snapshot, project=call.project)
        return profiles.profile(found, snapshot.schema)

    return await call.work(work)


async def _snapshot(call: routing.Call) -> Snapshot:
    name, number = call.path_params["name"], call.path_params["number"]
    return await call.read(lambda tx: actions.get_snapshot(tx, call.actor, name, number=number))


_ONE = "/api/data/{name}/snapshots/{number:int}"

ROUTES = (
    routing.Route(
        "GET",
        "/api/data",
        "data.read",
        list_datasets,
        answer=list[Dataset],
        summary="Datasets by name",
        query=routing.Paging,
    ),
    routing.Route(
        "GET",
        "/api/data/{name}",
        "data.read",
        get_dataset,
        answer=Dataset,
        summary="One dataset",
    ),
    routing.Route(
        "GET",
        "/api/data/{name}/newest",
        "data.read",
        get_newest,
        answer=Snapshot,
        summary="The newest snapshot of a dataset",
    ),
    routing.Route(
        "GET",
        "/api/data/{name}/snapshots",
        "data.read",
        list_snapshots,
        answer=list[Snapshot],
        summary="The snapshots of a dataset, the newest first",
        query=Before,
    ),
    routing.Route(
        "POST",
        "/api/data/{name}/snapshots",
        "data.write",
        add_snapshot,
        body=bytes,
        answer=Snapshot,
        summary="Add a table as the next snapshot; the same bytes are the same snapshot",
        query=Given,
        status=201,
        limit_bytes=TABLE_LIMIT_BYTES,
    ),
    routing.Route(
        "GET",
        _ONE,
        "data.read",
        get_snapshot,
        answer=Snapshot,
        summary="One snapshot: schema, checks, differences",
    ),
    routing.Route(
        "GET",
        _ONE + "/table",
        "data.read",
        get_table,
        answer=bytes,
        summary="The file of a snapshot as it was given",
    ),
    routing.Route(
        "GET",
        _ONE + "/profile",
        "data.read",
        get_profile,
        answer=tuple[ColumnProfile, ...],
        summary="What each column of a snapshot holds",
    ),
    routing.Route(
        "GET",
        "/api/snapshots/{id}",
        "data.read",
        find_snapshot,
        answer=Snapshot,
        summary="A snapshot by its id",
    ),
)

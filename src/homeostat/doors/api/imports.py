"""Addresses of imports: what was begun elsewhere is written here with its ids and times."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.lifecycle.importing import actions, entities

LIMIT_BYTES = 64 * 1024 * 1024


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Which marks are asked for."""

    source: Annotated[str, msgspec.Meta(description="address of the source")]
    kind: Annotated[entities.Kind, msgspec.Meta(description="of the things")]
    after: Annotated[str, msgspec.Meta(description="last source_id of the page before")] = ""


async def begin(call: routing.Call) -> None:
    """Record that an import begins."""
    await call.write(lambda tx: actions.begin(tx, call.actor, call.body.source))


async def take(call: routing.Call) -> entities.Outcome:
    """Write a batch."""
    return await call.write(lambda tx: actions.take(tx, call.actor, call.body))


async def finish(call: routing.Call) -> None:
    """Record that an import ended."""
    told: entities.Begun = call.body
    await call.write(lambda tx: actions.finish(tx, call.actor, told.source, facts=told.facts))


async def marks(call: routing.Call) -> list[entities.Mark]:
    """Return what is known of a source."""
    asked: Known = call.query
    return await call.read(
        lambda tx: actions.marks(
            tx, call.actor, asked.source, kind=asked.kind, after=asked.after
        )
    )


Route = routing.Route

ROUTES = (
    Route(
        "POST",
        "/api/imports/begin",
        "run.write",
        begin,
        body=entities.Begun,
        summary="Record that an import begins",
        status=204,
    ),
    Route(
        "POST",
        "/api/imports/batches",
        "run.write",
        take,
        body=entities.Batch,
        answer=entities.Outcome,
        summary="Write a batch of things that began elsewhere",
        limit_bytes=LIMIT_BYTES,
    ),
    Route(
        "POST",
        "/api/imports/finish",
        "run.write",
        finish,
        body=entities.Begun,
        summary="Record that an import ended",
        status=204,
    ),
    Route(
        "GET",
        "/api/imports/marks",
        "run.read",
        marks,
        answer=list[entities.Mark],
        summary="What is known of the things of a source",
        query=Known,
    ),
)

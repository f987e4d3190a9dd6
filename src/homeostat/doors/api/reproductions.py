"""Versions that were made again, over HTTP: record what came out, read it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import reproductions
from homeostat.lifecycle.registry.reproduction import Item, Reproduction

MOST_ITEMS = 5000


class Found(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came out; the server judges the whole from its items."""

    run_id: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{32})?\Z")] = ""
    environment: Literal["present", "fresh"] = "present"
    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    items: Annotated[tuple[Item, ...], msgspec.Meta(min_length=1, max_length=MOST_ITEMS)]


class Few(msgspec.Struct, frozen=True, kw_only=True):
    """How many are asked for."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="the newest so many")] = 100


async def record(call: routing.Call) -> Reproduction:
    """Record that a version was made again."""
    name, number = call.path_params["name"], call.path_params["number"]
    found: Found = call.body

    def write(tx: Transaction) -> Reproduction:
        return reproductions.record(
            tx,
            call.actor,
            name,
            number,
            run_id=found.run_id,
            environment=found.environment,
            tolerance=found.tolerance,
            items=found.items,
        )

    return await call.write(write)


async def listed(call: routing.Call) -> list[Reproduction]:
    """Return what came out whenever a version was made again."""
    name, number = call.path_params["name"], call.path_params["number"]
    few: Few = call.query
    return await call.read(
        lambda tx: reproductions.of_version(tx, call.actor, name, number, limit=few.limit)
    )


_PATH = "/api/models/{name}/versions/{number:int}/reproductions"
ROUTES = (
    routing.Route(
        "GET",
        _PATH,
        "model.read",
        listed,
        answer=list[Reproduction],
        query=Few,
        summary="What came out whenever it was made again, the newest first",
    ),
    routing.Route(
        "POST",
        _PATH,
        "run.write",
        record,
        body=Found,
        answer=Reproduction,
        summary="Record that a version was made again",
        status=201,
    ),
)

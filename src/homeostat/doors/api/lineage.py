"""What was made of what; read by pages and `homeostat why`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation import lineage
from homeostat.foundation.database import Transaction


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which edges are asked for."""

    reference: Annotated[str, msgspec.Meta(min_length=3, description="such as run:<id>")]
    direction: Annotated[
        Literal["ancestors", "descendants"],
        msgspec.Meta(description="what it was made of, or what was made of it"),
    ] = "ancestors"
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000, description="at most so many")] = 1000


async def edges(call: routing.Call) -> list[lineage.Edge]:
    """Return every edge on the ways that lead to a reference, or from it."""
    wanted: Wanted = call.query

    def fetch(tx: Transaction) -> list[lineage.Edge]:
        walk = lineage.ancestors if wanted.direction == "ancestors" else lineage.descendants
        return walk(tx, wanted.reference, limit=wanted.limit)

    return await call.read(fetch)


ROUTES = (
    routing.Route(
        "GET",
        "/api/lineage",
        "lineage.read",
        edges,
        answer=list[lineage.Edge],
        summary="What a thing was made of, or what was made of it",
        query=Wanted,
    ),
)

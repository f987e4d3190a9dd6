"""Judged windows over HTTP, with their findings and causes."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.monitoring import actions
from homeostat.lifecycle.monitoring.entities import Window


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which windows are asked for."""

    with_findings: Annotated[
        bool, msgspec.Meta(description="only windows in which something was found")
    ] = False
    before_row: Annotated[
        int | None, msgspec.Meta(description="only windows that begin before this row")
    ] = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="windows a page")] = 100


async def windows(call: routing.Call) -> list[Window]:
    """Return the windows of a deployment, the latest first."""
    name = call.path_params["name"]
    wanted: Wanted = call.query

    def fetch(tx: Transaction) -> list[Window]:
        return actions.list_windows(
            tx,
            call.actor,
            name,
            with_findings=wanted.with_findings,
            before_row=wanted.before_row,
            limit=wanted.limit,
        )

    return await call.read(fetch)


ROUTES = (
    routing.Route(
        "GET",
        "/api/deployments/{name}/windows",
        "monitoring.read",
        windows,
        answer=list[Window],
        summary="Judged windows of a deployment, the latest first",
        query=Wanted,
    ),
)

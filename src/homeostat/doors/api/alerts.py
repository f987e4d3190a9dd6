"""Alerts over HTTP: list, show, acknowledge, resolve; asked by SDK, command line and pages."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.monitoring import actions
from homeostat.lifecycle.monitoring.entities import Alert, AlertState


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts are asked for."""

    deployment: Annotated[str, msgspec.Meta(description="only of this one")] = ""
    state: Annotated[
        tuple[AlertState, ...], msgspec.Meta(description="only in these states")
    ] = ()
    before: Annotated[str, msgspec.Meta(description="last id of the page before")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="alerts a page")] = 100


async def listed(call: routing.Call) -> list[Alert]:
    """Return alerts, the latest first."""
    wanted: Wanted = call.query

    def fetch(tx: Transaction) -> list[Alert]:
        return actions.list_alerts(
            tx,
            call.actor,
            deployment=wanted.deployment or None,
            states=wanted.state,
            before=wanted.before,
            limit=wanted.limit,
        )

    return await call.read(fetch)


async def one(call: routing.Call) -> Alert:
    """Return one alert."""
    alert = call.path_params["id"]
    return await call.read(lambda tx: actions.get_alert(tx, call.actor, alert))


async def acknowledge(call: routing.Call) -> Alert:
    """Say that a person has seen it."""
    alert = call.path_params["id"]
    return await call.write(lambda tx: actions.acknowledge_alert(tx, call.actor, alert))


async def resolve(call: routing.Call) -> Alert:
    """Say that it is over."""
    alert = call.path_params["id"]
    return await call.write(lambda tx: actions.resolve_alert(tx, call.actor, alert))


ROUTES = (
    routing.Route(
        "GET",
        "/api/alerts",
        "alert.read",
        listed,
        answer=list[Alert],
        summary="Alerts, the latest first",
        query=Wanted,
    ),
    routing.Route(
        "GET", "/api/alerts/{id}", "alert.read", one, answer=Alert, summary="One alert"
    ),
    routing.Route(
        "POST",
        "/api/alerts/{id}/acknowledge",
        "alert.acknowledge",
        acknowledge,
        answer=Alert,
        summary="Say that a person has seen an alert",
    ),
    routing.Route(
        "POST",
        "/api/alerts/{id}/resolve",
        "alert.write",
        resolve,
        answer=Alert,
        summary="Say that what an alert tells of is over",
    ),
)

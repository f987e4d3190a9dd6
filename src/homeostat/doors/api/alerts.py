"""Alerts over HTTP, with silences and deliveries; asked by SDK, command line and Prometheus."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.alerting import actions as alerting
from homeostat.lifecycle.alerting import counting, watching
from homeostat.lifecycle.alerting.entities import Delivery, Silence
from homeostat.lifecycle.monitoring import actions
from homeostat.lifecycle.monitoring.entities import Alert, AlertState

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Sentence = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Place = Annotated[str, msgspec.Meta(max_length=200)]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts are asked for."""

    deployment: Annotated[str, msgspec.Meta(description="only of this one")] = ""
    state: Annotated[
        tuple[AlertState, ...], msgspec.Meta(description="only in these states")
    ] = ()
    before: Annotated[str, msgspec.Meta(description="last id of the page before")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="alerts a page")] = 100


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a program elsewhere has seen."""

    deployment: Annotated[
        Word, msgspec.Meta(description="its name, or a reference such as dataset:orders")
    ]
    kind: Word
    cause: Word = "unknown"
    column: Word | None = None
    sentence: Sentence
    evidence: Annotated[tuple[Sentence, ...], msgspec.Meta(max_length=100)] = ()


class Silencing(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts nobody is to be told of, until when, and why; empty fields fit all."""

    until_at: Annotated[int, msgspec.Meta(description="milliseconds UTC")]
    reason: Sentence
    deployment: Place = ""
    kind: Place = ""
    column: Place = ""
    from_at: Annotated[int | None, msgspec.Meta(description="milliseconds UTC; now")] = None
    is_downtime: bool = False


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of a list that has its latest first."""

    before: Annotated[str, msgspec.Meta(description="last id of the page before")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="rows a page")] = 100


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


async def open_one(call: routing.Call) -> Alert:
    """Note that something is wrong, as a program elsewhere has seen it."""
    told: Opening = call.body
    fields = msgspec.structs.asdict(told)
    return await call.write(lambda tx: watching.open_alert(tx, call.actor, **fields))


async def silences(call: routing.Call) -> list[Silence]:
    """Return silences, the latest first."""
    page: Page = call.query
    return await call.read(
        lambda tx: alerting.list_silences(tx, call.actor, before=page.before, limit=page.limit)
    )


async def silence(call: routing.Call) -> Silence:
    """Keep people from being told of some alerts for some time."""
    fields = msgspec.structs.asdict(call.body)
    return await call.write(lambda tx: alerting.silence(tx, call.actor, **fields))


async def end_silence(call: routing.Call) -> Silence:
    """End a silence before its time."""
    which = call.path_params["id"]
    return await call.write(lambda tx: alerting.end_silence(tx, call.actor, which))


async def deliveries(call: routing.Call) -> list[Delivery]:
    """Return what was told to whom, the latest first."""
    page: Page = call.query
    return await call.read(
        lambda tx: alerting.list_deliveries(
            tx, call.actor, before=page.before, limit=page.limit
        )
    )


async def metrics(call: routing.Call) -> str:
    """Return counts as Prometheus reads them."""
    return await call.read(lambda tx: counting.expose(tx, call.actor))


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
    routing.Route(
        "POST",
        "/api/alerts",
        "alert.write",
        open_one,
        body=Opening,
        answer=Alert,
        summary="Say that something is wrong; the alert that stands when it was said before",
    ),
    routing.Route(
        "GET",
        "/api/silences",
        "alert.read",
        silences,
        answer=list[Silence],
        summary="Silences, the latest first",
        query=Page,
    ),
    routing.Route(
        "POST",
        "/api/silences",
        "alert.silence",
        silence,
        body=Silencing,
        answer=Silence,
        summary="Keep people from being told of some alerts for some time",
        status=201,
    ),
    routing.Route(
        "POST",
        "/api/silences/{id}/end",
        "alert.silence",
        end_silence,
        answer=Silence,
        summary="End a silence before its time",
    ),
    routing.Route(
        "GET",
        "/api/deliveries",
        "alert.read",
        deliveries,
        answer=list[Delivery],
        summary="What was told to whom, the latest first",
        query=Page,
    ),
    routing.Route(
        "GET",
        "/api/metrics",
        "alert.read",
        metrics,
        answer=str,
        summary="Counts of alerts, deliveries and jobs, as Prometheus reads them",
    ),
)

"""Pages of alerts: what a person was told, the evidence, and what the person says to it."""

from __future__ import annotations

import contextlib
from typing import Any, get_args

from starlette.responses import RedirectResponse, Response

from homeostat.doors.web import home, rendering, visit
from homeostat.foundation import clock, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.alerting import actions as alerting
from homeostat.lifecycle.alerting import advice
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.monitoring import alerts as monitoring
from homeostat.lifecycle.monitoring.entities import Alert, AlertState

ROWS = 50
HERE = "/alerts"
STATES: tuple[AlertState, ...] = get_args(AlertState)
SEE_OTHER = 303
MOMENT_MS = 1000
HOUR_MS = 3_600_000
HOURS_AT_MOST = 8784


async def alerts(call: visit.Visit) -> Response:
    """List alerts, the newest first; ``?state=open`` shows only those."""
    state, before = visit.asked(call, "state"), visit.asked(call, "before")
    if state and state not in STATES:
        raise errors.InvalidInputError(
            f"{state[:40]!r} is no state of an alert", hint=f"one of {', '.join(STATES)}"
        )
    wanted = tuple(one for one in STATES if one == state)
    found = await call.read(
        lambda tx: monitoring.list_alerts(
            tx, call.actor, states=wanted, before=before, limit=ROWS
        )
    )
    now = clock.now_ms()
    silences = await call.read(
        lambda tx: [
            one
            for one in alerting.list_silences(tx, call.actor, limit=ROWS)
            if one.ended_at is None and one.until_at > now
        ]
    )
    following = found[-1].id if len(found) == ROWS else ""
    return visit.show(
        call,
        "alerts.html",
        silences=silences,
        here=HERE,
        alerts=found,
        state=state,
        states=STATES,
        following=following,
    )


async def alert(call: visit.Visit) -> Response:
    """Show one alert with its evidence and what was decided while it stood."""

    def fetch(tx: Transaction) -> dict[str, Any]:
        found = monitoring.get_alert(tx, call.actor, call.path_params["id"])
        until = (found.resolved_at or clock.now_ms()) + MOMENT_MS
        decided = loop.list_decisions(
            tx,
            call.actor,
            deployment=found.deployment,
            kinds=home.DOING,
            before=f"{until:012x}",  # ids begin with their instant
            limit=ROWS,
        )
        done = [one for one in reversed(decided) if one.at >= found.opened_at]
        kind, _, which = found.held_by.partition(":")
        by = alerting.get_silence(tx, call.actor, which) if kind == "silence" else None
        messages = alerting.deliveries_of(tx, call.actor, found)
        return {"alert": found, "done": done, "silence": by, "messages": messages}

    shown = await call.read(fetch)
    found = shown["alert"]
    facts, links = _evidence(found)
    said = {"why": advice.why(found), "first": advice.first(found)}
    return visit.show(call, "alert.html", here=HERE, facts=facts, links=links, **said, **shown)


def _evidence(found: Alert) -> tuple[list[tuple[str, Any]], list[str]]:
    """Split evidence into named facts worth showing, and the rest: references, sentences."""
    named, rest = [], []
    for one in advice.facts(found):
        name, _, value = one.partition(": ")
        if not value:
            rest.append(one)
        else:
            with contextlib.suppress(ValueError):
                value = rendering.number(float(value))
            named.append((name, value))
    return named, rest


async def acknowledge(call: visit.Visit) -> Response:
    """Note that a person has seen an alert, and go back to it."""
    found = await call.write(
        lambda tx: monitoring.acknowledge_alert(tx, call.actor, call.path_params["id"])
    )
    return RedirectResponse(f"/alerts/{found.id}", status_code=SEE_OTHER)


async def resolve(call: visit.Visit) -> Response:
    """Note that what an alert tells of is over, and go back to it."""
    found = await call.write(
        lambda tx: monitoring.resolve_alert(tx, call.actor, call.path_params["id"])
    )
    return RedirectResponse(f"/alerts/{found.id}", status_code=SEE_OTHER)


async def end_silence(call: visit.Visit) -> Response:
    """End a silence before its time, and go back to the alerts."""
    await call.write(lambda tx: alerting.end_silence(tx, call.actor, call.path_params["id"]))
    return RedirectResponse(HERE, status_code=SEE_OTHER)


async def silence(call: visit.Visit) -> Response:
    """Keep people from being told of alerts like this one, and go back to it."""
    told = await visit.form(call)
    text = told.get("hours", "")
    hours = int(text) if text.isascii() and text.isdigit() and len(text) <= len("8784") else 0
    if not 1 <= hours <= HOURS_AT_MOST:
        raise errors.InvalidInputError(
            f"a silence lasts 1 to {HOURS_AT_MOST} hours, got {text[:40]!r}"
        )

    def write(tx: Transaction) -> str:
        found = monitoring.get_alert(tx, call.actor, call.path_params["id"])
        alerting.silence(
            tx,
            call.actor,
            until_at=tx.at + hours * HOUR_MS,
            reason=told.get("reason", ""),
            deployment=found.deployment,
            kind=found.kind,
            column=found.column or "",
        )
        return found.id

    return RedirectResponse(f"/alerts/{await call.write(write)}", status_code=SEE_OTHER)


PAGES = (
    visit.Page("GET", "/alerts", "alert.read", alerts),
    visit.Page("GET", "/alerts/{id}", "alert.read", alert),
    visit.Page("POST", "/alerts/{id}/acknowledge", "alert.acknowledge", acknowledge),
    visit.Page("POST", "/alerts/{id}/resolve", "alert.write", resolve),
    visit.Page("POST", "/alerts/{id}/silence", "alert.silence", silence),
    visit.Page("POST", "/silences/{id}/end", "alert.silence", end_silence),
)

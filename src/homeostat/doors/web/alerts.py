"""Pages of alerts: what a person was told, with the evidence, and the word that it was seen."""

from __future__ import annotations

from typing import get_args

from starlette.responses import RedirectResponse, Response

from homeostat.doors.web import visit
from homeostat.foundation import errors
from homeostat.lifecycle.monitoring import alerts as monitoring
from homeostat.lifecycle.monitoring.entities import AlertState

ROWS = 50
HERE = "/alerts"
STATES: tuple[AlertState, ...] = get_args(AlertState)
SEE_OTHER = 303


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
    following = found[-1].id if len(found) == ROWS else ""
    return visit.show(
        call,
        "alerts.html",
        here=HERE,
        alerts=found,
        state=state,
        states=STATES,
        following=following,
    )


async def alert(call: visit.Visit) -> Response:
    """Show one alert with its evidence."""
    found = await call.read(
        lambda tx: monitoring.get_alert(tx, call.actor, call.path_params["id"])
    )
    return visit.show(call, "alert.html", here=HERE, alert=found)


async def acknowledge(call: visit.Visit) -> Response:
    """Note that a person has seen an alert, and go back to it."""
    found = await call.write(
        lambda tx: monitoring.acknowledge_alert(tx, call.actor, call.path_params["id"])
    )
    return RedirectResponse(f"/alerts/{found.id}", status_code=SEE_OTHER)


PAGES = (
    visit.Page("GET", "/alerts", "alert.read", alerts),
    visit.Page("GET", "/alerts/{id}", "alert.read", alert),
    visit.Page("POST", "/alerts/{id}/acknowledge", "alert.acknowledge", acknowledge),
)

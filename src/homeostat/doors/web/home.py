"""The first page: the health of every deployment at a glance, and what was decided last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from starlette.responses import Response

from homeostat.doors.web import charts, objectives, visit
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import health
from homeostat.lifecycle.loop.entities import Kind, LoopState
from homeostat.lifecycle.monitoring import alerts as monitoring
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving.entities import Deployment

ROWS = 60
LATEST = 8
STANDING = 100
DOING = tuple(one for one in get_args(Kind) if one != "none")
ANGLES = {"good": 0, "calm": 15, "warn": 40, "bad": 70}


async def home(call: visit.Visit) -> Response:
    """Show every deployment's health, open alerts and the latest decisions."""
    after = visit.asked(call, "after")

    def fetch(tx: Transaction) -> dict[str, Any]:
        found = serving.list_deployments(tx, call.actor, after=after, limit=ROWS)
        decided = loop.list_decisions(tx, call.actor, kinds=DOING, limit=LATEST)
        return {"cards": [card(tx, call, one) for one in found], "decisions": decided}

    shown = await call.read(fetch)
    cards = shown["cards"]
    tones = [one["health"].tone for one in cards]
    worst = max(tones, key=list(ANGLES).index, default="good")
    following = cards[-1]["deployment"].name if len(cards) == ROWS else ""
    return visit.show(
        call,
        "home.html",
        here="/",
        worst=worst,
        angle=ANGLES[worst],
        headline=_headline(tones),
        following=following,
        **shown,
    )


def card(tx: Transaction, call: visit.Visit, one: Deployment) -> dict[str, Any]:
    """Return what a card of one deployment shows."""
    state = find_state(tx, call, one.name)
    alerts = monitoring.list_alerts(
        tx, call.actor, deployment=one.name, states=("open", "acknowledged"), limit=STANDING
    )
    log = predictions.get_log(tx, call.actor, one.name)
    return {
        "deployment": one,
        "state": state,
        "alerts": alerts,
        "health": health.judge(state, alerts, n_rows=log.n_rows),
        "log": log,
        "promises": objectives.kept(tx, call, one.name),
        "chart": loss_chart(state),
    }


def find_state(tx: Transaction, call: visit.Visit, name: str) -> LoopState | None:
    """Return what the loop remembers about a deployment; None when it has no loop."""
    try:
        return loop.get_state(tx, call.actor, name)
    except errors.NotFoundError:
        return None


def loss_chart(
    state: LoopState | None, *, marks: Sequence[charts.Mark] = ()
) -> charts.Line | None:
    """Return the loss of the answers by labelled block, as far as the loop looks back.

    The last change of the world and the rows kept out are marked in it, beside `marks`.
    """
    if state is None:
        return None
    series = [(float(block.end_row), block.mixture) for block in state.history]
    changes = [state.change_row] if state.change_row is not None else []
    return charts.line(
        series,
        name="loss of the answers (Brier score)",
        marks=[
            *(
                charts.Mark(row, "bad", "change", "the world changed near here")
                for row in changes
            ),
            *marks,
        ],
        spans=[charts.Span(a, b, "rows kept out") for a, b in state.quarantined],
    )


def _headline(tones: list[str]) -> tuple[str, str]:
    n = len(tones)
    if not n:
        return "Nothing is served yet", ""
    watched = f"{n} deployment{'s' if n > 1 else ''} watched"
    bad, warn, calm = (tones.count(tone) for tone in ("bad", "warn", "calm"))
    if bad:
        return "Something is wrong", f"{watched}; {bad} with harm, which the loop works on."
    if warn:
        return "Someone should look", f"{watched}; {warn} with an open alert or a question."
    if calm:
        return "Everything holds", f"{watched}; {calm} in the middle of a change."
    return "Everything holds", f"{watched}; no alert is open."


PAGES = (visit.Page("GET", "/", "deployment.read", home),)

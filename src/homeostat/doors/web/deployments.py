"""Pages of deployments: who answers whom now, and every plan before."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from homeostat.doors.web import corrections, home, objectives, progress, visit
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import corrected
from homeostat.lifecycle.loop.entities import Decision
from homeostat.lifecycle.monitoring import alerts as monitoring
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving.entities import PlanChange

ROWS = 50
FEW = 8
SEGMENTS = 1000
HERE = "/deployments"


async def deployments(call: visit.Visit) -> Response:
    """List all deployments with their traffic."""
    after = visit.asked(call, "after")

    def fetch(tx: Transaction) -> list[dict[str, Any]]:
        found = serving.list_deployments(tx, call.actor, after=after, limit=ROWS)
        return [
            {"deployment": one, "log": predictions.get_log(tx, call.actor, one.name)}
            for one in found
        ]

    rows = await call.read(fetch)
    following = rows[-1]["deployment"].name if len(rows) == ROWS else ""
    return visit.show(call, "deployments.html", here=HERE, rows=rows, following=following)


async def deployment(call: visit.Visit) -> Response:
    """Show one deployment: traffic, rollout, log, policy, and the history of its plans."""
    name = call.path_params["name"]
    before = visit.whole_number(call, "before")

    def fetch(tx: Transaction) -> dict[str, Any]:
        found = serving.get_deployment(tx, call.actor, name)
        decided = loop.list_decisions(
            tx, call.actor, deployment=name, kinds=home.DOING, limit=ROWS
        )
        plans = serving.plan_history(tx, call.actor, name, before=before or None, limit=FEW)
        segments = predictions.list_segments(tx, call.actor, name, limit=SEGMENTS)
        card = home.card(tx, call, found)
        marks = progress.marks(decided, segments)
        policy = serving.get_policy(found)
        return {
            **card,
            "corrector": card["state"] and corrected.told(card["state"], found.plan),
            "chart": home.loss_chart(card["state"], marks=marks),
            "canary": progress.canary(card["state"], policy.rollout),
            "alerts": monitoring.list_alerts(tx, call.actor, deployment=name, limit=FEW),
            "corrections": corrections.rows(tx, call, name),
            **objectives.shown(tx, call, name),
            "decisions": decided[:FEW],
            "segments": segments[:FEW],
            "plans": plans,
            "reasons": _reasons(tx, call, plans),
        }

    shown = await call.read(fetch)
    plans = shown["plans"]
    following = plans[-1].plan.generation if len(plans) == FEW else 0
    return visit.show(call, "deployment.html", here=HERE, following=following, **shown)


def _reasons(
    tx: Transaction, call: visit.Visit, plans: Sequence[PlanChange]
) -> dict[str, Decision]:
    """Return the decisions that set plans, by the reason that the plan gives."""
    found = {}
    for one in plans:
        kind, _, decision_id = one.reason.partition(":")
        if kind == "decision":
            with contextlib.suppress(errors.NotFoundError):
                found[one.reason] = loop.get_decision(tx, call.actor, decision_id)
    return found


PAGES = (
    visit.Page("GET", "/deployments", "deployment.read", deployments),
    visit.Page("GET", "/deployments/{name}", "deployment.read", deployment),
)

"""Pages of deployments: who answers whom now, and every plan before."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from homeostat.doors.web import home, visit
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.serving import actions as serving

ROWS = 50
FEW = 8
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
            tx, call.actor, deployment=name, kinds=home.DOING, limit=FEW
        )
        return {
            **home.card(tx, call, found),
            "decisions": decided,
            "segments": predictions.list_segments(tx, call.actor, name, limit=FEW),
            "plans": serving.plan_history(
                tx, call.actor, name, before=before or None, limit=ROWS
            ),
        }

    shown = await call.read(fetch)
    plans = shown["plans"]
    following = plans[-1].plan.generation if len(plans) == ROWS else 0
    return visit.show(call, "deployment.html", here=HERE, following=following, **shown)


PAGES = (
    visit.Page("GET", "/deployments", "deployment.read", deployments),
    visit.Page("GET", "/deployments/{name}", "deployment.read", deployment),
)

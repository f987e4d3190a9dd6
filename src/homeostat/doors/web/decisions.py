"""Pages of decisions: what the loop decided, why, what it did, and that it would again."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from starlette.responses import Response

from homeostat.doors.web import visit
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import entities

ROWS = 50
HERE = "/decisions"
KINDS: tuple[entities.Kind, ...] = get_args(entities.Kind)


async def decisions(call: visit.Visit) -> Response:
    """List decisions, the newest first; ``?kind=retrain`` shows only those."""
    kind, before = visit.asked(call, "kind"), visit.asked(call, "before")
    if kind and kind not in KINDS:
        raise errors.InvalidInputError(
            f"{kind[:40]!r} is no kind of decision", hint=f"one of {', '.join(KINDS)}"
        )
    wanted = (kind,) if kind else tuple(one for one in KINDS if one != "none")
    found = await call.read(
        lambda tx: loop.list_decisions(tx, call.actor, kinds=wanted, before=before, limit=ROWS)
    )
    following = found[-1].id if len(found) == ROWS else ""
    return visit.show(
        call,
        "decisions.html",
        here=HERE,
        decisions=found,
        kind=kind,
        kinds=KINDS,
        following=following,
    )


async def decision(call: visit.Visit) -> Response:
    """Show one decision with its evidence and acts; ``?replay=yes`` recomputes it."""
    decision_id = call.path_params["id"]
    wants_replay = visit.asked(call, "replay") == "yes"

    def fetch(tx: Transaction) -> dict[str, Any]:
        found = loop.get_decision(tx, call.actor, decision_id)
        again = loop.replay_decision(tx, call.actor, decision_id) if wants_replay else None
        return {"decision": found, "replayed": again}

    shown = await call.read(fetch)
    acts = [msgspec.to_builtins(act) for act in shown["decision"].acts]
    return visit.show(call, "decision.html", here=HERE, acts=acts, **shown)


PAGES = (
    visit.Page("GET", "/decisions", "decision.read", decisions),
    visit.Page("GET", "/decisions/{id}", "decision.read", decision),
)

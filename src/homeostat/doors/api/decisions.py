"""What the loop decided and why; read and replayed by pages, SDK and `homeostat replay`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.lifecycle.loop import actions, entities, replay


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which decisions are asked for, newest first."""

    deployment: Annotated[str, msgspec.Meta(description="only of this deployment")] = ""
    kind: Annotated[
        str, msgspec.Meta(description="only of these kinds, separated by commas")
    ] = ""
    before: Annotated[str, msgspec.Meta(description="last id of the page before")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="rows a page")] = 100


async def listed(call: routing.Call) -> list[entities.Decision]:
    """Return a page of decisions."""
    wanted: Wanted = call.query
    return await call.read(
        lambda tx: actions.list_decisions(
            tx,
            call.actor,
            deployment=wanted.deployment or None,
            kinds=tuple(kind for kind in wanted.kind.split(",") if kind),
            before=wanted.before,
            limit=wanted.limit,
        )
    )


async def one(call: routing.Call) -> entities.Decision:
    """Return one decision with its evidence."""
    return await call.read(
        lambda tx: actions.get_decision(tx, call.actor, call.path_params["id"])
    )


async def replayed(call: routing.Call) -> replay.Replayed:
    """Recompute one decision and compare it to the bit; changes nothing."""
    return await call.read(
        lambda tx: actions.replay_decision(tx, call.actor, call.path_params["id"])
    )


async def state(call: routing.Call) -> entities.LoopState:
    """Return what the loop remembers about a deployment."""
    return await call.read(
        lambda tx: actions.get_state(tx, call.actor, call.path_params["name"])
    )


ROUTES = (
    routing.Route(
        "GET",
        "/api/decisions",
        "decision.read",
        listed,
        answer=list[entities.Decision],
        summary="What the loop decided, newest first",
        query=Wanted,
    ),
    routing.Route(
        "GET",
        "/api/decisions/{id}",
        "decision.read",
        one,
        answer=entities.Decision,
        summary="One decision with its evidence",
    ),
    routing.Route(
        "GET",
        "/api/decisions/{id}/replay",
        "decision.read",
        replayed,
        answer=replay.Replayed,
        summary="Recompute a decision from its recorded inputs and compare it to the bit",
    ),
    routing.Route(
        "GET",
        "/api/deployments/{name}/loop",
        "decision.read",
        state,
        answer=entities.LoopState,
        summary="What the loop remembers about a deployment",
    ),
)

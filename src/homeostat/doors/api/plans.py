"""Plans as prediction servers follow them: by long poll, with all that they must know.

Its routes stand with those of `deployments`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.serving import actions, classes, residuals
from homeostat.lifecycle.serving.entities import PlanDocument

LONGEST_WAIT_S = 55.0

Wait = Annotated[
    float, msgspec.Meta(ge=0, le=LONGEST_WAIT_S, description="seconds to wait for a newer one")
]


class PlanAfter(msgspec.Struct, frozen=True, kw_only=True):
    """Which plan the caller has."""

    after: Annotated[int, msgspec.Meta(ge=0, description="generation that is known")] = 0
    wait_s: Wait = 0.0


class ChangedAfter(msgspec.Struct, frozen=True, kw_only=True):
    """How far a follower has come."""

    after: Annotated[int, msgspec.Meta(ge=0, description="highest `changed` seen")] = 0
    wait_s: Wait = 0.0


async def get_plan(call: routing.Call) -> PlanDocument:
    """Return the plan as a prediction server needs it, waiting for a newer one where asked."""
    known: PlanAfter = call.query

    def fetch(tx: Transaction) -> classes.Told:
        document = actions.get_document(tx, call.actor, str(call.path_params["name"]))
        return classes.of_plan(tx, call.actor, document)

    told = await call.read_until(
        fetch,
        lambda found: found[0].plan.generation > known.after,
        timeout_s=known.wait_s,
    )
    (whole,) = await _whole(call, [told])
    return whole


async def changed_plans(call: routing.Call) -> list[PlanDocument]:
    """Return the plans of all deployments that changed, waiting for the first where asked."""
    known: ChangedAfter = call.query

    def fetch(tx: Transaction) -> list[classes.Told]:
        changed = actions.changed_documents(tx, call.actor, after=known.after)
        return [classes.of_plan(tx, call.actor, one) for one in changed]

    told = await call.read_until(fetch, bool, timeout_s=known.wait_s)
    return await _whole(call, told)


async def _whole(call: routing.Call, told: list[classes.Told]) -> list[PlanDocument]:
    def bring() -> list[PlanDocument]:
        found = classes.with_classes(call.house, told, project=call.project)
        return [
            residuals.with_corrector(call.house, one, project=call.project) for one in found
        ]

    return await call.work(bring)

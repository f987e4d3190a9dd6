"""Tables scored in bulk: the plan that scores them, and the record of what was scored.

Asked by the SDK, which scores where the table is: the server gives plan and files, as it does
to a prediction server, and is told of the outcome.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.lifecycle.serving import scorings
from homeostat.lifecycle.serving.entities import PlanDocument

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000, description="rows a page")]

Number = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1, description="of a version")]


class WhichVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Which version of a model; the newest when neither is given."""

    version: Number | None = None
    alias: Annotated[str | None, msgspec.Meta(description="what points to it")] = None


class OfModel(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of a model's scored tables."""

    model: Annotated[str, msgspec.Meta(description="its name")]
    before: Annotated[str, msgspec.Meta(description="id that ended the page before")] = ""
    limit: Limit = 100


async def get_plan(call: routing.Call) -> PlanDocument:
    """Return the plan under which one version alone scores a table."""
    name, which = str(call.path_params["name"]), call.query
    return await call.read(
        lambda tx: scorings.plan_of(
            tx, call.actor, name, number=which.version, alias=which.alias
        )
    )


async def record(call: routing.Call) -> scorings.Scoring:
    """Record that a table was scored."""
    told: scorings.NewScoring = call.body
    return await call.write(lambda tx: scorings.record(tx, call.actor, told))


async def list_scorings(call: routing.Call) -> list[scorings.Scoring]:
    """Return the tables that versions of a model scored, the latest first."""
    page: OfModel = call.query
    return await call.read(
        lambda tx: scorings.of_model(
            tx, call.actor, page.model, before=page.before, limit=page.limit
        )
    )


async def get_scoring(call: routing.Call) -> scorings.Scoring:
    """Return one scored table."""
    wanted = str(call.path_params["id"]).removeprefix("scoring:")
    return await call.read(lambda tx: scorings.get(tx, call.actor, wanted))


ROUTES = (
    routing.Route(
        "GET",
        "/api/models/{name}/plan",
        "model.read",
        get_plan,
        answer=PlanDocument,
        query=WhichVersion,
        summary="What is needed to score with one version",
    ),
    routing.Route(
        "POST",
        "/api/scorings",
        "run.write",
        record,
        body=scorings.NewScoring,
        answer=scorings.Scoring,
        status=201,
        summary="Record that a table was scored",
    ),
    routing.Route(
        "GET",
        "/api/scorings",
        "run.read",
        list_scorings,
        answer=list[scorings.Scoring],
        query=OfModel,
        summary="Tables that a model scored",
    ),
    routing.Route(
        "GET",
        "/api/scorings/{id}",
        "run.read",
        get_scoring,
        answer=scorings.Scoring,
        summary="One scored table",
    ),
)

"""Objectives, metrics and indicators over HTTP: what is promised, and how it stands."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation import jobs
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import counting, measuring, newest
from homeostat.lifecycle.monitoring import measurements, model_classes
from homeostat.lifecycle.monitoring.measured import Measured
from homeostat.lifecycle.monitoring.model_classes import ModelClass, NewClass
from homeostat.lifecycle.monitoring.objectives import Kept
from homeostat.lifecycle.serving import actions as serving


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which numbers are asked for: the newest of all, or one by the hour."""

    name: Annotated[str, msgspec.Meta(description="of one metric; all when empty")] = ""
    part: Annotated[str, msgspec.Meta(description="such as slice=young or version=3")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="at most so many")] = 100


async def kept(call: routing.Call) -> list[Kept]:
    """Count the objectives of a deployment as of now."""
    name = str(call.path_params["name"])

    def work() -> list[Kept]:
        seen = newest.look(call.house, call.actor, name, project=call.project, is_whole=False)
        return counting.kept(seen)

    return await call.work(work)


async def measured(call: routing.Call) -> list[Measured]:
    """Return what metrics and indicators last came to, or one of them by the hour."""
    name = str(call.path_params["name"])
    asked: Wanted = call.query

    def fetch(tx: Transaction) -> list[Measured]:
        serving.get_deployment(tx, call.actor, name)
        if not asked.name:
            return measurements.latest(tx, call.actor, name)
        return measurements.history(
            tx, call.actor, name, asked.name, part=asked.part, limit=asked.limit
        )

    return await call.read(fetch)


async def measure(call: routing.Call) -> jobs.Job:
    """Have a deployment measured by the worker, where code of users may run."""
    name = str(call.path_params["name"])
    return await call.write(lambda tx: measuring.ask(tx, call.actor, name))


async def list_classes(call: routing.Call) -> list[ModelClass]:
    """Return the classes of models, by name."""
    return await call.read(lambda tx: model_classes.list_classes(tx, call.actor))


async def set_class(call: routing.Call) -> ModelClass:
    """Say which models share which objectives."""
    name, new = str(call.path_params["name"]), call.body
    return await call.write(lambda tx: model_classes.set_class(tx, call.actor, name, new))


async def remove_class(call: routing.Call) -> None:
    """Forget a class of models."""
    name = str(call.path_params["name"])
    await call.write(lambda tx: model_classes.remove_class(tx, call.actor, name))


ROUTES = (
    routing.Route(
        "GET",
        "/api/deployments/{name}/objectives",
        "prediction.read",
        kept,
        answer=list[Kept],
        summary="How the objectives of a deployment stand, with budgets and burn rates",
    ),
    routing.Route(
        "GET",
        "/api/deployments/{name}/measured",
        "monitoring.read",
        measured,
        answer=list[Measured],
        query=Wanted,
        summary="What the user's metrics and the indicators of the business came to",
    ),
    routing.Route(
        "POST",
        "/api/deployments/{name}/measured",
        "monitoring.write",
        measure,
        answer=jobs.Job,
        status=201,
        summary="Have a deployment measured now, by the worker",
    ),
    routing.Route(
        "GET",
        "/api/model-classes",
        "monitoring.read",
        list_classes,
        answer=list[ModelClass],
        summary="Classes of models that share objectives",
    ),
    routing.Route(
        "PUT",
        "/api/model-classes/{name}",
        "monitoring.write",
        set_class,
        answer=ModelClass,
        body=NewClass,
        summary="Say which models share which objectives",
    ),
    routing.Route(
        "DELETE",
        "/api/model-classes/{name}",
        "monitoring.write",
        remove_class,
        answer=None,
        status=204,
        summary="Forget a class of models",
    ),
)

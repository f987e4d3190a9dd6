"""Work that waits, runs or is over; read by pages and `homeostat status`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation import jobs


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs are asked for."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="newest so many")] = 100


async def newest(call: routing.Call) -> list[jobs.Job]:
    """Return the newest jobs."""
    limit = call.query.limit
    return await call.read(lambda tx: jobs.newest(tx, limit=limit))


async def get(call: routing.Call) -> jobs.Job:
    """Return one job."""
    return await call.read(lambda tx: jobs.get(tx, call.path_params["id"]))


async def schedules(call: routing.Call) -> list[jobs.Schedule]:
    """Return all schedules."""
    return await call.read(jobs.schedules)


ROUTES = (
    routing.Route(
        "GET",
        "/api/jobs",
        "job.read",
        newest,
        answer=list[jobs.Job],
        summary="The newest jobs",
        query=Wanted,
    ),
    routing.Route("GET", "/api/jobs/{id}", "job.read", get, answer=jobs.Job, summary="One job"),
    routing.Route(
        "GET",
        "/api/schedules",
        "job.read",
        schedules,
        answer=list[jobs.Schedule],
        summary="Work that comes again",
    ),
)

"""The one route table: every address of the API, each with the action it needs.

A subject's routes are written in the file of its name and added to `SUBJECTS` here.
"""

from __future__ import annotations

from importlib import metadata

import msgspec

from homeostat.doors.api import (
    access,
    adoptions,
    alerts,
    artifacts,
    audit,
    corrections,
    data,
    decisions,
    deployments,
    events,
    explanations,
    imports,
    jobs,
    labels,
    lineage,
    loops,
    models,
    monitoring,
    objectives,
    predictions,
    reports,
    reproductions,
    reviews,
    routing,
    runs,
    scorings,
    training,
    why,
)

VERSION = metadata.version("homeostat")


class Health(msgspec.Struct, frozen=True):
    """Whether this process answers."""

    status: str
    version: str


class Version(msgspec.Struct, frozen=True):
    """Which product answers, and which release of it."""

    name: str
    version: str


async def health(call: routing.Call) -> Health:
    """Answer once the database can be read."""
    await call.newest()
    return Health("ok", VERSION)


async def version(_: routing.Call) -> Version:
    """Name the product and its release."""
    return Version("homeostat", VERSION)


SERVER = (
    routing.Route(
        "GET",
        "/api/health",
        routing.PUBLIC,
        health,
        answer=Health,
        summary="Whether the server is well",
    ),
    routing.Route(
        "GET",
        "/api/version",
        routing.PUBLIC,
        version,
        answer=Version,
        summary="The release of the server",
    ),
)

SUBJECTS = (
    access,
    adoptions,
    alerts,
    artifacts,
    audit,
    corrections,
    data,
    decisions,
    deployments,
    events,
    explanations,
    imports,
    jobs,
    labels,
    lineage,
    loops,
    models,
    monitoring,
    objectives,
    predictions,
    reports,
    reproductions,
    reviews,
    runs,
    scorings,
    training,
    why,
)

TABLE: tuple[routing.Route, ...] = (
    *SERVER,
    *(route for subject in SUBJECTS for route in subject.ROUTES),
)

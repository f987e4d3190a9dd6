"""The loop of a deployment: how it stands, a fit that a person asks for, signed reports."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.lifecycle.loop import entities, envelope, enveloping, standing, wanting


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which reports, newest first."""

    before: Annotated[str, msgspec.Meta(description="last id of the page before")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="rows a page")] = 100


async def stands(call: routing.Call) -> standing.Standing:
    """Return what waits, what is spent, and what the loop cannot know."""
    name = call.path_params["name"]
    return await call.work(
        lambda: standing.look(call.house, call.actor, name, project=call.project)
    )


async def ask(call: routing.Call) -> entities.Decision:
    """Ask for a fit; the answer is the decision, that it starts or what it waits for."""
    name = call.path_params["name"]
    return await call.write(lambda tx: wanting.ask_as_person(tx, call.actor, name, call.body))


async def reports(call: routing.Call) -> list[envelope.Report]:
    """Return a page of reports on changes."""
    name, wanted = call.path_params["name"], call.query
    return await call.read(
        lambda tx: enveloping.list_reports(
            tx, call.actor, name, before=wanted.before, limit=wanted.limit
        )
    )


async def verified(call: routing.Call) -> envelope.Report:
    """Return a report whose digest and signature hold; 409 when they do not."""
    return await call.read(lambda tx: enveloping.verify(tx, call.actor, call.path_params["id"]))


ROUTES = (
    routing.Route(
        "GET",
        "/api/deployments/{name}/loop/status",
        "decision.read",
        stands,
        answer=standing.Standing,
        summary="How the loop stands: what waits, what is spent, what it cannot know",
    ),
    routing.Route(
        "POST",
        "/api/deployments/{name}/loop/fits",
        "deployment.change",
        ask,
        body=wanting.Wish,
        answer=entities.Decision,
        summary="Ask for a fit; neither cooldown nor budget holds a person up",
        status=202,
    ),
    routing.Route(
        "GET",
        "/api/deployments/{name}/loop/reports",
        "report.read",
        reports,
        answer=list[envelope.Report],
        summary="Signed reports on versions that the loop judged by the envelope",
        query=Page,
    ),
    routing.Route(
        "GET",
        "/api/envelopes/{id}/verify",
        "report.read",
        verified,
        answer=envelope.Report,
        summary="A report on a change, once its digest and signature are proved",
    ),
)

"""Deployments over HTTP: their plans, and the log that prediction servers hand over.

Asked by the SDK, the command line, the pages, and by prediction servers, which follow plans and
fetch versions here because they hold no credentials of the database.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import plans, routing
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import read
from homeostat.lifecycle.predictions.entities import (
    Failed,
    LabelReport,
    LateLabel,
    Sealed,
    Segment,
)
from homeostat.lifecycle.serving import actions, classes, correcting
from homeostat.lifecycle.serving.entities import Deployment, Plan, PlanChange, PlanDocument

SEGMENT_LIMIT_BYTES = 128 * 1024 * 1024

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000, description="rows a page")]
Reason = Annotated[str, msgspec.Meta(max_length=1000, description="why, for people")]


class NewDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be served, and under which policy."""

    name: str
    policy: Annotated[str, msgspec.Meta(max_length=200_000, description="a homeostat.toml")]
    version: Annotated[int | None, msgspec.Meta(description="newest when not given")] = None
    alias: str | None = None


class NextPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan to put in force."""

    plan: Plan
    reason: Reason = ""


class WayBack(msgspec.Struct, frozen=True, kw_only=True):
    """Which earlier plan to put in force again; the one before when none is named."""

    generation: int | None = None
    reason: Reason = "rolled back"


class NewPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Text of a homeostat.toml."""

    policy: Annotated[str, msgspec.Meta(max_length=200_000)]


class NewLabels(msgspec.Struct, frozen=True, kw_only=True):
    """What became known of predictions."""

    labels: Annotated[list[LateLabel], msgspec.Meta(min_length=1, max_length=100_000)]


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of a history is asked for."""

    limit: Limit = 100
    before: Annotated[int | None, msgspec.Meta(description="only numbers below")] = None


class AsOf(msgspec.Struct, frozen=True, kw_only=True):
    """The instant whose knowledge counts."""

    as_of: Annotated[int | None, msgspec.Meta(description="milliseconds UTC; now")] = None


class Since(msgspec.Struct, frozen=True, kw_only=True):
    """Under which plans."""

    generation: Annotated[int, msgspec.Meta(ge=0, description="this and later ones")] = 0
    limit: Limit = 100


def _name(call: routing.Call) -> str:
    return str(call.path_params["name"])


async def list_deployments(call: routing.Call) -> list[Deployment]:
    """Return deployments by name."""
    page: routing.Paging = call.query
    return await call.read(
        lambda tx: actions.list_deployments(tx, call.actor, after=page.after, limit=page.limit)
    )


async def deploy(call: routing.Call) -> Deployment:
    """Serve a version under a name."""
    body: NewDeployment = call.body

    def change(tx: Transaction) -> Deployment:
        return actions.deploy(
            tx,
            call.actor,
            body.name,
            policy=body.policy,
            number=body.version,
            alias=body.alias,
        )

    return await call.write(change)


async def get_deployment(call: routing.Call) -> Deployment:
    """Return one deployment with its plan and policy."""
    return await call.read(lambda tx: actions.get_deployment(tx, call.actor, _name(call)))


async def set_plan(call: routing.Call) -> Deployment:
    """Put the next generation of the plan in force."""
    body: NextPlan = call.body
    return await call.write(
        lambda tx: actions.set_plan(tx, call.actor, _name(call), body.plan, reason=body.reason)
    )


async def rollback(call: routing.Call) -> Deployment:
    """Put an earlier plan in force again, as a new generation."""
    body: WayBack = call.body

    def change(tx: Transaction) -> Deployment:
        return actions.rollback_plan(
            tx, call.actor, _name(call), reason=body.reason, generation=body.generation
        )

    return await call.write(change)


async def set_policy(call: routing.Call) -> Deployment:
    """Let the deployment live under another policy from now on."""
    body: NewPolicy = call.body
    return await call.write(
        lambda tx: actions.set_policy(tx, call.actor, _name(call), body.policy)
    )


async def plan_history(call: routing.Call) -> list[PlanChange]:
    """Return the plans a deployment has had, the newest first."""
    page: Before = call.query

    def fetch(tx: Transaction) -> list[PlanChange]:
        return actions.plan_history(
            tx, call.actor, _name(call), before=page.before, limit=page.limit
        )

    return await call.read(fetch)


async def accept_segment(call: routing.Call) -> Segment:
    """Take over a part of the log; taking it over again changes nothing."""
    name, segment, raw = _name(call), str(call.path_params["segment"]), call.body
    await call.read(lambda tx: predictions.get_log(tx, call.actor, name))
    sealed = await call.work(
        lambda: predictions.seal_segment(
            call.house, name, segment=segment, raw=raw, project=call.project
        )
    )
    return await call.write(lambda tx: correcting.accept_segment(tx, call.actor, sealed))


async def list_segments(call: routing.Call) -> list[Segment]:
    """Return the parts of a deployment's log, the newest first."""
    page: Before = call.query

    def fetch(tx: Transaction) -> list[Segment]:
        return predictions.list_segments(
            tx, call.actor, _name(call), before=page.before, limit=page.limit
        )

    return await call.read(fetch)


async def add_labels(call: routing.Call) -> Segment:
    """Put late labels into the log; they come as a segment of their own."""
    name = _name(call)
    body: NewLabels = call.body
    champion = await call.read(lambda tx: classes.champion(tx, call.actor, name))

    def seal() -> Sealed:
        known = classes.known(call.house, champion, project=call.project)
        segment, raw = predictions.labels_segment(name, body.labels, classes=known)
        return predictions.seal_segment(
            call.house, name, segment=segment, raw=raw, project=call.project
        )

    sealed = await call.work(seal)
    return await call.write(lambda tx: predictions.accept_segment(tx, call.actor, sealed))


async def label_report(call: routing.Call) -> LabelReport:
    """Count how predictions and labels fit together, and name what does not."""
    asked: AsOf = call.query

    def fetch(tx: Transaction) -> LabelReport:
        return predictions.label_report(
            tx, call.actor, call.house, deployment=_name(call), as_of=asked.as_of
        )

    return await call.read(fetch)


async def failures(call: routing.Call) -> list[Failed]:
    """Return which members could not score rows."""
    asked: Since = call.query

    def fetch(tx: Transaction) -> list[Failed]:
        actions.get_deployment(tx, call.actor, _name(call))
        return read.failures(
            tx, _name(call), since_generation=asked.generation, limit=asked.limit
        )

    return await call.read(fetch)


_ONE = "/api/deployments/{name}"
ROUTES = (
    routing.Route(
        "GET",
        "/api/deployments",
        "deployment.read",
        list_deployments,
        answer=list[Deployment],
        query=routing.Paging,
        summary="Deployments by name",
    ),
    routing.Route(
        "POST",
        "/api/deployments",
        "deployment.change",
        deploy,
        body=NewDeployment,
        answer=Deployment,
        status=201,
        summary="Serve a version under a name",
    ),
    routing.Route(
        "GET",
        _ONE,
        "deployment.read",
        get_deployment,
        answer=Deployment,
        summary="One deployment",
    ),
    routing.Route(
        "GET",
        f"{_ONE}/plan",
        "deployment.read",
        plans.get_plan,
        answer=PlanDocument,
        query=plans.PlanAfter,
        summary="Who answers now; waits for a newer plan where asked",
    ),
    routing.Route(
        "PUT",
        f"{_ONE}/plan",
        "deployment.change",
        set_plan,
        body=NextPlan,
        answer=Deployment,
        summary="Put the next plan in force",
    ),
    routing.Route(
        "POST",
        f"{_ONE}/rollback",
        "deployment.change",
        rollback,
        body=WayBack,
        answer=Deployment,
        summary="Put an earlier plan in force again",
    ),
    routing.Route(
        "PUT",
        f"{_ONE}/policy",
        "deployment.change",
        set_policy,
        body=NewPolicy,
        answer=Deployment,
        summary="Put a policy in force",
    ),
    routing.Route(
        "GET",
        f"{_ONE}/plans",
        "deployment.read",
        plan_history,
        answer=list[PlanChange],
        query=Before,
        summary="The plans a deployment has had",
    ),
    routing.Route(
        "GET",
        "/api/plans",
        "deployment.read",
        plans.changed_plans,
        answer=list[PlanDocument],
        query=plans.ChangedAfter,
        summary="Plans that changed, of all deployments; waits where asked",
    ),
    routing.Route(
        "GET",
        f"{_ONE}/segments",
        "deployment.read",
        list_segments,
        answer=list[Segment],
        query=Before,
        summary="Parts of the log",
    ),
    routing.Route(
        "POST",
        f"{_ONE}/segments/{{segment}}",
        "prediction.write",
        accept_segment,
        body=bytes,
        answer=Segment,
        limit_bytes=SEGMENT_LIMIT_BYTES,
        summary="Hand over a part of the log",
    ),
    routing.Route(
        "GET",
        f"{_ONE}/labels",
        "prediction.read",
        label_report,
        answer=LabelReport,
        query=AsOf,
        summary="How predictions and labels fit together",
    ),
    routing.Route(
        "POST",
        f"{_ONE}/labels",
        "label.write",
        add_labels,
        body=NewLabels,
        answer=Segment,
        status=201,
        limit_bytes=SEGMENT_LIMIT_BYTES,
        summary="Add late labels",
    ),
    routing.Route(
        "GET",
        f"{_ONE}/failures",
        "deployment.read",
        failures,
        answer=list[Failed],
        query=Since,
        summary="Members that could not score rows",
    ),
)

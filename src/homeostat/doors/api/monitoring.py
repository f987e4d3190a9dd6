"""Monitoring over HTTP: judged windows, and models that are served elsewhere."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.data import intake
from homeostat.lifecycle.data.entities import Snapshot
from homeostat.lifecycle.loop import (
    attaching,
    causes,
    checking,
    elsewhere,
    performing,
    summarising,
)
from homeostat.lifecycle.monitoring import actions, stored
from homeostat.lifecycle.monitoring.checks import Check, Performance
from homeostat.lifecycle.monitoring.entities import Blamed, Window
from homeostat.lifecycle.monitoring.stored import SummaryWindow
from homeostat.lifecycle.monitoring.unusual import UnusualRow
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import observed
from homeostat.lifecycle.predictions.entities import Sealed, Segment
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import classes, correcting, watching
from homeostat.lifecycle.serving.entities import Deployment

OBSERVATIONS_LIMIT_BYTES = 64 * 1024 * 1024


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which windows are asked for."""

    with_findings: Annotated[
        bool, msgspec.Meta(description="only windows in which something was found")
    ] = False
    before_row: Annotated[
        int | None, msgspec.Meta(description="only windows that begin before this row")
    ] = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="windows a page")] = 100


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Which stored windows are asked for."""

    by: stored.Grain = "hour"
    since: Annotated[int, msgspec.Meta(ge=0, description="milliseconds UTC")] = 0
    role: stored.Role = "stable"
    part: Annotated[str, msgspec.Meta(description="such as sex=f; everybody when empty")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="at most so many")] = 100


class Most(msgspec.Struct, frozen=True, kw_only=True):
    """How many are asked for."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="at most so many")] = 20


class AsOf(msgspec.Struct, frozen=True, kw_only=True):
    """As of when is asked."""

    as_of: Annotated[
        int | None, msgspec.Meta(description="milliseconds UTC; now when not said")
    ] = None


class NewWatch(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is served elsewhere: its policy, and a snapshot of its reference rows."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    policy: Annotated[str, msgspec.Meta(max_length=200_000)]
    snapshot: Annotated[str, msgspec.Meta(description="as snapshot:<id>")]


class Observations(msgspec.Struct, frozen=True, kw_only=True):
    """What another server answered."""

    rows: Annotated[
        list[observed.Observation], msgspec.Meta(min_length=1, max_length=observed.MOST_ROWS)
    ]
    batch: Annotated[
        str,
        msgspec.Meta(
            max_length=200, description="the same rows under the same name are taken once"
        ),
    ] = ""


async def windows(call: routing.Call) -> list[Window]:
    """Return the windows of a deployment, the latest first."""
    name = call.path_params["name"]
    wanted: Wanted = call.query

    def fetch(tx: Transaction) -> list[Window]:
        return actions.list_windows(
            tx,
            call.actor,
            name,
            with_findings=wanted.with_findings,
            before_row=wanted.before_row,
            limit=wanted.limit,
        )

    return await call.read(fetch)


async def summaries(call: routing.Call) -> list[SummaryWindow]:
    """Return stored windows with what has moved in them, the latest first."""
    name = str(call.path_params["name"])
    asked: Kept = call.query
    return await call.work(
        lambda: summarising.show(
            call.house,
            call.actor,
            name,
            grain=asked.by,
            since=asked.since,
            role=asked.role,
            part=asked.part,
            limit=asked.limit,
            project=call.project,
        )
    )


async def checked(call: routing.Call) -> list[Check]:
    """Answer what windows do not say: volume, silence, doubles, groups, estimates, age."""
    name = str(call.path_params["name"])
    return await call.work(
        lambda: checking.run(call.house, call.actor, name, project=call.project)
    )


async def blamed(call: routing.Call) -> Blamed:
    """Rank the causes of a deployment's harm, each with evidence and a command."""
    name = str(call.path_params["name"])
    return await call.work(
        lambda: causes.rank(call.house, call.actor, name, project=call.project)
    )


async def performance(call: routing.Call) -> Performance:
    """Measure what was answered, as it was known at an instant."""
    name = str(call.path_params["name"])
    asked: AsOf = call.query
    return await call.work(
        lambda: performing.measure(
            call.house, call.actor, name, as_of=asked.as_of, project=call.project
        )
    )


async def rarest(call: routing.Call) -> list[UnusualRow]:
    """Return the newest predictions that the baseline least expected."""
    name = str(call.path_params["name"])
    most: Most = call.query
    return await call.work(
        lambda: checking.rarest(
            call.house, call.actor, name, limit=most.limit, project=call.project
        )
    )


async def attach(call: routing.Call) -> Deployment:
    """Begin to watch a model that is served elsewhere."""
    body: NewWatch = call.body

    def look(tx: Transaction) -> Snapshot:
        serving.need_free(tx, body.name)
        return data.find_snapshot(tx, call.actor, body.snapshot)

    snapshot = await call.read(look)

    def work() -> attaching.Prepared:
        rows = intake.read_snapshot(call.house, snapshot, project=call.project)
        return attaching.prepare(call.house, body.policy, rows, project=call.project)

    prepared = await call.work(work)

    def write(tx: Transaction) -> Deployment:
        return attaching.attach(
            tx,
            call.actor,
            body.name,
            policy=body.policy,
            prepared=prepared,
            snapshot=snapshot,
        )

    return await call.write(write)


async def observe(call: routing.Call) -> observed.Taken:
    """Take in what another server answered; it becomes a part of the log."""
    name = str(call.path_params["name"])
    body: Observations = call.body

    def look(tx: Transaction) -> tuple[Deployment, Version]:
        found = serving.get_deployment(tx, call.actor, name)
        watching.need_watched(found)
        return found, classes.champion(tx, call.actor, name)

    deployment, version = await call.read(look)

    def seal() -> Sealed:
        known = classes.known(call.house, version, project=call.project)
        watched = observed.Watched(
            name,
            deployment.plan.generation,
            version.number,
            {column.name: column.kind for column in version.schema.columns},
            known,
        )
        segment, raw = observed.segment(watched, body.rows, batch=body.batch)
        return predictions.seal_segment(
            call.house, name, segment=segment, raw=raw, project=call.project
        )

    sealed = await call.work(seal)
    told = await call.work(
        lambda: elsewhere.find(call.house, deployment, version, body.rows, project=call.project)
    )

    def keep(tx: Transaction) -> Segment:
        if told is not None:
            elsewhere.tell(tx, told)
        return correcting.accept_segment(tx, call.actor, sealed)

    kept = await call.write(keep)
    lacking = observed.lacking(
        body.rows,
        features=[column.name for column in version.schema.columns],
        protected=serving.get_policy(deployment).data.protected,
    )
    return observed.Taken(**msgspec.structs.asdict(kept), lacking=lacking)


ROUTES = (
    routing.Route(
        "GET",
        "/api/deployments/{name}/windows",
        "monitoring.read",
        windows,
        answer=list[Window],
        summary="Judged windows of a deployment, the latest first",
        query=Wanted,
    ),
    routing.Route(
        "GET",
        "/api/deployments/{name}/summaries",
        "monitoring.read",
        summaries,
        answer=list[SummaryWindow],
        query=Kept,
        summary="Columns by minute, hour or day, and what has moved in them",
    ),
    routing.Route(
        "GET",
        "/api/deployments/{name}/checks",
        "prediction.read",
        checked,
        answer=list[Check],
        summary="Volume, freshness, duplicates, estimates without labels, fairness, staleness",
    ),
    routing.Route(
        "GET",
        "/api/deployments/{name}/blame",
        "prediction.read",
        blamed,
        answer=Blamed,
        summary="What the harm of a deployment comes from, likeliest first, with evidence",
    ),
    routing.Route(
        "GET",
        "/api/deployments/{name}/performance",
        "prediction.read",
        performance,
        answer=Performance,
        query=AsOf,
        summary="How well mature rows were answered, as it was known at an instant",
    ),
    routing.Route(
        "GET",
        "/api/deployments/{name}/unusual",
        "prediction.read",
        rarest,
        answer=list[UnusualRow],
        query=Most,
        summary="The newest predictions that the baseline least expected, and their columns",
    ),
    routing.Route(
        "POST",
        "/api/watched",
        "deployment.change",
        attach,
        answer=Deployment,
        body=NewWatch,
        status=201,
        summary="Watch a model that is served elsewhere",
    ),
    routing.Route(
        "POST",
        "/api/deployments/{name}/observations",
        "prediction.write",
        observe,
        answer=observed.Taken,
        body=Observations,
        status=201,
        limit_bytes=OBSERVATIONS_LIMIT_BYTES,
        summary="Hand over what a watched model answered elsewhere",
    ),
)

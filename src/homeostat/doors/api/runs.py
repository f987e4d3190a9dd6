"""Experiments, runs and their steps; spoken to by SDK, command line and pages."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation import clock, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.pipeline import actions as pipelines
from homeostat.lifecycle.pipeline import entities as piped
from homeostat.lifecycle.tracking import actions, entities, filters

RECORD_LIMIT_BYTES = 64 * 1024 * 1024


class NewExperiment(msgspec.Struct, frozen=True):
    """An experiment to create."""

    name: str


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run to start; with an id of the caller's own, asking twice cannot make two."""

    experiment: str = entities.DEFAULT_EXPERIMENT
    name: str = ""
    run_id: str = ""


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """What is added to a run, all in one transaction."""

    metrics: tuple[entities.Metric, ...] = ()
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    inputs: tuple[entities.Input, ...] = ()
    outputs: tuple[entities.Output, ...] = ()


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended."""

    status: entities.RunStatus = "finished"
    error: str = ""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline's run as it begins."""

    start: piped.RunStart
    experiment: str = entities.DEFAULT_EXPERIMENT


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline's run as it ended."""

    start: piped.RunStart
    end: piped.RunEnd
    experiment: str = entities.DEFAULT_EXPERIMENT


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are asked for."""

    experiment: Annotated[
        tuple[str, ...], msgspec.Meta(description="only of these, by name or id")
    ] = ()
    where: Annotated[
        tuple[str, ...], msgspec.Meta(description="conditions such as metric.auc >= 0.8")
    ] = ()
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="runs a page")] = 100
    after: Annotated[str, msgspec.Meta(description="`next` of the page before")] = ""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """How many points of a metric are asked for."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100_000, description="most points")] = 10_000


async def create_experiment(call: routing.Call) -> entities.Experiment:
    """Create an experiment."""
    return await call.write(
        lambda tx: actions.create_experiment(tx, call.actor, call.body.name)
    )


async def list_experiments(call: routing.Call) -> list[entities.Experiment]:
    """Return experiments by id."""
    page: routing.Paging = call.query
    return await call.read(
        lambda tx: actions.list_experiments(tx, call.actor, after=page.after, limit=page.limit)
    )


async def create_run(call: routing.Call) -> entities.Run:
    """Start a run."""
    new: NewRun = call.body

    def write(tx: Transaction) -> entities.Run:
        return actions.create_run(
            tx, call.actor, experiment=new.experiment, name=new.name, run_id=new.run_id
        )

    return await call.write(write)


async def search_runs(call: routing.Call) -> entities.Page:
    """Return a page of runs, newest first."""
    wanted: Wanted = call.query
    where = [filters.parse(text) for text in wanted.where]

    def read(tx: Transaction) -> entities.Page:
        return actions.search_runs(
            tx,
            call.actor,
            experiments=wanted.experiment,
            where=where,
            limit=wanted.limit,
            after=wanted.after,
        )

    return await call.read(read)


async def get_run(call: routing.Call) -> entities.RunRecord:
    """Return a run with what it keeps."""
    return await call.read(lambda tx: actions.get_run(tx, call.actor, _id(call)))


async def add_values(call: routing.Call) -> None:
    """Add metrics, parameters, tags and data to a run."""
    values: Values = call.body
    run_id = _id(call)

    now = clock.now_ms()
    points = [
        point if point.at else msgspec.structs.replace(point, at=now)
        for point in values.metrics
    ]

    def write(tx: Transaction) -> None:
        actions.log_batch(
            tx,
            call.actor,
            run_id,
            points=points,
            params=values.params,
            tags=values.tags,
        )
        if values.inputs:
            actions.add_inputs(tx, call.actor, run_id, read=values.inputs)
        if values.outputs:
            actions.add_outputs(tx, call.actor, run_id, made=values.outputs)

    await call.write(write)


async def finish_run(call: routing.Call) -> entities.Run:
    """End a run."""
    finish: Finish = call.body

    def write(tx: Transaction) -> entities.Run:
        return actions.finish_run(
            tx, call.actor, _id(call), status=finish.status, error=finish.error
        )

    return await call.write(write)


async def metric_history(call: routing.Call) -> list[entities.Metric]:
    """Return the points of one metric."""
    key, limit = call.path_params["key"], call.query.limit
    return await call.read(
        lambda tx: actions.metric_history(tx, call.actor, _id(call), key=key, limit=limit)
    )


async def list_steps(call: routing.Call) -> list[piped.StepRecord]:
    """Return the steps of a pipeline's run."""
    return await call.read(lambda tx: pipelines.list_steps(tx, call.actor, _id(call)))


async def get_code(call: routing.Call) -> piped.ReachedCode:
    """Return what a step's code digest stands for."""
    digest = call.path_params["digest"]
    return await call.read(lambda tx: pipelines.get_code(tx, call.actor, digest))


async def get_recipe(call: routing.Call) -> piped.Recipe:
    """Return the code and the environment of a run."""
    return await call.read(lambda tx: pipelines.get_recipe(tx, call.actor, _id(call)))


async def begin_run(call: routing.Call) -> entities.Run:
    """Record that a pipeline works."""
    begun: Begun = call.body
    _same_run(call, begun.start)
    return await call.write(
        lambda tx: pipelines.begin_run(tx, call.actor, begun.start, experiment=begun.experiment)
    )


async def end_run(call: routing.Call) -> entities.Run:
    """Record how a pipeline's run ended."""
    ended: Ended = call.body
    _same_run(call, ended.start)
    return await call.write(
        lambda tx: pipelines.finish_run(
            tx, call.actor, ended.start, end=ended.end, experiment=ended.experiment
        )
    )


def _id(call: routing.Call) -> str:
    return str(call.path_params["id"])


def _same_run(call: routing.Call, start: piped.RunStart) -> None:
    if start.run_id != _id(call):
        raise errors.InvalidInputError(
            f"the address names run:{_id(call)[:40]}, the body run:{start.run_id[:40]}"
        )


Route = routing.Route

ROUTES = (
    Route(
        "POST",
        "/api/experiments",
        "experiment.write",
        create_experiment,
        body=NewExperiment,
        answer=entities.Experiment,
        summary="Create an experiment",
        status=201,
    ),
    Route(
        "GET",
        "/api/experiments",
        "run.read",
        list_experiments,
        answer=list[entities.Experiment],
        summary="Experiments by id",
        query=routing.Paging,
    ),
    Route(
        "POST",
        "/api/runs",
        "run.write",
        create_run,
        body=NewRun,
        answer=entities.Run,
        summary="Start a run",
        status=201,
    ),
    Route(
        "GET",
        "/api/runs",
        "run.read",
        search_runs,
        answer=entities.Page,
        summary="Runs, newest first",
        query=Wanted,
    ),
    Route(
        *("GET", "/api/runs/{id}", "run.read", get_run),
        answer=entities.RunRecord,
        summary="One run with what it keeps",
    ),
    Route(
        "POST",
        "/api/runs/{id}/values",
        "run.write",
        add_values,
        body=Values,
        summary="Add metrics, parameters, tags and data to a run",
        status=204,
    ),
    Route(
        "POST",
        "/api/runs/{id}/finish",
        "run.write",
        finish_run,
        body=Finish,
        answer=entities.Run,
        summary="End a run",
    ),
    Route(
        "GET",
        "/api/runs/{id}/metrics/{key:path}",
        "run.read",
        metric_history,
        answer=list[entities.Metric],
        summary="The points of one metric",
        query=History,
    ),
    Route(
        "GET",
        "/api/runs/{id}/steps",
        "run.read",
        list_steps,
        answer=list[piped.StepRecord],
        summary="The steps of a pipeline's run",
    ),
    Route(
        "GET",
        "/api/runs/{id}/recipe",
        "run.read",
        get_recipe,
        answer=piped.Recipe,
        summary="The code and the environment of a run",
    ),
    Route(
        "GET",
        "/api/code/{digest}",
        "run.read",
        get_code,
        answer=piped.ReachedCode,
        summary="What a step's code digest stands for",
    ),
    Route(
        "POST",
        "/api/runs/{id}/begin",
        "run.write",
        begin_run,
        body=Begun,
        answer=entities.Run,
        summary="Record that a pipeline works",
        status=201,
    ),
    Route(
        "POST",
        "/api/runs/{id}/end",
        "run.write",
        end_run,
        body=Ended,
        answer=entities.Run,
        summary="Record how a pipeline's run ended",
        limit_bytes=RECORD_LIMIT_BYTES,
    ),
)

"""What clients log while a run works: the requests that come by the thousand.

A run and what it keeps are written by tracking's actions; this file only reads MLflow's shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from homeostat.doors.mlflow import decoding, problems, routing, shapes
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import actions, entities, logged, whole

MOST_METRICS = 1000
MOST_TEXTS = 100
BATCH_LIMIT_BYTES = 4 * 1024 * 1024


class Pair(msgspec.Struct, frozen=True):
    """A parameter or tag as clients send it."""

    key: decoding.Text
    value: str = ""


class Point(msgspec.Struct, frozen=True):
    """A point of a metric as clients send it."""

    key: decoding.Text
    value: decoding.Number
    timestamp: decoding.Int
    step: decoding.Int = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class CreateRun(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of runs/create."""

    experiment_id: str = entities.DEFAULT_EXPERIMENT_ID
    user_id: str = ""
    run_name: str = ""
    start_time: decoding.Int | None = None
    tags: list[Pair] = []


class LogMetric(Point, frozen=True, kw_only=True):
    """Fields of runs/log-metric."""

    run_id: str = ""
    run_uuid: str = ""


class LogPair(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of runs/log-parameter and runs/set-tag."""

    run_id: str = ""
    run_uuid: str = ""
    key: decoding.Text
    value: str = ""


class LogBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of runs/log-batch."""

    run_id: decoding.Text
    metrics: list[Point] = []
    params: list[Pair] = []
    tags: list[Pair] = []


async def create_run(call: routing.Call) -> dict[str, Any]:
    """Start a run."""
    asked: CreateRun = call.body
    given = asked.start_time
    started_at = None if given is None else decoding.whole(given, "start_time")
    tags = [(pair.key, pair.value) for pair in asked.tags]

    def write(tx: Transaction) -> whole.WholeRun:
        return actions.start_run(
            tx,
            call.actor,
            experiment_id=asked.experiment_id or entities.DEFAULT_EXPERIMENT_ID,
            name=asked.run_name,
            user=asked.user_id,
            started_at=started_at,
            tags=tags,
        )

    return {"run": shapes.run(await call.write(write))}


async def log_metric(call: routing.Call) -> None:
    """Add one point."""
    asked: LogMetric = call.body
    run_id = run_of(asked)
    at, step = asked.timestamp, asked.step
    point = entities.Metric.of(
        asked.key,
        decoding.number(asked.value, "value"),
        at=at if type(at) is int else decoding.whole(at, "timestamp"),
        step=step if type(step) is int else decoding.whole(step, "step"),
    )
    of_models = _of_models((asked,), (point,))
    await call.write(
        lambda tx: actions.log_batch(
            tx, call.actor, run_id, points=(point,), of_models=of_models
        )
    )


async def log_parameter(call: routing.Call) -> None:
    """Write one parameter."""
    asked: LogPair = call.body
    run_id = run_of(asked)
    values = {asked.key: asked.value}
    with problems.told_as("INVALID_PARAMETER_VALUE", errors.ConflictError):
        await call.write(lambda tx: actions.log_params(tx, call.actor, run_id, values=values))


async def set_tag(call: routing.Call) -> None:
    """Write one tag."""
    asked: LogPair = call.body
    run_id = run_of(asked)
    values = {asked.key: asked.value}
    await call.write(lambda tx: actions.set_tags(tx, call.actor, run_id, values=values))


async def log_batch(call: routing.Call) -> None:
    """Write points, parameters and tags, all of them or none."""
    asked: LogBatch = call.body
    points = [
        entities.Metric.of(
            given.key,
            decoding.number(given.value, "value"),
            at=decoding.whole(given.timestamp, "timestamp"),
            step=decoding.whole(given.step, "step"),
        )
        for given in asked.metrics
    ]
    params = _texts("params", asked.params)
    tags = {pair.key: pair.value for pair in asked.tags}

    of_models = _of_models(asked.metrics, points)

    def write(tx: Transaction) -> None:
        actions.log_batch(
            tx,
            call.actor,
            asked.run_id,
            points=points,
            params=params,
            tags=tags,
            of_models=of_models,
        )

    with problems.told_as("INVALID_PARAMETER_VALUE", errors.ConflictError):
        await call.write(write)


def run_of(asked: Any) -> str:
    """Return the run a request names, by its new or its old field."""
    found: str = asked.run_id or asked.run_uuid
    if not found:
        raise errors.InvalidInputError(
            f"Missing value for required parameter 'run_id'.{decoding.SEE}"
        )
    return found


def _of_models(asked: Sequence[Point], points: Sequence[entities.Metric]) -> list[logged.Point]:
    """Return the points that name a logged model they tell of."""
    return [
        (given.model_id, point, given.dataset_name, given.dataset_digest)
        for given, point in zip(asked, points, strict=True)
        if given.model_id
    ]


def _texts(what: str, pairs: list[Pair]) -> dict[str, str]:
    values = {pair.key: pair.value for pair in pairs}
    if len(values) < len(pairs):
        raise errors.InvalidInputError(f"Duplicate parameter keys have been submitted: {what}")
    return values


class _Hot(NamedTuple):
    path: str
    endpoint: routing.Endpoint
    body: type[msgspec.Struct]


ROUTES = tuple(
    routing.Route("POST", hot.path, "run.write", hot.endpoint, body=hot.body)
    for hot in (
        _Hot("/2.0/mlflow/runs/create", create_run, CreateRun),
        _Hot("/2.0/mlflow/runs/log-metric", log_metric, LogMetric),
        _Hot("/2.0/mlflow/runs/log-parameter", log_parameter, LogPair),
        _Hot("/2.0/mlflow/runs/set-tag", set_tag, LogPair),
        _Hot("/2.0/mlflow/runs/log-batch", log_batch, LogBatch),
    )
)

"""What clients log while a run works: the requests that come by the thousand.

A run and what it keeps are written by tracking's actions; this file only reads MLflow's shapes.
"""

from __future__ import annotations

import collections
from math import isfinite
from typing import Any, NamedTuple

import msgspec

from homeostat.doors.mlflow import decoding, problems, routing, shapes
from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import actions, entities, logged, whole

MOST_METRICS = 1000
MOST_TEXTS = 100
BATCH_LIMIT_BYTES = 1_000_000
_MOST = decoding.LARGEST_WHOLE


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


def create_run(actor: access.Actor, asked: CreateRun) -> routing.Write:
    """Start a run."""
    given = asked.start_time
    started_at = None if given is None else decoding.whole(given, "start_time")
    tags = [(pair.key, pair.value) for pair in asked.tags]

    def write(tx: Transaction) -> whole.WholeRun:
        return actions.start_run(
            tx,
            actor,
            experiment_id=asked.experiment_id or entities.DEFAULT_EXPERIMENT_ID,
            name=asked.run_name,
            user=asked.user_id,
            started_at=started_at,
            tags=tags,
        )

    return routing.Write(write, _shown)


def _shown(found: whole.WholeRun) -> bytes:
    return msgspec.json.encode({"run": shapes.run(found)})


def log_metric(actor: access.Actor, asked: LogMetric) -> routing.Write:
    """Add one point."""
    run_id = run_of(asked)
    point = _metric(asked)
    if not asked.model_id:
        return routing.Write(lambda tx: actions.log_metrics(tx, actor, run_id, points=(point,)))

    def write(tx: Transaction) -> None:
        run = actions.log_batch(tx, actor, run_id, points=(point,))
        logged.add_points(tx, run, [_of_model(asked, point)])

    return routing.Write(write)


def log_parameter(actor: access.Actor, asked: LogPair) -> routing.Write:
    """Write one parameter."""
    run_id = run_of(asked)
    values = {asked.key: asked.value}

    def write(tx: Transaction) -> None:
        with problems.told_as("INVALID_PARAMETER_VALUE", errors.ConflictError):
            actions.log_params(tx, actor, run_id, values=values)

    return routing.Write(write)


def set_tag(actor: access.Actor, asked: LogPair) -> routing.Write:
    """Write one tag."""
    run_id = run_of(asked)
    values = {asked.key: asked.value}
    return routing.Write(lambda tx: actions.set_tags(tx, actor, run_id, values=values))


def log_batch(actor: access.Actor, asked: LogBatch) -> routing.Write:
    """Write points, parameters and tags, all of them or none."""
    _check_numbers(asked)
    run_id = asked.run_id
    points = [_metric(given, place) for place, given in enumerate(asked.metrics)]
    params = _params(asked.params)
    tags = {pair.key: pair.value for pair in asked.tags}
    of_models = [
        _of_model(given, point)
        for given, point in zip(asked.metrics, points, strict=True)
        if given.model_id
    ]

    def write(tx: Transaction) -> None:
        with problems.told_as("INVALID_PARAMETER_VALUE", errors.ConflictError):
            run = actions.log_batch(tx, actor, run_id, points=points, params=params, tags=tags)
            if of_models:
                logged.add_points(tx, run, of_models)

    return routing.Write(write)


def run_of(asked: Any) -> str:
    """Return the run a request names, by its new or its old field."""
    found: str = asked.run_id or asked.run_uuid
    if not found:
        raise errors.InvalidInputError(
            f"Missing value for required parameter 'run_id'.{decoding.SEE}"
        )
    return found


def _metric(given: Point, place: int | None = None) -> entities.Metric:
    """Return a point as it is kept; `place` is its place in a batch."""
    value, at, step = given.value, given.timestamp, given.step
    if given.dataset_name or given.dataset_digest:
        logged.check_dataset(given.dataset_name, given.dataset_digest)
    # All but always they are numbers, and in range.
    if isinstance(value, float) and isinstance(at, int) and isinstance(step, int):  # noqa: SIM102
        if isfinite(value) and 0 <= at <= _MOST and -_MOST <= step <= _MOST:
            return entities.Metric(given.key, value, at, step)
    where = "" if place is None else f"metrics[{place}]."
    at = decoding.whole(at, f"{where}timestamp")
    if at < 0:
        raise errors.InvalidInputError(
            f"Invalid value {at} for parameter '{where}timestamp' supplied: "
            f"Got invalid timestamp {at} for metric '{given.key[:250]}' "
            "(timestamp must be a nonnegative long integer)"
        )
    return entities.Metric.of(
        given.key,
        decoding.number(value, f"{where}value"),
        at=at,
        step=decoding.whole(step, f"{where}step"),
    )


def _of_model(given: Point, point: entities.Metric) -> logged.Point:
    return given.model_id, point, given.dataset_name, given.dataset_digest


def _check_numbers(asked: LogBatch) -> None:
    """Refuse a batch with more of something than the protocol allows."""
    sizes = {"metrics": len(asked.metrics), "params": len(asked.params)}
    sizes |= {"tags": len(asked.tags)}
    for what, size in (*sizes.items(), ("metrics, params, and tags", sum(sizes.values()))):
        most = MOST_TEXTS if what in ("params", "tags") else MOST_METRICS
        if size > most:
            raise errors.InvalidInputError(
                f"A batch logging request can contain at most {most} {what}. "
                f"Got {size} {what}. "
                f"Please split up {what} across multiple requests and try again."
            )


def _params(pairs: list[Pair]) -> dict[str, str]:
    values = {pair.key: pair.value for pair in pairs}
    if len(values) < len(pairs):
        counted = collections.Counter(pair.key for pair in pairs)
        double = [key for key, times in counted.items() if times > 1]
        raise errors.InvalidInputError(
            f"Duplicate parameter keys have been submitted: {double}. Please ensure "
            "the request contains only one param value per param key."
        )
    return values


class _Hot(NamedTuple):
    path: str
    plan: routing.Plan
    body: type[msgspec.Struct]


ROUTES = tuple(
    routing.planned(
        *("POST", hot.path, "run.write", hot.plan),
        body=hot.body,
        limit_bytes=BATCH_LIMIT_BYTES,
    )
    for hot in (
        _Hot("/2.0/mlflow/runs/create", create_run, CreateRun),
        _Hot("/2.0/mlflow/runs/log-metric", log_metric, LogMetric),
        _Hot("/2.0/mlflow/runs/log-parameter", log_parameter, LogPair),
        _Hot("/2.0/mlflow/runs/set-tag", set_tag, LogPair),
        _Hot("/2.0/mlflow/runs/log-batch", log_batch, LogBatch),
    )
)

"""Actions on what a run keeps: metrics, texts, data, files; part of tracking's actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from homeostat.foundation import access, errors, events, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import entities, limits, logged, records, runs

_PLACES: Final = {
    "metric": "metrics[{}].name",
    "parameter": "params[{}].key",
    "tag": "tags[{}].key",
}


class Standing(NamedTuple):
    """What writing to a run must know of it.

    Parameters
    ----------
    id
        Of the run.
    experiment_id
        Its number.
    status, lifecycle_stage
        As of the run.
    """

    id: str
    experiment_id: int
    status: entities.RunStatus
    lifecycle_stage: entities.Stage


def log_batch(
    tx: Transaction,
    actor: access.Actor,
    run_id: str,
    *,
    points: Sequence[entities.Metric] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    of_models: Sequence[logged.Point] = (),
) -> Standing:
    """Add points, parameters and tags to a run, all of them or none.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        An existing run.
    points
        Any number; equal points count once.
    params
        Text by key; they never change, and one that has the same value already is left alone.
    tags
        Text by key; the last value counts.
    of_models
        Those of the points that tell of a logged model.

    Returns
    -------
    Standing
        What is known of the run.

    Raises
    ------
    NotFoundError
        When there is no such run, or no such model.
    ConflictError
        When a parameter has another value.
    InvalidInputError
        When a key or value is too long or the run is deleted.
    """
    run = standing(tx, actor, run_id)
    _check_keys("metric", [point.key for point in points])
    _check_keys("parameter", tuple(params or ()))
    _check_keys("tag", tuple(tags or ()))
    if points:
        insert_points(tx, run, points)
    if of_models:
        logged.add_points(tx, run, of_models)
    if params:
        insert_params(tx, run, values=params)
    if tags:
        _put_tags(tx, actor, run, tags)
    if run.status in runs.ENDED and (points or params):
        # The end's digests no longer hold; this event has those that do.
        facts = runs.kept_facts(tx, run.id)
        events.record(tx, actor, "run.changed", subject=f"run:{run.id}", facts=facts)
    return run


def log_metrics(
    tx: Transaction, actor: access.Actor, run_id: str, *, points: Sequence[entities.Metric]
) -> None:
    """Add points to metrics of a run; parameters and errors of `log_batch`."""
    log_batch(tx, actor, run_id, points=points)


def log_params(
    tx: Transaction, actor: access.Actor, run_id: str, *, values: Mapping[str, str]
) -> None:
    """Write parameters of a run; parameters and errors of `log_batch`."""
    log_batch(tx, actor, run_id, params=values)


def set_tags(
    tx: Transaction, actor: access.Actor, run_id: str, *, values: Mapping[str, str]
) -> None:
    """Write tags of a run; parameters and errors of `log_batch`."""
    log_batch(tx, actor, run_id, tags=values)


def standing(tx: Transaction, actor: access.Actor, run_id: str) -> Standing:
    """Return what is known of a run the actor may write to.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    run_id
        An existing run.

    Raises
    ------
    NotFoundError
        When there is no such run.
    InvalidInputError
        When the run is deleted.
    """
    access.require(actor, "run.write")
    key = (tx.project, run_id)
    found: Standing | None = tx.known.get(records.runs.name, key)
    if found is None:
        row = tx.run(records.STANDING, records.of_run(tx, run_id)).fetchone()
        if row is None:
            raise errors.NotFoundError(f"Run with id={run_id} not found", run_id=run_id)
        found = Standing(run_id, *row)
        tx.known.put(records.runs.name, key, found)
    if found.lifecycle_stage != "active":
        raise errors.InvalidInputError(
            f"The run {run_id} must be in the 'active' state. "
            f"Current state is {found.lifecycle_stage}."
        )
    return found


def insert_points(tx: Transaction, run: Standing, points: Sequence[entities.Metric]) -> None:
    """Write points whose keys were checked; see `log_batch`."""
    project, run_id, experiment_id = tx.project, run.id, run.experiment_id
    rows: list[tuple[Any, ...]] = []
    latest: dict[str, tuple[int, int, float, str]] = {}
    for key, value, at, step, kind in map(_fields, points):
        rows.append((project, run_id, key, at, step, value, kind))
        known = latest.get(key)
        if known is None or (step, at, value) >= known[:3]:
            latest[key] = (step, at, value, kind)
    tx.insert_later(records.INSERT_POINTS, rows)
    tx.insert_later(
        records.UPSERT_LATEST,
        [
            (project, run_id, key, experiment_id, value, kind, at, step)
            for key, (step, at, value, kind) in latest.items()
        ],
    )


def insert_params(
    tx: Transaction, run: Standing | entities.Run, *, values: Mapping[str, str]
) -> None:
    """Write parameters of a run that may be written to; see `log_batch`."""
    kept = {key: limits.cut_param(value) for key, value in values.items()}
    cursor = tx.insert_rows(records.INSERT_PARAMS, _text_rows(tx, run, kept))
    if cursor.rowcount == len(kept):
        return
    known = dict(tx.run(records.RUN_PARAMS, records.of_run(tx, run.id)).fetchall())
    for key, value in kept.items():
        if known[key] != value:
            raise errors.ConflictError(
                "Changing param values is not allowed. Param with "
                f"key='{key}' was already logged with value='{known[key]}' for run "
                f"ID='{run.id}'. Attempted logging new value '{value}'.",
                hint="parameters are written once; use a tag for what changes",
                key=key,
            )


def insert_tags(
    tx: Transaction, run: Standing | entities.Run, *, values: Mapping[str, str]
) -> None:
    """Write tags of a run that may be written to; see `log_batch`."""
    tx.insert_later(records.UPSERT_TAGS, _text_rows(tx, run, values))


def _put_tags(
    tx: Transaction, actor: access.Actor, run: Standing, values: Mapping[str, str]
) -> None:
    name = values.get(entities.NAME_TAG)
    if name == "":
        # A run is never without a name; MLflow's own server passes over this too.
        values = {key: value for key, value in values.items() if key != entities.NAME_TAG}
    insert_tags(tx, run, values=values)
    if name:
        limits.check_run_name(name)
        tx.run(records.RENAME_RUN, {**records.of_run(tx, run.id), "to_name": name})
    if run.status in runs.ENDED:
        # While a run works its end vouches for what it wrote; afterwards each change does.
        facts = {"tags": dict(values)}
        events.record(tx, actor, "run.tagged", subject=f"run:{run.id}", facts=facts)


def add_inputs(
    tx: Transaction, actor: access.Actor, run_id: str, *, read: Iterable[entities.Input]
) -> None:
    """Say which data a run read; references become lineage.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        An existing run.
    read
        With the digest of what was read.

    Raises
    ------
    NotFoundError
        When there is no such run.
    """
    runs.writable(tx, actor, run_id)
    insert_inputs(tx, run_id, read=read)


def insert_inputs(tx: Transaction, run_id: str, *, read: Iterable[entities.Input]) -> None:
    """Write the inputs of a run that is known to exist; see `add_inputs`."""
    rows = [_data(tx, run_id, item) for item in read]
    if rows:
        tx.run(records.UPSERT_INPUTS, rows)
    for row in rows:
        if row["reference"]:
            lineage.connect(tx, source=row["reference"], target=f"run:{run_id}", kind="read-by")


def add_outputs(
    tx: Transaction, actor: access.Actor, run_id: str, *, made: Iterable[entities.Output]
) -> None:
    """Say what a run made; references become lineage. Raises as `add_inputs`."""
    runs.writable(tx, actor, run_id)
    rows = [_data(tx, run_id, item) for item in made]
    if rows:
        tx.run(records.UPSERT_OUTPUTS, rows)
    for row in rows:
        if row["reference"]:
            lineage.connect(tx, source=f"run:{run_id}", target=row["reference"], kind="made")


def _text_rows(
    tx: Transaction, run: Standing | entities.Run, values: Mapping[str, str]
) -> list[tuple[Any, ...]]:
    project, run_id, experiment_id = tx.project, run.id, int(run.experiment_id)
    longest = limits.LONGEST_VALUE
    return [
        (project, run_id, key, experiment_id, value[:longest], value[: records.HEAD_LENGTH])
        for key, value in values.items()
    ]


def _fields(point: entities.Metric) -> tuple[str, float, int, int, str]:
    value = point.value if point.kind == "finite" else 0.0
    return point.key, value, point.at, point.step, point.kind


def _check_keys(what: str, keys: Sequence[str]) -> None:
    try:
        for key in keys:
            limits.check_key(what, key)
    except errors.InvalidInputError:
        for place, key in enumerate(keys if len(keys) > 1 else ()):
            limits.check_key(what, key, place=_PLACES[what].format(place))
        raise


def _data(
    tx: Transaction, run_id: str, item: entities.Input | entities.Output
) -> dict[str, str]:
    return {**msgspec.structs.asdict(item), "project": tx.project, "run_id": run_id}

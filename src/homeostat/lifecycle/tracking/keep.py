"""Actions on what a run keeps: metrics, texts, data, files; part of tracking's actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from homeostat.foundation import access, errors, events, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import entities, limits, records, runs


def log_metrics(
    tx: Transaction,
    actor: access.Actor,
    run_id: str,
    *,
    points: Sequence[entities.Metric],
) -> None:
    """Add points to metrics of a run, all at once; equal points count once.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        An existing run.
    points
        Any number; `at` of 0 means now.

    Raises
    ------
    NotFoundError
        When there is no such run.
    InvalidInputError
        When a key is empty or too long.
    """
    run = runs.writable(tx, actor, run_id)
    if not points:
        return
    rows: list[dict[str, Any]] = []
    latest: dict[str, dict[str, Any]] = {}
    for point in points:
        limits.check_key("metric", point.key)
        row = {
            "project": tx.project,
            "run_id": run_id,
            "key": point.key,
            "at": point.at or tx.at,
            "step": point.step,
            "value": point.value if point.kind == "finite" else 0.0,
            "kind": point.kind,
        }
        rows.append(row)
        known = latest.get(point.key)
        if known is None or _order(row) >= _order(known):
            latest[point.key] = row
    tx.run(records.INSERT_POINTS, rows)
    tx.run(
        records.UPSERT_LATEST,
        [{**row, "experiment_id": int(run.experiment_id)} for row in latest.values()],
    )


def log_params(
    tx: Transaction, actor: access.Actor, run_id: str, *, values: Mapping[str, str]
) -> None:
    """Write parameters of a run; they never change.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        An existing run.
    values
        Text by key; a key that has the same value already is left alone.

    Raises
    ------
    NotFoundError
        When there is no such run.
    ConflictError
        When a key has another value.
    InvalidInputError
        When a key or value is too long.
    """
    run = runs.writable(tx, actor, run_id)
    found = tx.execute(records.PARAMS_OF_RUN, records.of_run(tx, run_id))
    known = {row.key: row.value for row in found}
    insert_params(tx, run, values=values, known=known)


def insert_params(
    tx: Transaction,
    run: entities.Run,
    *,
    values: Mapping[str, str],
    known: Mapping[str, str],
) -> None:
    """Write parameters of a run whose known ones the caller has read; see `log_params`."""
    for key, value in values.items():
        limits.check_key("parameter", key)
        limits.check_value("parameter", key, value)
        if known.get(key, value) != value:
            raise errors.ConflictError(
                f"parameter {key!r} of run:{run.id} is {known[key]!r}, not to become {value!r}",
                hint="parameters are written once; use a tag for what changes",
                key=key,
            )
    new = {key: value for key, value in values.items() if key not in known}
    if new:
        tx.run(records.INSERT_PARAMS, _texts(tx, run, new))


def set_tags(
    tx: Transaction, actor: access.Actor, run_id: str, *, values: Mapping[str, str]
) -> None:
    """Write tags of a run; the last value counts.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        An existing run.
    values
        Text by key.

    Raises
    ------
    NotFoundError
        When there is no such run.
    InvalidInputError
        When a key or value is too long.
    """
    run = runs.writable(tx, actor, run_id)
    for key, value in values.items():
        limits.check_key("tag", key)
        limits.check_value("tag", key, value)
    if not values:
        return
    tx.run(records.UPSERT_TAGS, _texts(tx, run, values))
    if run.status in runs.ENDED:
        # While a run works its end vouches for what it wrote; afterwards each change does.
        events.record(
            tx, actor, "run.tagged", subject=f"run:{run_id}", facts={"tags": dict(values)}
        )


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


def add_artifact(
    tx: Transaction,
    actor: access.Actor,
    run_id: str,
    *,
    path: str,
    digest: str,
    size_bytes: int,
) -> entities.Artifact:
    """Note a file of a run whose bytes are stored already, owned by `run:<id>`.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        An existing run.
    path
        Relative, forward slashes, without `..`.
    digest, size_bytes
        Of the stored blob.

    Returns
    -------
    Artifact
        As noted; the same path again replaces it.

    Raises
    ------
    NotFoundError
        When there is no such run.
    InvalidInputError
        When the path leaves the run's folder.
    """
    runs.writable(tx, actor, run_id)
    made = entities.Artifact(limits.check_path(path), digest, size_bytes, tx.at)
    row = {**msgspec.structs.asdict(made), "project": tx.project, "run_id": run_id}
    tx.run(records.UPSERT_ARTIFACT, row)
    facts = {"path": made.path, "digest": digest, "size_bytes": size_bytes}
    events.record(tx, actor, "artifact.added", subject=f"run:{run_id}", facts=facts)
    return made


def _texts(
    tx: Transaction, run: entities.Run, values: Mapping[str, str]
) -> list[dict[str, Any]]:
    return [
        {
            "project": tx.project,
            "run_id": run.id,
            "experiment_id": int(run.experiment_id),
            "key": key,
            "value": value,
            "value_head": value[: records.HEAD_LENGTH],
        }
        for key, value in values.items()
    ]


def _data(
    tx: Transaction, run_id: str, item: entities.Input | entities.Output
) -> dict[str, str]:
    return {**msgspec.structs.asdict(item), "project": tx.project, "run_id": run_id}


def _order(row: Mapping[str, Any]) -> tuple[int, int, float]:
    return row["step"], row["at"], row["value"]

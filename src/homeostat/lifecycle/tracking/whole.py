"""A run with all it keeps, as the rows it is stored in; for doors that show many of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import entities, input_records, kept_records, records

PointRow = tuple[str, float, int, int, str]
TextRow = tuple[str, str]


class WholeRun(NamedTuple):
    """One run and the plain rows of what it keeps.

    Parameters
    ----------
    run
        The run.
    metrics
        Latest points: key, value, at, step, kind.
    params, tags
        Key, value.
    datasets
        Name, digest, source type, source, schema, profile, tags as JSON.
    models
        Role (input or output), id of the logged model, step.
    """

    run: entities.Run
    metrics: list[PointRow]
    params: list[TextRow]
    tags: list[TextRow]
    datasets: list[tuple[Any, ...]]
    models: list[tuple[str, str, int]]


def read_run(tx: Transaction, actor: access.Actor, run_id: str) -> WholeRun:
    """Return a run with what it keeps, by a few prepared statements.

    Parameters
    ----------
    tx, actor
        Reading suffices, and who asks.
    run_id
        32 hexadecimal digits.

    Returns
    -------
    WholeRun
        Metrics at their latest point.

    Raises
    ------
    NotFoundError
        When there is no such run.
    """
    access.require(actor, "run.read")
    which = {"in_project": tx.project, "in_run": run_id}
    row = tx.run(records.RUN, which).fetchone()
    if row is None:
        raise errors.NotFoundError(f"Run with id={run_id} not found", run_id=run_id)
    return _sorted(tx, records.run_from(row), tx.run(kept_records.KEPT, which).fetchall())


def _sorted(tx: Transaction, run: entities.Run, rows: list[tuple[Any, ...]]) -> WholeRun:
    """Tell apart the rows of `kept_records.KEPT`."""
    metrics: list[PointRow] = []
    params: list[TextRow] = []
    tags: list[TextRow] = []
    models: list[tuple[str, str, int]] = []
    has_datasets = False
    for part, key, text, number, at, step in rows:
        if part == kept_records.METRIC:
            metrics.append((key, number, at, step, text))
        elif part == kept_records.PARAM:
            params.append((key, text))
        elif part == kept_records.TAG:
            tags.append((key, text))
        elif part == kept_records.MODEL:
            models.append((key, text, step))
        else:
            has_datasets = True
    for kept in (metrics, params, tags, models):
        kept.sort()  # a database gives the rows of several tables in any order
    datasets: list[tuple[Any, ...]] = []
    if has_datasets:
        which = {"in_project": tx.project, "in_run": run.id}
        datasets = tx.run(input_records.RUN_DATASETS, which).fetchall()
    return WholeRun(run, metrics, params, tags, datasets, models)

"""A run with all it keeps, as the rows it is stored in; for doors that show many of them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from homeostat.foundation import access, errors
from homeostat.foundation.database import Prepared, Transaction
from homeostat.lifecycle.tracking import entities, input_records, records

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
    return _sorted(tx, records.run_from(row), tx.run(_KEPT, which).fetchall())


def _sorted(tx: Transaction, run: entities.Run, rows: list[tuple[Any, ...]]) -> WholeRun:
    """Tell apart the rows of `_KEPT`."""
    metrics: list[PointRow] = []
    params: list[TextRow] = []
    tags: list[TextRow] = []
    models: list[tuple[str, str, int]] = []
    has_datasets = False
    for part, key, text, number, at, step in rows:
        if part == _METRIC:
            metrics.append((key, number, at, step, text))
        elif part == _PARAM:
            params.append((key, text))
        elif part == _TAG:
            tags.append((key, text))
        elif part == _MODEL:
            models.append((key, text, step))
        else:
            has_datasets = True
    datasets: list[tuple[Any, ...]] = []
    if has_datasets:
        which = {"in_project": tx.project, "in_run": run.id}
        datasets = tx.run(input_records.RUN_DATASETS, which).fetchall()
    return WholeRun(run, metrics, params, tags, datasets, models)


_METRIC, _PARAM, _TAG, _MODEL, _DATASET = range(5)


def _part(part: int, table: sa.Table, key: str, text: str, **numbers: str) -> sa.Select[Any]:
    nothing = {"number": sa.Float, "at": sa.BigInteger, "step": sa.BigInteger}
    return sa.select(
        sa.literal_column(str(part)),
        table.c[key],
        table.c[text],
        *(
            table.c[numbers[name]] if name in numbers else sa.cast(sa.null(), kind)
            for name, kind in nothing.items()
        ),
    ).where(table.c.project == records.IN_PROJECT, table.c.run_id == records.IN_RUN)


# One statement for all that a run keeps: five would cost three times as much as their rows.
_KEPT: Final = Prepared(
    sa.union_all(
        _part(
            *(_METRIC, records.latest_metrics, "key", "kind"),
            number="value",
            at="at",
            step="step",
        ),
        _part(_PARAM, records.params, "key", "value"),
        _part(_TAG, records.tags, "key", "value"),
        _part(_MODEL, input_records.run_models, "role", "model_id", step="step"),
        _part(_DATASET, input_records.run_datasets, "name", "digest"),
    )
)

"""What runs of a page keep, read for all of them together; called by runs' search and reads."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any, Final

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import entities, records, whole
from homeostat.lifecycle.tracking.search_statement import Statement

_FIELDS: Final = ", ".join(f'r."{column.name}"' for column in records.runs.columns)
# Number of the part, table, and what stands in it; in the order of `whole.WholeRun`.
_PARTS: Final = (
    "SELECT 0, c.run_id, c.key, c.kind, c.value, c.at, c.step FROM latest_metrics",
    "SELECT 1, c.run_id, c.key, c.value, 0.0, 0, 0 FROM params",
    "SELECT 2, c.run_id, c.key, c.value, 0.0, 0, 0 FROM tags",
    "SELECT 3, c.run_id, c.role, c.model_id, 0.0, c.created_at, c.step FROM run_models",
    "SELECT 4, c.run_id, c.name, c.digest, 0.0, 0, 0 FROM run_datasets",
)
_KEY: Final = operator.itemgetter(0)


def by_id(tx: Transaction, ids: Sequence[str]) -> list[entities.Run]:
    """Read runs.

    Parameters
    ----------
    tx
        Reading suffices.
    ids
        Any number.

    Returns
    -------
    list of Run
        In the same order, without those that do not exist.
    """
    if not ids:
        return []
    made = Statement(tx)
    among = made.among("r.id", ids)
    rows = made.rows("SELECT", _FIELDS, "FROM runs r WHERE r.project = :project AND", among)
    found = {run.id: run for run in map(records.run_from, rows)}
    return [found[run_id] for run_id in ids if run_id in found]


def whole_runs(tx: Transaction, found: Sequence[entities.Run]) -> list[whole.WholeRun]:
    """Read what some runs keep, two or three statements for all.

    Parameters
    ----------
    tx
        Reading suffices.
    found
        Runs.

    Returns
    -------
    list of WholeRun
        In the same order; metrics, params and tags by key.
    """
    if not found:
        return []
    made = Statement(tx)
    among = made.among("c.run_id", [run.id for run in found])
    parts = (f"{part} c WHERE c.project = :project AND {among}" for part in _PARTS)
    kept = {run.id: whole.WholeRun(run, [], [], [], [], []) for run in found}
    readers = set()
    for part, run_id, key, text, number, at, step in made.rows(" UNION ALL ".join(parts)):
        of = kept[run_id]
        if part == 0:
            of.metrics.append((key, number, at, step, text))
        elif part == 1:
            of.params.append((key, text))
        elif part == 2:  # noqa: PLR2004 - as in _PARTS
            of.tags.append((key, text))
        elif part == 3:  # noqa: PLR2004 - as in _PARTS
            of.models.append((key, text, step))
        else:
            readers.add(run_id)
    for run_id, row in _datasets(tx, sorted(readers)):
        kept[run_id].datasets.append(row)
    for one in kept.values():
        one.metrics.sort(key=_KEY)
        one.params.sort(key=_KEY)
        one.tags.sort(key=_KEY)
    return [kept[run.id] for run in found]


def _datasets(tx: Transaction, ids: Sequence[str]) -> list[tuple[str, tuple[Any, ...]]]:
    if not ids:
        return []
    made = Statement(tx)
    rows = made.rows(
        "SELECT c.run_id, d.name, d.digest, d.source_type, d.source, d.schema, d.profile,",
        "c.tags",
        "FROM run_datasets c JOIN logged_datasets d ON d.project = c.project",
        "AND d.experiment_id = c.experiment_id AND d.name = c.name AND d.digest = c.digest",
        "WHERE c.project = :project AND",
        made.among("c.run_id", ids),
        "ORDER BY c.run_id, c.name, c.digest",
    )
    return [(row[0], row[1:]) for row in rows]


def records_of(
    tx: Transaction, found: Sequence[entities.Run]
) -> tuple[entities.RunRecord, ...]:
    """Read runs as the native API shows them, without artifacts, inputs and outputs.

    Parameters
    ----------
    tx
        Reading suffices.
    found
        Runs.

    Returns
    -------
    tuple of RunRecord
        In the same order.
    """
    return tuple(
        entities.RunRecord(
            run=one.run,
            metrics=tuple(itertools.starmap(entities.Metric, one.metrics)),
            params=tuple(entities.Param(*row) for row in one.params),
            tags=tuple(entities.Tag(*row) for row in one.tags),
        )
        for one in whole_runs(tx, found)
    )

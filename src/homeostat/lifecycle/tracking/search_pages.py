"""A page of runs with what they keep, near to the form in which doors show it.

Called by doors that show many runs at once. Params and tags are put together by the database,
as JSON: most rows of a page are theirs, and a row each costs more than all else. Numbers are
not, for not every database writes a double so that it is read back the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from homeostat.foundation.database import Prepared, Transaction
from homeostat.lifecycle.tracking import input_records
from homeostat.lifecycle.tracking.search_statement import prepared

NONE: Final = "[]"
"""What stands for no params or no tags."""

Point = tuple[str, float, int, int, str, int]
"""Key, value, at, step, kind; and the place of its run on the page."""


class Head(NamedTuple):
    """What is known of a run itself; fields as those of `entities.Run`."""

    id: str
    experiment_id: str
    name: str
    user: str
    status: str
    started_at: int
    ended_at: int | None
    artifact_root: str
    lifecycle_stage: str


class PageRun(NamedTuple):
    """One run of a page.

    Parameters
    ----------
    run
        The run.
    metrics
        Latest points by key.
    params, tags
        JSON: a list of objects with ``key`` and ``value``, by key.
    datasets, models
        As in `whole.WholeRun`.
    """

    run: Head
    metrics: list[Point]
    params: str
    tags: str
    datasets: list[tuple[Any, ...]]
    models: list[tuple[str, str, int]]


def read_page(tx: Transaction, ids: Sequence[str]) -> list[PageRun]:
    """Read some runs with what they keep, by two statements for most pages.

    Parameters
    ----------
    tx
        Reading suffices.
    ids
        Of runs that exist.

    Returns
    -------
    list of PageRun
        In the same order.
    """
    if not ids:
        return []
    listed: Any = json.dumps(ids) if tx.dialect == "sqlite" else list(ids)
    which = {"project": tx.project, "ids": listed}
    rows = tx.run(_HEADS[tx.dialect], which).fetchall()
    page = [PageRun(Head._make(row[:9]), [], row[9], row[10], [], []) for row in rows]
    kept = [one.metrics for one in page]
    for row in tx.run(_POINTS[tx.dialect], which).fetchall():
        kept[row[5]].append(row)
    if any(row[11] for row in rows):
        for row in tx.run(_MODELS[tx.dialect], which).fetchall():
            page[row[3]].models.append(row[:3])
    for one, row in zip(page, rows, strict=True):
        if row[12]:
            of_run = {"in_project": tx.project, "in_run": one.run.id}
            one.datasets.extend(tx.run(input_records.RUN_DATASETS, of_run).fetchall())
    return page


_LISTED: Final = {
    "sqlite": "(SELECT value AS id, key AS n FROM json_each(:ids)) j",
    "postgresql": (
        "(SELECT u.id, CAST(u.n AS integer) - 1 AS n"
        " FROM unnest(CAST(:ids AS text[])) WITH ORDINALITY AS u(id, n)) j"
    ),
}
_TEXTS: Final = {
    # The rows come by key: it is the end of the primary key, the one index that fits.
    "sqlite": "(SELECT json_group_array(json_object('key', c.key, 'value', c.value))",
    "postgresql": (
        "(SELECT coalesce(CAST(json_agg(json_build_object('key', c.key, 'value', c.value)"
        " ORDER BY c.key COLLATE \"C\") AS text), '[]')"
    ),
}
_OF_RUN: Final = "c WHERE c.project = :project AND c.run_id = j.id"


def _heads(dialect: str) -> Prepared:
    texts = (f"{_TEXTS[dialect]} FROM {table} {_OF_RUN})" for table in ("params", "tags"))
    held = (
        f"EXISTS (SELECT 1 FROM {table} {_OF_RUN})"  # noqa: S608 - fixed words
        for table in ("run_models", "run_datasets")
    )
    return prepared(
        'SELECT r.id, CAST(r.experiment_id AS text), r.name, r."user", r.status,'  # noqa: S608 - fixed words
        " r.started_at, r.ended_at, r.artifact_root, r.lifecycle_stage,"
        f" {', '.join((*texts, *held))} FROM {_LISTED[dialect]} CROSS JOIN runs r"
        f" WHERE r.project = :project AND r.id = j.id{_sorted(dialect, 'j.n')}"
    )


def _of_page(dialect: str, table: str, names: str, order: str) -> Prepared:
    return prepared(
        f"SELECT {names}, j.n FROM {_LISTED[dialect]} CROSS JOIN {table} {_OF_RUN}"  # noqa: S608 - fixed words
        + _sorted(dialect, f"j.n, {order}")
    )


def _sorted(dialect: str, order: str) -> str:
    # SQLite takes CROSS JOIN by its word: it goes through the list, then through the index of
    # the other table, and the rows are in this order already.
    return "" if dialect == "sqlite" else f" ORDER BY {order}"


_DIALECTS: Final = ("sqlite", "postgresql")
_HEADS: Final = {dialect: _heads(dialect) for dialect in _DIALECTS}
_POINTS: Final = {
    dialect: _of_page(
        *(dialect, "latest_metrics", "c.key, c.value, c.at, c.step, c.kind"),
        'c.key COLLATE "C"',
    )
    for dialect in _DIALECTS
}
_MODELS: Final = {
    dialect: _of_page(
        *(dialect, "run_models", "c.role, c.model_id, c.step"),
        'c.role COLLATE "C", c.model_id COLLATE "C"',
    )
    for dialect in _DIALECTS
}

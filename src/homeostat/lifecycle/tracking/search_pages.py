"""A page of runs with what they keep, near to the form in which doors show it.

Called by doors that show many runs at once. Params and tags are put together by the database,
as JSON: most rows of a page are theirs, and a row each costs more than all else. Numbers are
not, for not every database writes a double so that it is read back the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

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
    listed: Any = list(ids)
    if tx.dialect == "sqlite":
        listed = msgspec.json.encode(listed).decode()
    which = {"project": tx.project, "ids": listed}
    rows = tx.run(_HEADS[tx.dialect], which).fetchall()
    page = [PageRun(Head._make(row[:9]), [], row[9], row[10], [], []) for row in rows]
    kept = [one.metrics for one in page]
    for row in tx.run(_KEPT[tx.dialect], which).fetchall():
        if row[1] is not None:
            kept[row[5]].append(row)
        elif row[4]:
            page[row[5]].models.append((row[4], row[0], row[3]))
        elif not page[row[5]].datasets:
            of_run = {"in_project": tx.project, "in_run": page[row[5]].run.id}
            found = tx.run(input_records.RUN_DATASETS, of_run).fetchall()
            page[row[5]].datasets.extend(found)
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
    return prepared(
        'SELECT r.id, CAST(r.experiment_id AS text), r.name, r."user", r.status,'  # noqa: S608 - fixed words
        " r.started_at, r.ended_at, r.artifact_root, r.lifecycle_stage,"
        f" {', '.join(texts)} FROM {_LISTED[dialect]} CROSS JOIN runs r"
        f" WHERE r.project = :project AND r.id = j.id{_sorted(dialect, 'j.n')}"
    )


def _kept(dialect: str) -> Prepared:
    """All else that runs keep: points, then models (no value; role), then data (neither)."""
    nothing = "CAST(NULL AS double precision)"
    parts = {
        "latest_metrics": "c.key, c.value, c.at, c.step, c.kind",
        "run_models": f"c.model_id, {nothing}, c.created_at, c.step, c.role",
        "run_datasets": f"c.digest, {nothing}, 0, 0, ''",
    }
    words = " UNION ALL ".join(
        f"SELECT {names}, j.n FROM {_LISTED[dialect]} CROSS JOIN {table} {_OF_RUN}"  # noqa: S608 - fixed words
        for table, names in parts.items()
    )
    if dialect != "sqlite":
        role = "CASE WHEN value IS NULL THEN kind ELSE '' END"
        words = (
            f"SELECT * FROM ({words}) x"  # noqa: S608 - fixed words
            f' ORDER BY n, {role} COLLATE "C", key COLLATE "C"'
        )
    return prepared(words)


def _sorted(dialect: str, order: str) -> str:
    # SQLite takes CROSS JOIN by its word: it goes through the list, then through the index of
    # the other table, and the rows are in this order already.
    return "" if dialect == "sqlite" else f" ORDER BY {order}"


_DIALECTS: Final = ("sqlite", "postgresql")
_HEADS: Final = {dialect: _heads(dialect) for dialect in _DIALECTS}
_KEPT: Final = {dialect: _kept(dialect) for dialect in _DIALECTS}

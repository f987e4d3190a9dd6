"""The SQL of the search for experiments; called by that search only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import comparing, entities, experiments, language, records

COLUMNS: Final = {
    "name": records.experiments.c.name,
    "experiment_id": records.experiments.c.id,
    "creation_time": records.experiments.c.created_at,
    "last_update_time": records.experiments.c.updated_at,
}
"""What they are searched and ordered by."""


def terms(tx: Transaction, orders: Sequence[language.Order]) -> list[comparing.Term]:
    """Return what experiments are ordered by, ending with what is unique."""
    found: list[comparing.Term] = []
    for one in orders:
        kind: type = str if one.key == "name" else int
        column = comparing.sortable(tx, COLUMNS[one.key], kind)
        found.append(comparing.Term(column, ascending=one.ascending, kind=kind))
    if all(one.key != "experiment_id" for one in orders):
        found.append(comparing.Term(records.experiments.c.id, ascending=False, kind=int))
    return found


def holds(tx: Transaction, one: language.Condition) -> sa.ColumnElement[bool]:
    """Return a condition on experiments as SQL."""
    if one.subject == "tag":
        return _tag_holds(tx, one)
    value: Any = one.value
    if one.key == "experiment_id":
        value = tuple(map(_number, value)) if isinstance(value, tuple) else _number(str(value))
    return comparing.holds(tx, COLUMNS[one.key], one.comparator, value)


def _number(text: str) -> int:
    try:
        return experiments.number_of(text)
    except errors.NotFoundError:
        return -1  # beyond all ids there are


def _tag_holds(tx: Transaction, one: language.Condition) -> sa.ColumnElement[bool]:
    tags = records.experiment_tags
    kept = sa.exists().where(
        tags.c.project == tx.project,
        tags.c.experiment_id == records.experiments.c.id,
        tags.c.key == one.key,
    )
    if one.comparator == "IS NULL":
        return ~kept
    if one.comparator == "IS NOT NULL":
        return kept
    return kept.where(comparing.holds(tx, tags.c.value, one.comparator, one.value))


def with_tags(
    tx: Transaction, found: Sequence[entities.Experiment]
) -> tuple[entities.ExperimentRecord, ...]:
    """Read the tags of some experiments, by one statement for all."""
    tags = records.experiment_tags
    rows = tx.execute(
        sa.select(tags.c.experiment_id, tags.c.key, tags.c.value)
        .where(
            tags.c.project == tx.project,
            tags.c.experiment_id.in_([int(one.id) for one in found]),
        )
        .order_by(tags.c.key)
    )
    of: dict[str, list[entities.Tag]] = {}
    for row in rows:
        of.setdefault(str(row.experiment_id), []).append(entities.Tag(row.key, row.value))
    return tuple(
        entities.ExperimentRecord(experiment=one, tags=tuple(of.get(one.id, ())))
        for one in found
    )

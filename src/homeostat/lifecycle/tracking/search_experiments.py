"""The search for experiments as MLflow's clients ask for it; part of tracking's actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import (
    comparing,
    entities,
    experiments,
    language,
    records,
    search,
    search_runs,
    tokens,
)

_COLUMNS: Final = {
    "name": records.experiments.c.name,
    "experiment_id": records.experiments.c.id,
    "creation_time": records.experiments.c.created_at,
    "last_update_time": records.experiments.c.updated_at,
}
FIELDS: Final = language.Fields(
    attributes={
        "name": language.TEXT,
        "experiment_id": language.IDENTITY,
        "creation_time": language.WHOLE,
        "last_update_time": language.WHOLE,
    },
    tags=language.NULLABLE,
    orders=frozenset(_COLUMNS),
    repeats=True,
)
_NEWEST: Final = (
    language.Order("attribute", "creation_time", ascending=False),
    language.Order("attribute", "experiment_id", ascending=True),
)


class ExperimentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some experiments.

    Parameters
    ----------
    experiments
        With their tags.
    next
        Give it as `after` to get the page behind; empty on the last one.
    """

    experiments: tuple[entities.ExperimentRecord, ...]
    next: str = ""


def find_experiments(
    tx: Transaction,
    actor: access.Actor,
    *,
    condition: str = "",
    order: Sequence[str] = (),
    stages: Sequence[str] = search.ACTIVE,
    limit: int = 1000,
    after: str = "",
) -> ExperimentPage:
    """Return the experiments of one page.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    condition
        In the language of filters, such as ``name LIKE 'credit%' AND tags.team = 'risk'``.
    order
        Such as ``name ASC``; the newest first when empty.
    stages
        `search.ACTIVE`, `search.DELETED` or `search.ANY_STAGE`.
    limit
        Most experiments on the page, 1 to 50,000.
    after
        Token of the page before, or empty.

    Returns
    -------
    ExperimentPage
        In order.

    Raises
    ------
    InvalidInputError
        When the condition, the order, the limit or `after` cannot be right.
    """
    access.require(actor, "run.read")
    search_runs.check_limit(limit)
    table = records.experiments
    terms = _terms(tx, language.order(order, FIELDS) or _NEWEST)
    question = [condition, list(order), sorted(stages)]
    place = comparing.checked_place(tokens.read(after, question), terms)
    asked = sa.select(table, *(term.value for term in terms)).where(
        table.c.project == tx.project,
        table.c.lifecycle_stage.in_(list(stages)),
        *(_holds(tx, one) for one in language.parse(condition, FIELDS)),
    )
    if place is not None:
        asked = asked.where(comparing.behind(terms, place))
    asked = asked.order_by(*comparing.ordering(terms)).limit(limit + 1)
    rows = [tuple(row) for row in tx.execute(asked)]
    width = len(table.c)
    more = len(rows) > limit
    return ExperimentPage(
        experiments=_with_tags(
            tx, [records.experiment_from(row[:width]) for row in rows[:limit]]
        ),
        next=tokens.make(question, rows[limit - 1][width:]) if more else "",
    )


def _terms(tx: Transaction, orders: Sequence[language.Order]) -> list[comparing.Term]:
    found: list[comparing.Term] = []
    for one in orders:
        kind: type = str if one.key == "name" else int
        column = comparing.sortable(tx, _COLUMNS[one.key], kind)
        found.append(comparing.Term(column, ascending=one.ascending, kind=kind))
    if all(one.key != "experiment_id" for one in orders):
        found.append(comparing.Term(records.experiments.c.id, ascending=False, kind=int))
    return found


def _holds(tx: Transaction, one: language.Condition) -> sa.ColumnElement[bool]:
    if one.subject == "tag":
        return _tag_holds(tx, one)
    value: Any = one.value
    if one.key == "experiment_id":
        value = tuple(map(_number, value)) if isinstance(value, tuple) else _number(str(value))
    return comparing.holds(tx, _COLUMNS[one.key], one.comparator, value)


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


def _with_tags(
    tx: Transaction, found: Sequence[entities.Experiment]
) -> tuple[entities.ExperimentRecord, ...]:
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

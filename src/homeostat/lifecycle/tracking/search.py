"""Finding runs: filters, orders, page by page; called by tracking's actions and the doors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import (
    entities,
    language,
    search_conditions,
    search_memory,
    search_orders,
    search_planning,
    search_plans,
    search_short,
    search_values,
    tokens,
)
from homeostat.lifecycle.tracking.search_statement import Statement

ACTIVE: Final = ("active",)
DELETED: Final = ("deleted",)
ANY_STAGE: Final = ("active", "deleted")
_ATTRIBUTES: Final = {"name": "run_name", "user": "user_id"}
_NATIVE: Final = ("status", "name", "user", "pipeline")
_NEWEST: Final = tuple(
    # Ids made here tell the order of runs that began in the same millisecond.
    language.Order("attribute", key, ascending=False)
    for key in ("start_time", "run_id")
)


def find(
    tx: Transaction,
    *,
    experiments: Sequence[int],
    conditions: Sequence[language.Condition] = (),
    orders: Sequence[language.Order] = (),
    stages: Sequence[str] = ACTIVE,
    limit: int,
    after: str = "",
) -> tuple[list[str], str]:
    """Return the ids of the runs of one page.

    Parameters
    ----------
    tx
        Reading suffices.
    experiments
        Only runs of these; none are found when it is empty.
    conditions
        All must hold; attributes are those of `search_conditions.ATTRIBUTES`.
    orders
        The most important first; then come the newest, then by id.
    stages
        `ACTIVE`, `DELETED` or `ANY_STAGE`.
    limit
        Most runs on the page, 1 or more.
    after
        Token of the page before, or empty.

    Returns
    -------
    tuple
        Ids in order, and the token of the page behind, empty on the last one.

    Raises
    ------
    InvalidInputError
        When the token is none, or one of another question.
    """
    place = None
    if after:
        question = _question(experiments, conditions, orders, stages)
        place = search_orders.checked(tokens.read(after, question), orders)
    if not experiments:
        return [], ""
    asked = search_plans.Question(
        experiments=tuple(dict.fromkeys(experiments)),
        stages=tuple(stages),
        needs=search_conditions.needs_of(conditions),
        orders=tuple(orders),
    )
    rows = search_short.first_runs(tx, asked, place=place, limit=limit + 1)
    if rows is None and asked.needs:
        rows = search_memory.first_runs(tx, asked, place=place, limit=limit + 1, may_read=False)
    if rows is None:
        rows = search_planning.first_runs(tx, asked, place=place, limit=limit + 1)
    shown = [run_id for run_id, _ in rows[:limit]]
    if len(rows) <= limit:
        return shown, ""
    question = _question(experiments, conditions, orders, stages)
    return shown, tokens.make(question, rows[limit - 1][1])


def _question(
    experiments: Sequence[int],
    conditions: Sequence[language.Condition],
    orders: Sequence[language.Order],
    stages: Sequence[str],
) -> list[Any]:
    """Return all that a token stands for."""
    return [sorted(experiments), list(conditions), list(orders), sorted(stages)]


def runs(
    tx: Transaction,
    *,
    experiment_ids: Sequence[int],
    where: Sequence[entities.Filter],
    limit: int,
    after: str,
) -> entities.Page:
    """Return active runs that fulfil every filter.

    Parameters
    ----------
    tx
        Reading suffices.
    experiment_ids
        All when empty.
    where
        Conditions.
    limit
        Most runs returned.
    after
        `next` of the page before, or empty.

    Returns
    -------
    Page
        Newest first.

    Raises
    ------
    InvalidInputError
        When a filter or `after` cannot be right.
    """
    chosen = list(experiment_ids) or [
        row[0]
        for row in Statement(tx).rows("SELECT id FROM experiments WHERE project = :project")
    ]
    ids, behind = find(
        tx,
        experiments=chosen,
        conditions=[_condition(one) for one in where],
        orders=_NEWEST,
        limit=limit,
        after=after,
    )
    return entities.Page(runs=with_values(tx, search_values.by_id(tx, ids)), next=behind)


def with_values(
    tx: Transaction, found: Sequence[entities.Run]
) -> tuple[entities.RunRecord, ...]:
    """Read the latest metrics, params and tags of some runs; see `search_values.records_of`."""
    return search_values.records_of(tx, found)


def _condition(one: entities.Filter) -> language.Condition:
    """Say a native filter in the language of all searches."""
    if one.subject == "run":
        if one.key not in _NATIVE:
            raise errors.InvalidInputError(
                f"runs are not searched by {one.key!r}",
                hint=f"by {', '.join(_NATIVE)}, or by metric, param and tag",
            )
        value = str(one.value)
        held = value.upper() if one.key == "status" else value
        return language.Condition(
            "attribute", _ATTRIBUTES.get(one.key, one.key), one.comparator, held
        )
    if one.subject != "metric":
        return language.Condition(one.subject, one.key, one.comparator, str(one.value))
    try:
        number = float(one.value)
    except ValueError:
        number = float("nan")
    if math.isnan(number):
        raise errors.InvalidInputError(
            f"metric {one.key!r} is compared with a number; got {one.value!r}"
        )
    return language.Condition("metric", one.key, one.comparator, number)

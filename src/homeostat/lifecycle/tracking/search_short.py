"""The short way of a search over runs: one statement where few runs have to be looked at.

Called by `search.find` before any plan is made. Most experiments are small and most filters
name a value that few runs have; then planning costs more than the answer. The statement itself
makes sure that it looks at few runs: where there are more it gives nothing, and a plan is made.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import search_conditions, search_orders, search_plans
from homeostat.lifecycle.tracking.search_conditions import Need
from homeostat.lifecycle.tracking.search_plans import Question, Row
from homeostat.lifecycle.tracking.search_statement import Place, Ready, Statement

MOST: Final = 500
"""Runs that are looked at without a plan."""
_KEPT: Final = 256
_LONGEST_KEPT: Final = 1000
"""Characters and numbers in a question whose statement is kept."""
_RARE_FIRST: Final = ("=", "IN", "BEGINS", "LIKE")


def first_runs(
    tx: Transaction, asked: Question, *, place: Sequence[Any] | None, limit: int
) -> list[Row] | None:
    """Return the first runs behind a place, if that is quickly done.

    Parameters
    ----------
    tx
        Reading suffices.
    asked
        The question.
    place
        Where the page before ended; None for the first page.
    limit
        Most rows returned.

    Returns
    -------
    list of Row or None
        In order; None where a plan is needed.
    """
    if asked.orders and not asked.needs:
        return None  # the index of the order gives the first ones without a look at the rest
    where = Place(tx.dialect, tx.project)
    if place is None and _is_plain(asked):
        made = _kept(where, asked, None)
    else:
        made = _made(where, asked, None if place is None else tuple(place))
    rows = made.rows(tx, limit=limit, most=MOST)
    if not rows and not is_newest(asked):
        return None
    return [(row[0], list(row[1:])) for row in rows]


def is_newest(asked: Question) -> bool:
    """Tell whether the runs stand in one stretch of an index as they are asked for."""
    is_one = len(asked.experiments) == len(asked.stages) == 1
    return is_one and not asked.needs and not asked.orders


def _is_plain(asked: Question) -> bool:
    """Tell whether a question is small enough for its statement to be kept."""
    size = len(asked.experiments) + len(asked.orders)
    for need in asked.needs:
        for one in need.conditions:
            size += len(one.key) + (len(one.value) if isinstance(one.value, str | tuple) else 1)
    return size <= _LONGEST_KEPT


def _made(where: Place, asked: Question, place: tuple[Any, ...] | None) -> Ready:
    made = Statement(where)
    terms = search_orders.terms(made, asked.orders)
    start, run, needs = "runs r", "r.id", asked.needs
    held = ["r.project = :project"]
    if not is_newest(asked):
        source, run, needs = _source(made, asked)
        # CROSS: the database is to take this road and not look for another.
        start = f"{source} CROSS JOIN runs r"
        held.append("r.id = x.run_id")
    held.append(made.among("r.experiment_id", asked.experiments))
    held.extend(search_plans.holds(made, needs, run))
    held.append(made.among("r.lifecycle_stage", asked.stages))
    if place is not None:
        held.append(search_orders.behind(made, terms, place))
        if is_newest(asked):
            # Implied by the words before; with them the index is entered at the place.
            held.append(f"r.started_at <= {made.bind(place[0])}")
    return made.ready(
        "SELECT r.id,",
        ", ".join(term.words for term in terms),
        "FROM",
        start,
        search_orders.joins(made, asked.orders),
        "WHERE",
        " AND ".join(held),
        "ORDER BY",
        search_orders.ordering(terms),
        "LIMIT :limit",
    )


_kept = functools.lru_cache(maxsize=_KEPT)(_made)


def _source(made: Statement, asked: Question) -> tuple[str, str, tuple[Need, ...]]:
    """Return the runs to look at, as a statement, what their id is called, and needs left."""
    for need in sorted(asked.needs, key=_rarity):
        span = search_conditions.span_of(made, need, asked.experiments)
        if span is not None:
            left = tuple(one for one in asked.needs if one is not need or not span.is_exact)
            found = _if_short(span.select(span.run), span.select("1 AS one"))
            return found, "x.run_id", left
    inside = made.among("c.experiment_id", asked.experiments)
    here = f"FROM runs c WHERE c.project = :project AND {inside}"
    found = _if_short(f"SELECT c.id AS run_id {here}", f"SELECT 1 AS one {here}")
    return found, "x.run_id", asked.needs


def _if_short(wanted: str, counted: str) -> str:
    """Return sources that give rows if they are few, and else none."""
    # As a source of one row or none it is looked at once; as a condition SQLite would ask it
    # of every row.
    return (
        f"(SELECT 1 WHERE (SELECT count(*) FROM (SELECT one FROM ({counted}) y LIMIT :most) z)"  # noqa: S608 - fixed words
        f" < :most) few CROSS JOIN ({wanted}) x"
    )


def _rarity(need: Need) -> int:
    """Guess how rare what fulfils a need is, from its comparisons alone."""
    found = [
        _RARE_FIRST.index(one.comparator)
        for one in need.conditions
        if one.comparator in _RARE_FIRST
    ]
    return min(found, default=len(_RARE_FIRST))

"""Plans of runs' search: sort the few that may be it, or walk along the order until enough.

Called by `search.find`, which chooses between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import language, search_conditions, search_orders
from homeostat.lifecycle.tracking.search_statement import Statement

Row = tuple[str, list[Any]]
"""A run's id, and its place in the order."""


class Question(NamedTuple):
    """Which runs are asked for, in what order.

    Parameters
    ----------
    experiments
        One or more.
    stages
        active, deleted or both.
    needs
        All must be fulfilled.
    orders
        The most important first.
    """

    experiments: tuple[int, ...]
    stages: tuple[str, ...]
    needs: tuple[search_conditions.Need, ...]
    orders: tuple[language.Order, ...]


def sorted_runs(
    tx: Transaction,
    asked: Question,
    *,
    place: Sequence[Any] | None,
    limit: int,
    source: search_conditions.Need | None = None,
    among: Sequence[str] | None = None,
) -> list[Row]:
    """Check runs, sort those that fulfil all needs and return the first ones.

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
    source
        A need with a span; only the runs in it are looked at.
    among
        Only runs with these ids are looked at.

    Returns
    -------
    list of Row
        In order.
    """
    made = Statement(tx)
    terms = search_orders.terms(made, asked.orders)
    run = "r.id"
    start = "runs r"
    held = ["r.project = :project"]
    if source is not None:
        span = search_conditions.span_of(made, source, asked.experiments)
        assert span is not None
        # CROSS: the database is to take this road and not look for another.
        start = f"({span.select(span.run)}) x CROSS JOIN runs r"
        run = "x.run_id"
        held.append("r.id = x.run_id")
    if among is not None:
        held.append(made.among("r.id", list(among)))
    held.append(made.among("r.experiment_id", asked.experiments))
    held.extend(_holds(made, asked, run))
    held.append(made.among("r.lifecycle_stage", asked.stages))
    if place is not None:
        held.append(search_orders.behind(made, terms, place))
    rows = made.rows(
        "SELECT r.id,",
        ", ".join(term.words for term in terms),
        "FROM",
        start,
        search_orders.joins(made, asked.orders),
        "WHERE",
        " AND ".join(held),
        "ORDER BY",
        search_orders.ordering(terms),
        f"LIMIT {made.bind(limit)}",
    )
    return [(row[0], list(row[1:])) for row in rows]


def _holds(made: Statement, asked: Question, run: str) -> list[str]:
    return [
        search_conditions.run_holds(made, need)
        if need.subject == "attribute"
        else search_conditions.kept_holds(made, need, run)
        for need in asked.needs
    ]


def count(
    tx: Transaction, asked: Question, need: search_conditions.Need, *, at_most: int
) -> int | None:
    """Count the runs in the span of a need, no further than to a cap.

    Parameters
    ----------
    tx
        Reading suffices.
    asked
        The question.
    need
        One of its needs.
    at_most
        The cap.

    Returns
    -------
    int or None
        `at_most` when there are as many or more; None when the need has no span.
    """
    made = Statement(tx)
    span = search_conditions.span_of(made, need, asked.experiments)
    if span is None:
        return None
    inner = span.select("1 AS one")
    rows = made.rows(
        "SELECT count(*) FROM (SELECT one FROM",
        f"({inner}) y",
        f"LIMIT {made.bind(at_most)}) z",
    )
    return int(rows[0][0])

"""Parts of runs' search: the question, counting what may be it, and sorting it.

Called by the planning of runs' search.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
    n_fixed
        Leading orders that are the same for all runs that fulfil the needs; one more than
        there are when these also began together.
    """

    experiments: tuple[int, ...]
    stages: tuple[str, ...]
    needs: tuple[search_conditions.Need, ...]
    orders: tuple[language.Order, ...]
    n_fixed: int = 0

    @property
    def leading(self) -> language.Order | None:
        """What decides first; None for the newest first."""
        return self.orders[self.n_fixed] if self.n_fixed < len(self.orders) else None

    def narrowed(self, *needs: search_conditions.Need) -> Question:
        """Return the question for runs that fulfil these needs too, its leading order fixed."""
        return self._replace(needs=(*needs, *self.needs), n_fixed=self.n_fixed + 1)


def sorted_runs(
    tx: Transaction,
    asked: Question,
    *,
    place: Sequence[Any] | None,
    limit: int,
    source: search_conditions.Need | None = None,
    among: Collection[str] | None = None,
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
        start = f"{made.listed(among)} x CROSS JOIN runs r"
        run = "x.value"
        held.append("r.id = x.value")
    held.append(made.among("r.experiment_id", asked.experiments))
    held.extend(holds(made, asked.needs, run))
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


def holds(made: Statement, needs: Sequence[search_conditions.Need], run: str) -> list[str]:
    """Return the conditions that a run called ``r`` fulfils needs; `run` stands for its id."""
    return [
        search_conditions.run_holds(made, need)
        if need.subject == "attribute"
        else search_conditions.kept_holds(made, need, run)
        for need in needs
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


def ids_in(tx: Transaction, asked: Question, need: search_conditions.Need) -> list[str]:
    """Return the runs in the span of a need.

    Parameters
    ----------
    tx
        Reading suffices.
    asked
        The question.
    need
        One of its needs, with a span.

    Returns
    -------
    list of str
        Their ids, in no order.
    """
    made = Statement(tx)
    span = search_conditions.span_of(made, need, asked.experiments)
    assert span is not None
    joined = "group_concat(run_id" if made.is_sqlite else "string_agg(run_id"
    # One long text costs a fraction of a row for each id.
    rows = made.rows("SELECT", joined, ", ',') FROM (", span.select(span.run), ") y")
    return str(rows[0][0]).split(",") if rows[0][0] else []


def has_gaps(tx: Transaction, asked: Question, table: str, *, key: str) -> bool:
    """Tell whether some runs of the experiments lack a key.

    Parameters
    ----------
    tx
        Reading suffices.
    asked
        The question.
    table
        Of metrics, params or tags.
    key
        What they may lack.

    Returns
    -------
    bool
        False when each run has it.
    """
    made = Statement(tx)
    inside = made.among("c.experiment_id", asked.experiments)
    here = f"c WHERE c.project = :project AND {inside}"
    rows = made.rows(
        *("SELECT (SELECT count(*) FROM runs", here, ") - (SELECT count(*) FROM", table),
        *(here, f"AND c.key = {made.bind(key)})"),
    )
    return bool(rows[0][0])


def is_exact(tx: Transaction, asked: Question, need: search_conditions.Need) -> bool:
    """Tell whether all runs in the span of a need fulfil it."""
    span = search_conditions.span_of(Statement(tx), need, asked.experiments)
    return span is not None and span.is_exact

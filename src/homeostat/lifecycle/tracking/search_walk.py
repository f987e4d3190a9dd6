"""Walking along the index of an order, from its first run on, until a page is full.

Called by the plans of runs' search. A walk gives run ids in groups of equal values; the plans
put each group in its final order.
"""

from __future__ import annotations

import heapq
import itertools
import operator
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import language, search_conditions
from homeostat.lifecycle.tracking.search_conditions import Need
from homeostat.lifecycle.tracking.search_statement import Statement

FIRST_STEP: Final = 64
LONGEST_STEP: Final = 4096
TRIED: Final = 400
"""Runs after which a walk knows how many of them are right."""
_TEXTS: Final = {"param": "params", "tag": "tags"}
_VALUE: Final = operator.itemgetter(0)

Group = tuple[Any, list[str]]
"""A value, and the ids of runs that have it."""


class TooFarError(Exception):
    """More runs were looked at than the caller allowed."""


class Route(NamedTuple):
    """An index to walk along.

    Parameters
    ----------
    table, value, run
        Of the index; columns of the table called ``c``.
    subject, key
        What is ordered by; needs of it are stretches of the index.
    ascending
        Which way.
    is_staged
        Whether the index stands apart by life-cycle stage.
    """

    table: str
    value: str
    run: str
    subject: str
    key: str
    ascending: bool
    is_staged: bool


class Limits(NamedTuple):
    """How far a walk may go.

    Parameters
    ----------
    wanted
        Runs that fill the page; of one value up to twice as many are given, not more.
    most
        A walk gives up when it would have to look at many more runs than these; None when it
        may look at all.
    allowed
        Only these runs are given, and no need is checked; None for all.
    slack
        How many times more than `most` may seem needed while little is known.
    """

    wanted: int
    most: int | None
    allowed: Collection[str] | None = None
    slack: int = 1

    @property
    def group(self) -> int:
        """Most runs of one value."""
        return 2 * self.wanted


def route_of(order: language.Order | None) -> Route | None:
    """Return the index of an order; None when there is none.

    Parameters
    ----------
    order
        None for the newest first.

    Returns
    -------
    Route or None
        Of runs, metrics, params or tags.
    """
    if order is None or (order.subject, order.key) == ("attribute", "start_time"):
        ascending = order is not None and order.ascending
        return Route(
            *("runs", "c.started_at", "c.id", "attribute", "start_time"),
            ascending=ascending,
            is_staged=True,
        )
    if order.subject == "attribute":
        return None
    is_metric = order.subject == "metric"
    return Route(
        table="latest_metrics" if is_metric else _TEXTS[order.subject],
        value="c.value" if is_metric else "c.value_head",
        run="c.run_id",
        subject=order.subject,
        key=order.key,
        ascending=order.ascending,
        is_staged=False,
    )


class Walk:
    """One walk, over the experiments and stages of a question.

    Parameters
    ----------
    tx
        Reading suffices.
    route
        The index.
    experiments, stages, needs
        Of the question.
    limits
        How far it may go.
    """

    def __init__(
        self,
        tx: Transaction,
        route: Route,
        *,
        experiments: Sequence[int],
        stages: Sequence[str],
        needs: Sequence[Need],
        limits: Limits,
    ) -> None:
        self._tx = tx
        self._route = route
        self._experiments = experiments
        self._stages = stages
        # What is asked of the value walked along is a stretch of its index.
        walked = (route.subject, route.key)
        self._along = [n for n in needs if (n.subject, n.key) == walked]
        is_text = route.subject in _TEXTS
        self._others = [n for n in needs if is_text or n not in self._along]
        self._limits = limits
        self._n_seen = 0
        self._n_right = 0

    def groups(self, after: Any = None) -> Iterator[Group]:
        """Give the runs by value.

        Parameters
        ----------
        after
            The walk begins behind this value; None for the first one.

        Yields
        ------
        Group
            At most `Limits.group` + 1 ids; one more than that means there are more.

        Raises
        ------
        TooFarError
            When it went further than it may.
        """
        stages = [(stage,) for stage in self._stages] if self._route.is_staged else [()]
        streams = [
            self._stream(experiment, stage, after)
            for experiment in self._experiments
            for stage in stages
        ]
        merged = streams[0]
        if len(streams) > 1:
            merged = heapq.merge(*streams, key=_VALUE, reverse=not self._route.ascending)
        for value, rows in itertools.groupby(merged, _VALUE):
            yield value, [row[1] for row in itertools.islice(rows, self._limits.group + 1)]

    def _stream(
        self, experiment: int, stage: tuple[str, ...], after: Any
    ) -> Iterator[tuple[Any, str]]:
        """Give value and id of the runs of one stretch, step by step."""
        place: tuple[Any, ...] = () if after is None else (after,)
        size = FIRST_STEP
        while True:
            rows = self._step(experiment, stage, place, size)
            self._n_seen += len(rows)
            allowed = self._limits.allowed
            for value, run_id, is_right in rows:
                if is_right if allowed is None else run_id in allowed:
                    self._n_right += 1
                    yield value, run_id
            if len(rows) < size:
                return
            place = rows[-1][:2]
            least = FIRST_STEP if allowed is None else 2 * size
            size = min(max(least, self._next_step()), 2 * size, LONGEST_STEP)

    def _next_step(self) -> int:
        """Return how many runs are likely left to look at; give up when they are too many."""
        missing = max(self._limits.wanted - self._n_right, 1)
        left = int(1.2 * missing * self._n_seen / max(self._n_right, 0.5))
        most = self._limits.most
        # What is known after few runs is rough.
        slack = self._limits.slack if self._n_seen < 4 * TRIED else 1
        # Nor is a walk given up that is more than half done.
        is_begun = TRIED <= self._n_seen < left
        if most is not None and is_begun and self._n_seen + left > slack * most:
            raise TooFarError
        return left

    def _step(
        self, experiment: int, stage: tuple[str, ...], place: tuple[Any, ...], size: int
    ) -> list[tuple[Any, ...]]:
        made = Statement(self._tx)
        route = self._route
        value = made.bytewise(route.value) if route.subject in _TEXTS else route.value
        way = "ASC" if route.ascending else "DESC"
        beyond = ">" if route.ascending else "<"
        # The index of runs has the newest first, and ids the other way.
        turned = ("DESC", "<") if route.ascending else ("ASC", ">")
        way_of_run, beyond_run = turned if route.is_staged else (way, beyond)
        here = ["c.project = :project", f"c.experiment_id = {made.bind(experiment)}"]
        if route.is_staged:
            here.append(f"c.lifecycle_stage = {made.bind(stage[0])}")
        else:
            here.append(f"c.key = {made.bind(route.key)}")
        if route.subject == "metric":
            here.append("c.kind = 'finite'")
        here.extend(self._stretch(made, need, experiment) for need in self._along)
        if len(place) == 1:
            here.append(f"{value} {beyond} {made.bind(place[0])}")
        elif place:
            at, run_id = made.bind(place[0]), made.bind(place[1])
            if route.is_staged:
                here.append(f"{value} {beyond}= {at}")
                here.append(f"({value} {beyond} {at} OR {route.run} {beyond_run} {run_id})")
            else:
                here.append(f"({value}, {route.run}) {beyond} ({at}, {run_id})")
        return made.rows(
            *("SELECT w.value, w.run_id,", self._is_right(made), "FROM (SELECT"),
            *(f"{route.value} AS value, {route.run} AS run_id FROM {route.table} c WHERE",),
            " AND ".join(here),
            f"ORDER BY {value} {way}, {route.run} {way_of_run}",
            f"LIMIT {made.bind(size)}) w",
        )

    def _stretch(self, made: Statement, need: Need, experiment: int) -> str:
        """Return the part of the index that a need of the value walked along leaves."""
        if need.subject == "attribute":
            return search_conditions.run_holds(made, need, row="c")
        span = search_conditions.span_of(made, need, [experiment])
        return "1 = 0" if span is None else span.parts[0]

    def _is_right(self, made: Statement) -> str:
        """Return whether a run fulfils all needs, the cheapest looked at first."""
        if self._limits.allowed is not None:
            return "1"
        of_run = [n for n in self._others if n.subject == "attribute"]
        held = [
            search_conditions.kept_holds(made, need, "w.run_id")
            for need in self._others
            if need.subject != "attribute"
        ]
        if of_run or not self._route.is_staged:
            row = ["r.project = :project", "r.id = w.run_id"]
            row.append(made.among("r.lifecycle_stage", self._stages))
            row.extend(search_conditions.run_holds(made, need) for need in of_run)
            held.append(
                " ".join(("EXISTS (SELECT 1 FROM runs r WHERE", " AND ".join(row), ")"))
            )
        return f"CASE WHEN {' AND '.join(held)} THEN 1 ELSE 0 END" if held else "1"

"""Which way a search over runs goes: from the rarest condition, or along the order.

Called by `search.find`. A probe counts what may fulfil each need, up to a cap. Where one need
is rare its runs are checked and sorted. Else the index of the order is walked until the page is
full; when that takes too long, few runs fulfil all needs together, or they stand at the far
end: then all runs are looked at in columns in memory. Where there are none, on PostgreSQL or
for want of room, the stretches of the rarest needs are read and intersected.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import (
    language,
    records,
    search_memory,
    search_orders,
    search_plans,
    search_walk,
)
from homeostat.lifecycle.tracking.search_conditions import Need
from homeostat.lifecycle.tracking.search_plans import Question, Row

FEW: Final = 1500
"""Runs that are checked one by one without a further thought."""
SHORT: Final = 1500
"""Runs a walk looks at while another way may be the quicker one."""
PATIENCE: Final = 8000
"""Runs a walk looks at; it gives up as soon as they are not likely to be enough."""
FEWER: Final = 5000
"""Runs that are sorted once it is known that they fulfil the needs."""
WORTH: Final = 12
"""Rows of an index that are read in the time one run is checked."""
MOST_HELD: Final = 350_000
"""Ids that are held in memory for one search."""


def first_runs(
    tx: Transaction, asked: Question, *, place: Sequence[Any] | None, limit: int
) -> list[Row]:
    """Return the first runs behind a place.

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
    list of Row
        In order.
    """
    counted: dict[Need, int] = {}
    fewest = FEW
    for need in asked.needs:
        n = search_plans.count(tx, asked, need, at_most=fewest)
        if n == 0:
            return []
        if n is not None:
            counted[need] = n
            fewest = min(fewest, n)
    if fewest < FEW:
        source = min(counted, key=lambda need: counted[need])
        return search_plans.sorted_runs(tx, asked, place=place, limit=limit, source=source)
    if asked.n_fixed > len(asked.orders):
        return search_plans.sorted_runs(tx, asked, place=place, limit=limit)
    route = search_walk.route_of(asked.leading)
    if route is not None:
        return _walked(_Way(tx, asked, route, limit=limit), list(counted), place)
    held = search_memory.first_runs(tx, asked, place=place, limit=limit, may_read=True)
    if held is not None:
        return held
    return search_plans.sorted_runs(tx, asked, place=place, limit=limit)


def _walked(way: _Way, counted: Sequence[Need], place: Sequence[Any] | None) -> list[Row]:
    """Walk as long as that is likely to be the quickest; then look at all runs."""
    if not way.unchecked:
        return way.rows(place, most=None)
    with contextlib.suppress(search_walk.TooFarError):
        return way.rows(place, most=SHORT)
    held = search_memory.first_runs(
        way.tx, way.asked, place=place, limit=way.limit, may_read=True
    )
    if held is not None:
        return held
    if not counted:
        return way.rows(place, most=None)
    if not any(_is_under(way, need, 8 * FEW) for need in counted):
        with contextlib.suppress(search_walk.TooFarError):
            return way.rows(place, most=PATIENCE, slack=3)
    return _intersected(way, counted, place)


class _Way:
    """One search along a route."""

    def __init__(
        self, tx: Transaction, asked: Question, route: search_walk.Route, *, limit: int
    ) -> None:
        self.tx = tx
        self.asked = asked
        self._route = route
        self.limit = limit
        self.unchecked = asked.needs
        walked = (route.subject, route.key)
        self._same = [need for need in asked.needs if (need.subject, need.key) == walked]

    def rows(
        self,
        place: Sequence[Any] | None,
        *,
        most: int | None,
        allowed: set[str] | None = None,
        slack: int = 1,
    ) -> list[Row]:
        """Return the rows behind a place; `TooFarError` when that takes too many looks."""
        limits = search_walk.Limits(self.limit, most, allowed, slack)
        at = 2 * self.asked.n_fixed
        leading = self.asked.leading
        if leading is None:
            return self._along(place, limits, at=at)
        if leading.subject == "attribute":
            return self._along(place, limits, at=at + 1)
        found: list[Row] = []
        kinds = ("-inf", "finite", "inf") if leading.ascending else ("inf", "finite", "-inf")
        steps = [*kinds, "nan", ""] if leading.subject == "metric" else ["finite", ""]
        if any(need.is_absent for need in self._same):
            steps = [""]
        for kind in steps:
            rank = _rank(kind, ascending=leading.ascending)
            if place and rank < place[at]:
                continue
            inside = place if place and rank == place[at] else None
            if len(found) >= self.limit:
                break
            if kind == "finite":
                found.extend(self._along(inside, limits, at=at + 1))
            elif self._may_be(kind):
                found.extend(self._all_of(self._of_kind(kind), inside, found))
        return found

    def _along(
        self, place: Sequence[Any] | None, limits: search_walk.Limits, *, at: int
    ) -> list[Row]:
        """Walk the finite values, group by group, and put each group in its order."""
        found: list[Row] = []
        after = None
        if place:
            after = self._indexed(place[at])
            found.extend(self._all_of(self._of_value(after), place, found))
        waiting: list[str] = []
        wanted = self.limit
        while len(found) < self.limit:
            walk = search_walk.Walk(
                *(self.tx, self._route),
                experiments=self.asked.experiments,
                stages=self.asked.stages,
                needs=self.asked.needs,
                limits=limits,
            )
            for value, ids in walk.groups(after):
                if len(ids) > limits.group:
                    found.extend(self._sorted(waiting))
                    waiting = []
                    if len(found) < self.limit:
                        found.extend(self._all_of(self._of_value(value), None, found))
                    after = value
                    break
                waiting.extend(ids)
                if len(waiting) + len(found) >= wanted:
                    found.extend(self._sorted(waiting))
                    waiting = []
                    # Where ids were held needs are checked only here, and most may fail.
                    wanted *= 2
                    if len(found) >= self.limit:
                        break
            else:
                found.extend(self._sorted(waiting))
                break
        return found[: self.limit]

    def _sorted(self, ids: Sequence[str]) -> list[Row]:
        if not ids:
            return []
        asked = self.asked._replace(needs=self.unchecked)
        return search_plans.sorted_runs(self.tx, asked, place=None, limit=len(ids), among=ids)

    def _all_of(
        self, need: Need, place: Sequence[Any] | None, found: Sequence[Row]
    ) -> list[Row]:
        """Return the runs of one value, kind or gap; all that is left is to order them."""
        left = self.limit - len(found)
        narrowed = self.asked.narrowed(need)
        head = need.conditions[0]
        if head.comparator == "BEGINS" and len(str(head.value)) >= records.HEAD_LENGTH:
            # Texts that differ behind what the index holds are in no order yet.
            return search_plans.sorted_runs(
                self.tx, narrowed, place=place, limit=left, source=need
            )
        return first_runs(self.tx, narrowed, place=place, limit=left)

    def _indexed(self, value: Any) -> Any:
        return value[: records.HEAD_LENGTH] if isinstance(value, str) else value

    def _of_value(self, value: Any) -> Need:
        subject, key = self._route.subject, self._route.key
        comparator = "BEGINS" if subject in ("param", "tag") else "="
        return Need(subject, key, (_condition(subject, key, comparator, value),))

    def _of_kind(self, kind: str) -> Need:
        subject, key = self._route.subject, self._route.key
        comparator = "IS" if kind else "IS NULL"
        return Need(subject, key, (_condition(subject, key, comparator, kind),))

    def _may_be(self, kind: str) -> bool:
        """Tell whether runs may be missing the value, which asks for a look at all of them."""
        if kind:
            return True
        if self._same:
            return any(need.is_absent for need in self._same)
        table, key = self._route.table, self._route.key
        return search_plans.has_gaps(self.tx, self.asked, table, key=key)


def _intersected(way: _Way, needs: Sequence[Need], place: Sequence[Any] | None) -> list[Row]:
    """Find the runs that are in the spans of all needs, and from there the first ones."""
    tx, asked = way.tx, way.asked
    at_most = FEW
    sizes: dict[Need, int] = {}
    while not any(n < at_most for n in sizes.values()) and at_most <= MOST_HELD:
        at_most *= 8
        sizes = {
            need: search_plans.count(tx, asked, need, at_most=at_most) or 0 for need in needs
        }
    smallest = min(sizes, key=lambda need: sizes[need])
    if sizes[smallest] > MOST_HELD:
        return way.rows(place, most=None)
    held = set(search_plans.ids_in(tx, asked, smallest))
    read = [smallest]
    for need in sorted(needs, key=lambda need: sizes[need]):
        worth = min(WORTH * len(held), MOST_HELD) + 1
        if need not in read and _is_under(way, need, worth):
            held.intersection_update(search_plans.ids_in(tx, asked, need))
            read.append(need)
    way.unchecked = tuple(
        need
        for need in asked.needs
        if need not in read or not search_plans.is_exact(tx, asked, need)
    )
    if len(held) <= FEWER:
        left = asked._replace(needs=way.unchecked)
        return search_plans.sorted_runs(tx, left, place=place, limit=way.limit, among=held)
    return way.rows(place, most=None, allowed=held)


def _is_under(way: _Way, need: Need, most: int) -> bool:
    n = search_plans.count(way.tx, way.asked, need, at_most=most)
    return n is not None and n < most


def _rank(kind: str, *, ascending: bool) -> int:
    if not kind:
        return search_orders.MISSING
    return search_orders.rank_of(kind, ascending=ascending)


def _condition(subject: Any, key: str, comparator: str, value: Any) -> language.Condition:
    return language.Condition(subject, key, comparator, value)

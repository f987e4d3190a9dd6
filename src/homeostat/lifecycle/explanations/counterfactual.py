"""What would have to change: a beam search over what a person can change; called by `explain`.

Each step changes one more actionable column of the best rows so far, to quantiles of the
training rows or to other categories, in the allowed direction and bounds; all rows of a step
are scored at once. A row that the model answers the other way is then brought as near to the
person's own as the model still allows. Sets of columns that contain a smaller
answer are dropped.

References
----------
.. [1] S. Wachter, B. Mittelstadt, C. Russell, "Counterfactual explanations without opening the
   black box", *Harvard Journal of Law & Technology* 31, 2018.
.. [2] J. C. Gower, "A general coefficient of similarity", *Biometrics* 27, 1971 (the distance).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.explanations import entities
from homeostat.lifecycle.policy import Explain
from homeostat.lifecycle.registry.entities import ColumnReference, Reference

Floats = NDArray[np.float64]
Ask = Callable[[Mapping[str, Sequence[Any]]], Floats]
Row = Mapping[str, Any]
Changes = dict[str, Any]

ANSWERS = 3
_BEAM = 8
_VALUES = 8
_GRID = 24
_DIGITS = 3
_ORDERED = frozenset({"number", "integer"})


class Room(NamedTuple):
    """What one column may become; `values` go away from `before`, `cuts` rank an order."""

    column: Column
    before: Any
    values: tuple[Any, ...]
    cuts: tuple[float, ...]

    def distance(self, value: Any) -> float:
        """Share of the training rows between `before` and a value; 1 for a category."""
        if self.column.kind not in _ORDERED:
            return 1.0
        places = np.linspace(0.0, 1.0, len(self.cuts))
        a, b = np.interp([float(self.before), float(value)], self.cuts, places)
        # Beyond the training rows there is no rank left: the way still counts.
        span = (self.cuts[-1] - self.cuts[0]) or 1.0
        return float(abs(b - a) + 1e-3 * abs(float(value) - float(self.before)) / span)


class Search(NamedTuple):
    """One row's search.

    `is_wanted` says of scores which are an answer; `towards` is 1 where higher scores are
    nearer to it, else -1.
    """

    ask: Ask
    row: Row
    rooms: dict[str, Room]
    threshold: float
    towards: float

    def scores(self, many: Sequence[Changes]) -> Floats:
        """Score the row with each of some changes."""
        names = list(self.row)
        return self.ask(
            {name: [one.get(name, self.row[name]) for one in many] for name in names}
        )

    def is_wanted(self, scores: Floats) -> NDArray[np.bool_]:
        """Say which scores are answered the other way."""
        return scores >= self.threshold if self.towards > 0 else scores < self.threshold

    def distance(self, changes: Changes) -> float:
        """Return how far a row with some changes is from the row."""
        return math.fsum(self.rooms[name].distance(value) for name, value in changes.items())


def counterfactuals(
    ask: Ask,
    row: Row,
    *,
    schema: Schema,
    reference: Reference | None,
    rules: Explain,
    protected: Collection[str],
    favourable: bool,
    threshold: float = 0.5,
) -> tuple[tuple[entities.Counterfactual, ...], str]:
    """Find small changes with which the model answers in the person's favour.

    Parameters
    ----------
    ask
        Scores columns of rows; the model itself.
    row
        Columns of the model by name.
    schema, reference
        Of the model: kinds and categories; quantiles. Without them bounds must be said.
    rules
        Actionable columns with directions, bounds, and how many may change at once.
    protected
        Columns that never change.
    favourable
        Whether the positive class is good for the person.
    threshold
        The positive class is answered from this score on.

    Returns
    -------
    tuple of Counterfactual, str
        Up to 3, each scored by the model; or none and why.
    """
    rooms = {}
    for name, direction in rules.actionable.items():
        column = schema.find(name)
        if column is None or name in protected or row.get(name) is None:
            continue
        seen = None if reference is None else reference.columns.get(name)
        found = _room(column, row[name], direction, seen=seen, rules=rules)
        if found.values:
            rooms[name] = found
    search = Search(ask, row, rooms, threshold, 1.0 if favourable else -1.0)
    if search.is_wanted(search.scores([{}]))[0]:
        return (), "the answer is the favourable one already"
    if not rooms:
        return (), "nothing in this row may change: see [explain] actionable and its bounds"
    flipped = _beam(search, min(rules.changes, len(rooms)))
    if not flipped:
        return (), (
            f"no change of up to {min(rules.changes, len(rooms))} of "
            f"{', '.join(rooms)} within bounds was found to change the answer"
        )
    return _told(search, [_nearer(search, one) for one in flipped]), ""


def _beam(search: Search, depth: int) -> list[Changes]:
    """Return changes that flip, for each set of columns the nearest, smaller sets first."""
    frontier: list[Changes] = [{}]
    flipped: dict[frozenset[str], Changes] = {}
    for _ in range(depth):
        coming: dict[tuple[tuple[str, Any], ...], Changes] = {}
        for changes in frontier:
            for name, room in search.rooms.items():
                if name in changes or any(one <= {*changes, name} for one in flipped):
                    continue
                for value in room.values:
                    made = {**changes, name: value}
                    coming[tuple(sorted(made.items(), key=lambda item: item[0]))] = made
        if not coming:
            break
        asked = list(coming.values())
        scores = search.scores(asked)
        is_wanted = search.is_wanted(scores).tolist()
        for made, is_one in zip(asked, is_wanted, strict=True):
            which = frozenset(made)
            known = flipped.get(which)
            if is_one and (known is None or search.distance(made) < search.distance(known)):
                flipped[which] = made
        if len(flipped) >= ANSWERS:
            break
        left = [at for at, is_one in enumerate(is_wanted) if not is_one]
        left.sort(key=lambda at: (-search.towards * scores[at], search.distance(asked[at]), at))
        frontier = [asked[at] for at in left[:_BEAM]]
    found = sorted(flipped.values(), key=lambda one: (len(one), search.distance(one)))
    return found[:ANSWERS]


def _nearer(search: Search, changes: Changes) -> Changes:
    """Bring each number back towards the row's own as far as the answer stays."""
    for name in sorted(changes, key=lambda one: -search.rooms[one].distance(changes[one])):
        room = search.rooms[name]
        if room.column.kind not in _ORDERED:
            continue
        tried = [{**changes, name: value} for value in _between(room, changes[name])]
        if not tried:
            continue
        good = np.flatnonzero(search.is_wanted(search.scores(tried)))
        if len(good):
            changes = tried[int(good[0])]
    return changes


def _between(room: Room, after: float) -> list[Any]:
    """Return short numbers from the row's own value to another, nearest first."""
    before = float(room.before)
    made: list[Any] = []
    for step in np.linspace(before, float(after), _GRID + 1)[1:-1].tolist():
        value = round(step) if room.column.kind == "integer" else _short(step)
        low, high = sorted((before, float(after)))
        if low <= value <= high and value not in (before, *made):
            made.append(value)
    return made


def _told(search: Search, found: Sequence[Changes]) -> tuple[entities.Counterfactual, ...]:
    """Ask the model once more, and say what it says."""
    scores = search.scores(found)
    is_wanted = search.is_wanted(scores)
    told = [
        entities.Counterfactual(
            changes=tuple(
                entities.Change(column=name, before=search.row[name], after=changes[name])
                for name in sorted(changes)
            ),
            score=float(scores[at]),
            distance=search.distance(changes),
        )
        for at, changes in enumerate(found)
        if is_wanted[at]
    ]
    return tuple(sorted(told, key=lambda one: (len(one.changes), one.distance)))


def _room(
    column: Column,
    before: Any,
    direction: str,
    *,
    seen: ColumnReference | None,
    rules: Explain,
) -> Room:
    if column.kind == "boolean":
        goes = {"up": not before, "down": bool(before), "any": True}[direction]
        return Room(column, before, (not before,) if goes else (), ())
    if column.kind == "category" and direction == "any":
        known = tuple(seen.shares) if seen is not None else ()
        others = tuple(one for one in known or column.categories or () if one != before)
        return Room(column, before, others, ())
    if column.kind not in _ORDERED:
        return Room(column, before, (), ())
    cuts = list(seen.quantiles) if seen is not None else []
    ends = [one for one in (column.minimum, column.maximum) if one is not None]
    cuts = sorted(cuts or ends or [float(before)])
    low = rules.minimum.get(column.name, cuts[0])
    high = rules.maximum.get(column.name, cuts[-1])
    values = {*cuts, low, high}
    if column.kind == "integer":
        low, high = math.ceil(low), math.floor(high)
        values = {round(one) for one in values}
    allowed = [
        one
        for one in sorted(values)
        if low <= one <= high
        and ((one > before and direction != "down") or (one < before and direction != "up"))
    ]
    return Room(column, before, tuple(_thinned(allowed)), tuple(cuts))


def _thinned(values: Sequence[Any]) -> list[Any]:
    """Return some of many values, the first and last among them."""
    if len(values) <= _VALUES:
        return list(values)
    places = np.linspace(0, len(values) - 1, _VALUES).round().astype(int)
    return [values[at] for at in places]


def _short(value: float) -> float:
    """Return a number of three significant digits."""
    return float(f"{value:.{_DIGITS}g}")

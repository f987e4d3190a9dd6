"""Counts long columns of numbers on frozen edges without sorting them; called by `summary`.

A fine grid of cells, in which nearly every edge has a cell of its own, is laid over the edges.
The cell of a value takes an addition to find; the value is then compared with the one edge
there. Every count is exact: whatever falls into a cell with several edges, or beside the grid,
is sorted and looked up.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Places = NDArray[np.intp]

LEAST_ROWS = 150_000
"""Shorter columns are sorted sooner than a grid is laid."""
_BITS = (13, 14, 15)
_OUTER = 0.002  # share of the edges at either end that the grid does not reach
_SORTED = 16.0  # nanoseconds a value, about; one that has to be looked up takes this much more
_COSTS = (8.0, 9.0, 12.0)  # by a grid of so many bits
_MANY = 8_192
_ALIKE = 1e-6
_LEAST_EDGES = 16
_USUAL_EDGES = 700
_MOST_SORTED = 0.3
_LARGEST = 2.0**50
_ENDING = (1 << 16) - 1  # bits that tell a cell


class _Grid(NamedTuple):
    """Which cell a value is in: a function that never falls when its value rises.

    `is_even`: cells are equally wide, and the sum of a value, of at most `high`, and of `shift`
    ends in the number of the cell. Otherwise they are about equally wide by ratio: the bits of
    a value that is not negative, less `shift`, without the last `drop`.
    """

    n_cells: int
    low: float
    high: float
    is_even: bool
    shift: float
    drop: int = 0

    def cells(self, values: Floats, room: Floats, found: Places) -> None:
        """Write the cell of each value; the first and the last hold what is outside."""
        np.clip(values, self.low, self.high, out=room)
        if self.is_even:
            room += self.shift
            np.bitwise_and(room.view(np.int64), _ENDING, out=found)
            return
        np.subtract(room.view(np.int64), int(self.shift), out=found)
        found >>= self.drop

    def of(self, values: Floats) -> Places:
        """Return the cell of each of a few values."""
        found = np.empty(len(values), dtype=np.intp)
        self.cells(values, np.empty(len(values)), found)
        return found


def _even(low: float, high: float, bits: int) -> _Grid | None:
    n_cells = 1 << bits
    step = math.ldexp(1.0, math.frexp((high - low) / (n_cells - 4))[1])
    first = math.floor(low / step) - 1
    if not math.isfinite(step) or step < np.finfo(float).tiny or abs(first) > _LARGEST:
        return None
    # 1.5 * 2**52 steps: float64 has no digits left there for parts of a step.
    shift = (1.5 * 2.0**52 - first) * step
    if not math.isfinite(shift):
        return None
    return _Grid(n_cells, first * step, (first + n_cells - 1) * step, True, shift)


def _by_ratio(low: float, high: float, bits: int) -> _Grid | None:
    if low <= np.finfo(float).tiny:
        return None
    first, last = (int(np.float64(end).view(np.int64)) for end in (low, high))
    drop = 0
    while (last >> drop) - (first >> drop) >= (1 << bits) - 3:
        drop += 1
    ends = (((first >> drop) - 1) << drop, ((last >> drop) + 1) << drop)
    lowest, highest = (float(np.int64(end).view(np.float64)) for end in ends)
    if lowest < 0 or not math.isfinite(highest) or float(ends[0]) != ends[0]:
        return None
    return _Grid(((last - first) >> drop) + 4, lowest, highest, False, float(ends[0]), drop)


def _inner(edges: Floats) -> Floats:
    """Leave out the equally wide bins on both sides of a reference, in which few values are."""
    gaps = np.diff(edges)
    alike = [np.abs(gaps - gaps[end]) <= _ALIKE * gaps[end] for end in (0, -1)]
    left, right = int(alike[0].argmin()), int(alike[1][::-1].argmin())
    inner = edges[left : len(edges) - right]
    outer = int(len(inner) * _OUTER) + 1
    return inner[outer:-outer]


def _cheapest(edges: Floats) -> _Grid | None:
    """Find the grid that costs least; None where sorting costs less."""
    if len(edges) < _LEAST_EDGES:
        return None
    inner = _inner(edges)
    if len(inner) < _LEAST_EDGES:
        return None
    # A point mass has two edges, and those of the bins it fills are gone: it would be sorted.
    if len(inner) < _USUAL_EDGES and (np.nextafter(edges[:-1], np.inf) == edges[1:]).any():
        return None
    # Most edges are quantiles: as many values as edges are about where edges are.
    low, high = float(inner[0]), float(inner[-1])
    best, least = None, _SORTED
    for bits, cost in zip(_BITS, _COSTS, strict=True):
        for grid in (_even(low, high, bits), _by_ratio(low, high, bits)):
            if grid is None or cost >= least:
                continue
            found = grid.of(inner)
            shared = np.bincount(found, minlength=grid.n_cells)[found] > 1
            spent = cost + _SORTED * float(shared.mean())
            if spent < least:
                best, least = grid, spent
    return best


class Slice(NamedTuple):
    """The finite values of a slice and their ends, NaN when there are none.

    `others` are negative infinities, positive ones, and NaN.
    """

    finite: Floats
    low: float
    high: float
    others: tuple[int, int, int]


def _in_order(values: Floats, room: Floats) -> Slice:
    part = room[: len(values)]
    part[:] = values
    part.sort()
    if len(part) and math.isfinite(part[0]) and math.isfinite(part[-1]):  # NaN comes last
        return Slice(part, float(part[0]), float(part[-1]), (0, 0, 0))
    left = int(part.searchsorted(-np.inf, side="right"))
    right, known = (int(part.searchsorted(np.inf, side=s)) for s in ("left", "right"))
    finite = part[left:right]
    ends = (float(finite[0]), float(finite[-1])) if len(finite) else (np.nan, np.nan)
    return Slice(finite, *ends, (left, known - right, len(part) - known))


def _as_it_is(values: Floats) -> Slice:
    low, high = float(values.min()), float(values.max())  # NaN where any value is
    if math.isfinite(low) and math.isfinite(high):
        return Slice(values, low, high, (0, 0, 0))
    finite = values[np.isfinite(values)]
    ends = (float(finite.min()), float(finite.max())) if len(finite) else (np.nan, np.nan)
    n_low, n_high = (int(np.count_nonzero(values == end)) for end in (-np.inf, np.inf))
    return Slice(finite, *ends, (n_low, n_high, len(values) - len(finite) - n_low - n_high))


class Counter:
    """How many values are below each edge, of a column of which a slice comes at a time.

    Parameters
    ----------
    edges
        Shape ``(k,)``, strictly increasing, finite.
    n
        Rows of the column, about.
    most
        Of a slice.

    Examples
    --------
    >>> seen = Counter(np.array([1.0, 2.0]), n=4, most=4)
    >>> seen.is_laid
    False
    """

    def __init__(self, edges: Floats, *, n: int, most: int) -> None:
        self._edges = edges
        self._grid = _cheapest(edges) if n >= LEAST_ROWS else None
        self._below = np.zeros(len(edges), dtype=np.int64)
        if self._grid is None:
            return
        n_cells = self._grid.n_cells
        self._cells = self._grid.of(edges)
        self._is_alone = np.bincount(self._cells, minlength=n_cells)[self._cells] == 1
        self._only = np.full(n_cells, np.inf)  # the edge in each cell
        self._only[self._cells] = np.where(self._is_alone, edges, np.nan)
        self._only[[0, self._grid.of(np.array([np.inf]))[0]]] = np.nan
        self._is_alone &= ~np.isnan(self._only[self._cells])
        self._counts = np.zeros(2 * n_cells, dtype=np.int64)
        self._room, self._found = np.empty(most), np.empty(most, dtype=np.intp)
        self._above = np.empty(most, dtype=np.bool_)
        self._rest: list[Floats] = []
        self._n_rest = self._n_rested = self._n_seen = 0

    @property
    def is_laid(self) -> bool:
        """Whether there is a grid; what is not to be sorted goes to `add` while there is."""
        return self._grid is not None and self._n_rested <= _MOST_SORTED * self._n_seen

    def count(self, values: Floats, room: Floats) -> Slice:
        """Count the finite values of a slice.

        Parameters
        ----------
        values
            At least one, at most `most`.
        room
            As long as the slice or longer; written over, and where what is returned may be.

        Returns
        -------
        Slice
            In order where the slice was sorted.
        """
        if self.is_laid:
            seen = _as_it_is(values)
            self.add(seen.finite)
        else:
            seen = _in_order(values, room)
            self.add_sorted(seen.finite)
        return seen

    def add(self, values: Floats) -> None:
        """Count a slice while a grid is laid.

        Parameters
        ----------
        values
            Finite, in any order, at most `most`.
        """
        assert self._grid is not None
        n = len(values)
        room, found, above = self._room[:n], self._found[:n], self._above[:n]
        self._grid.cells(values, room, found)
        self._only.take(found, out=room, mode="wrap")
        np.greater_equal(values, room, out=above)
        found += found
        found += above.view(np.uint8)
        self._counts += np.bincount(found, minlength=len(self._counts))
        self._n_seen += n
        if (unclear := np.isnan(room, out=above)).any():
            self._rest.append(values[unclear])
            self._n_rest += len(self._rest[-1])
            self._n_rested += len(self._rest[-1])
            if self._n_rest > _MANY:
                self._look_up()

    def add_sorted(self, values: Floats) -> None:
        """Count a slice that is in order.

        Parameters
        ----------
        values
            Finite, increasing.
        """
        self._below += values.searchsorted(self._edges)

    def _look_up(self) -> None:
        if self._rest:
            self.add_sorted(np.sort(np.concatenate(self._rest)))
        self._rest, self._n_rest = [], 0

    def below(self) -> Counts:
        """Return how many of the values so far are below each edge.

        Returns
        -------
        NDArray
            Shape ``(k,)``.
        """
        if self._grid is None:
            return self._below
        self._look_up()
        counts = self._counts.reshape(-1, 2).copy()
        counts[np.isnan(self._only)] = 0  # these were looked up
        before = np.cumsum(counts.sum(axis=1)) - counts.sum(axis=1)
        inside = np.where(self._is_alone, counts[self._cells, 0], 0)
        return np.asarray(self._below + before[self._cells] + inside)

"""How rare is one row, by the columns of a reference? Light enough for a prediction worker.

Monitoring asks it of the log, prediction servers of every row after it was answered; both read
the same frozen baseline. Only numpy is imported.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.measures import tails

Floats = NDArray[np.float64]

MOST_EDGES: Final = 100


class Column(NamedTuple):
    """Chance of a value as rare as one in each bin; then of none seen before, and of no value.

    `low` and `high` are the range of the reference, `middle` its median; beyond the range the
    chance falls with the power `below` or `above` of the distance from the middle, 0 where that
    is not known. `known` are places of categories.
    """

    edges: list[float]
    known: dict[str, int]
    chances: list[float]
    low: float = -math.inf
    high: float = math.inf
    middle: float = 0.0
    below: float = 0.0
    above: float = 0.0


def place(column: Column, value: Any) -> int:
    """Find the bin of a value.

    Parameters
    ----------
    column
        Of the reference.
    value
        Any.

    Returns
    -------
    int
        Place in `column.chances`: the last but one for none seen before, the last for none.
    """
    missing = len(column.chances) - 1
    if value is None:
        return missing
    if column.known:
        return column.known.get(_text(value), missing - 1)
    if isinstance(value, int | float) and math.isfinite(value):
        if not column.low <= value <= column.high:
            return missing - 1
        return bisect.bisect_right(column.edges, value)
    return missing


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def chance(column: Column, value: Any) -> float:
    """Return the chance of a value as rare as this one.

    Parameters
    ----------
    column
        Of the reference.
    value
        One that is no number, in a column of numbers, counts as missing.

    Returns
    -------
    float
        In (0, 1].

    Examples
    --------
    >>> one = Column([0.0], {}, [0.5, 0.5, 0.001, 0.01], -1.0, 1.0, 0.0, 2.0, 2.0)
    >>> chance(one, 0.5), chance(one, None), chance(one, 10.0)
    (0.5, 0.01, 1e-05)
    """
    at = place(column, value)
    found = column.chances[at]
    if at == len(column.chances) - 2 and not column.known:
        return found * _further(column, float(value))
    return found


def _further(column: Column, value: float) -> float:
    """How much rarer than anything beyond the range a value so far beyond it is."""
    is_above = value > column.high
    edge, power = (column.high, column.above) if is_above else (column.low, column.below)
    reach = abs(edge - column.middle)
    if not reach or not power:
        return 1.0
    ratio = max(1.0, abs(value - column.middle) / reach)
    return math.pow(ratio, -power)


class Row(NamedTuple):
    """How rare a row is.

    `p_value` is the chance that a row of the reference is as rare, in any column or in all of
    them together; `column` the rarest, and empty where it is their combination.
    """

    p_value: float
    surprise: float
    column: str


class Reference:
    """The columns of a baseline, ready to be asked about rows.

    Parameters
    ----------
    columns
        By name.
    tail
        Of the surprise of reference rows; None where it is not known.

    Notes
    -----
    Of a number the chance is twice the smaller tail at its bin, of a category the share of all
    categories that are as rare; one row is added to each so that nothing is impossible. Beyond
    the range the tail falls as a power of the distance (`tails.hill`). The sum of the
    logarithms [1]_ is compared with that of reference rows, whatever the columns' dependence.
    Both questions together cost a factor of two.

    References
    ----------
    .. [1] R. A. Fisher, *Statistical Methods for Research Workers*, 1932.
    """

    def __init__(self, columns: Mapping[str, Column], tail: tails.Tail | None = None) -> None:
        self.names = tuple(columns)
        self.columns = dict(columns)
        self.tail = tail
        self._ordered = tuple(columns.values())
        self._costs = [[-math.log(one) for one in each.chances] for each in self._ordered]

    def one(self, values: Sequence[Any]) -> Row:
        """Say how rare a row is.

        Parameters
        ----------
        values
            In the order of `names`.

        Returns
        -------
        Row
            With the rarest column.
        """
        most, total, at = -1.0, 0.0, 0
        for i, (column, costs, value) in enumerate(
            zip(self._ordered, self._costs, values, strict=True)
        ):
            spot = place(column, value)
            cost = costs[spot]
            if spot == len(costs) - 2 and not column.known:
                cost -= math.log(_further(column, float(value)))
            total += cost
            if cost > most:
                most, at = cost, i
        return self._row(most, total, at)

    def rarest(self, table: Sequence[Sequence[Any]], n_rows: int) -> tuple[int, Row]:
        """Return the rarest of many rows, and its place.

        Parameters
        ----------
        table
            Columns in the order of `names`, each of `n_rows` values.
        n_rows
            1 or more.

        Returns
        -------
        tuple
            Its place, and how rare it is.
        """
        most, total = np.full(n_rows, -1.0), np.zeros(n_rows)
        which = np.zeros(n_rows, dtype=np.intp)
        for i, (column, costs, values) in enumerate(
            zip(self._ordered, self._costs, table, strict=True)
        ):
            cost = _costs(column, np.asarray(costs), values)
            total += cost
            larger = cost > most
            most[larger], which[larger] = cost[larger], i
        single, joint = int(most.argmax()), int(total.argmax())
        rows = [
            (at, self._row(float(most[at]), float(total[at]), int(which[at])))
            for at in (single, joint)
        ]
        return min(rows, key=lambda found: found[1].p_value)

    def _row(self, most: float, total: float, at: int) -> Row:
        if not self.names:
            return Row(1.0, 0.0, "")
        single = math.exp(-most) * len(self.names)
        if self.tail is None:
            return Row(min(1.0, single), total, self.names[at])
        joint = self.tail.chance(total)
        name = self.names[at] if single <= joint else ""
        return Row(min(1.0, 2 * min(single, joint)), total, name)


def chances(column: Column, values: Sequence[Any]) -> Floats:
    """Find the chances of many values of a column, as `chance` does one by one.

    Parameters
    ----------
    column
        Of the reference.
    values
        Any.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``.
    """
    costs = -np.log(np.asarray(column.chances))
    return np.exp(-_costs(column, costs, values))


def _costs(column: Column, costs: Floats, values: Sequence[Any]) -> Floats:
    """Negative logarithms of the chances of many values of a column."""
    if column.known:
        unseen, known = len(costs) - 2, column.known
        at = [
            unseen + 1 if value is None else known.get(_text(value), unseen) for value in values
        ]
        return np.asarray(costs[at])
    try:
        x = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):  # a text among them: one by one
        return np.array([-math.log(chance(column, value)) for value in values])
    places = np.searchsorted(np.asarray(column.edges), x, side="right")
    outside = (x < column.low) | (x > column.high)
    places[outside] = len(costs) - 2
    gone = ~np.isfinite(x)
    places[gone] = len(costs) - 1
    found = np.asarray(costs[places])
    for i in np.flatnonzero(outside & ~gone).tolist():
        found[i] -= math.log(_further(column, float(x[i])))
    return found


def numbers(
    edges: Floats, counts: NDArray[np.int64], *, n: int, ends: tuple[Any, Any]
) -> Column:
    """Make the column of numbers.

    Parameters
    ----------
    edges, counts
        Frozen edges, shape ``(k,)``, and finite values in each bin, shape ``(k + 1,)``.
    n
        Rows, missing ones included.
    ends
        Least and greatest finite value; None where there is none.

    Returns
    -------
    Column
        With up to a hundred edges: the others differ by less than chance does.
    """
    n_finite = int(counts.sum())
    seen = n + 1
    low = -math.inf if ends[0] is None else float(ends[0])
    high = math.inf if ends[1] is None else float(ends[1])
    middle, below, above = _powers(edges, counts, low, high)
    if len(edges) > MOST_EDGES:
        kept = _kept(counts)
        groups = np.concatenate([[0], kept + 1])
        edges, counts = edges[kept], np.add.reduceat(counts, groups)
    under = np.cumsum(counts)
    sides = np.minimum(under, n_finite - under + counts)
    chances = np.minimum(1.0, 2 * (sides + 1) / seen)
    gone = (n - n_finite + 1) / seen
    return Column(
        edges.tolist(),
        {},
        [*chances.tolist(), min(1.0, 2 / seen), min(1.0, gone)],
        low,
        high,
        middle,
        below,
        above,
    )


def _kept(counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Which edges to keep: at equal steps of the share, closer towards both ends."""
    share = np.cumsum(counts[:-1]) / max(1, int(counts.sum()))
    ends = np.geomspace(1e-5, 0.05, MOST_EDGES // 4)
    wanted = np.concatenate([ends, np.linspace(0.05, 0.95, MOST_EDGES // 2), 1 - ends])
    at = np.searchsorted(share, np.sort(wanted))
    return np.unique(np.clip(at, 0, len(share) - 1))


def categories(
    names: Sequence[str], counts: Sequence[int], *, others: int, nulls: int
) -> Column:
    """Make the column of categories.

    Parameters
    ----------
    names, counts
        Categories and their rows.
    others
        Rows with another category.
    nulls
        Rows without one.

    Returns
    -------
    Column
        Ready for `chance`.
    """
    seen = sum(counts) + others + nulls + 1
    every = (*counts, others)
    chances = [
        min(1.0, (sum(other for other in every if other <= count) + 1) / seen)
        for count in every
    ]
    index = {name: i for i, name in enumerate(names)}
    return Column([], index, [*chances, min(1.0, (nulls + 1) / seen)])


def _powers(
    edges: Floats, counts: NDArray[np.int64], low: float, high: float
) -> tuple[float, float, float]:
    """Return the median and the tail indices below and above it, 0 where not known."""
    n = int(counts.sum())
    if n * tails.TOP < tails.LEAST_EXCESSES or not math.isfinite(high - low) or high <= low:
        return 0.0, 0.0, 0.0
    # Where in its bin a value stands is not known: its outer edge is the careful guess.
    uppers, lowers = np.append(edges, high), np.concatenate([[low], edges])
    share = np.cumsum(counts) / n
    middle = float(uppers[int(np.searchsorted(share, 0.5))])
    above = tails.hill(np.minimum(uppers, high) - middle, counts, n)
    below = tails.hill((middle - np.maximum(lowers, low))[::-1], counts[::-1], n)
    return middle, below, above

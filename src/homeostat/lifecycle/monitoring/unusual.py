"""Which rows hold what the baseline never or hardly saw, and in which column; for `checking`.

A row costs a search in the frozen edges for each column and no more.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import baseline
from homeostat.measures import bins, summary

Floats = NDArray[np.float64]

REASONS = 3


class UnusualRow(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction whose features are rare.

    Attributes
    ----------
    p_value
        Chance that a row of the baseline holds a value as rare as the rarest here, in any
        column (Bonferroni): holds however the columns depend on each other.
    surprise
        Sum of the negative logarithms of the chances of all columns; of rows with equal
        p-values the most surprising comes first.
    reasons
        The rarest columns with the chance of a value as rare.
    """

    id: str
    key: str
    served_at: int
    score: float
    p_value: float
    surprise: float
    reasons: dict[str, float]


class _Column(NamedTuple):
    """Chance of a value as rare as one in each bin; then of none seen before, and of no value.

    `low` and `high` are the range of the baseline; `known` are places of categories.
    """

    edges: list[float]
    known: dict[str, int]
    chances: list[float]
    low: float = -math.inf
    high: float = math.inf


class Baselined:
    """The columns of a baseline, ready to be asked about rows.

    Parameters
    ----------
    frozen
        Of the version that answered. Only its features count, not its score.

    Notes
    -----
    Of a number the chance is twice the smaller tail at its bin, of a category the share of
    all categories that are as rare; one row is added to each so that nothing is impossible.

    References
    ----------
    .. [1] R. A. Fisher, *Statistical Methods for Research Workers*, 1932: sums of logarithms
       of chances. Columns depend on each other, so the sum orders rows and is no test.
    """

    def __init__(self, frozen: baseline.Baseline) -> None:
        self.names = tuple(name for name in frozen.features if name in frozen.bins.columns)
        self._columns = {
            name: _column(frozen.bins.columns[name], frozen.summary.columns[name])
            for name in self.names
        }

    def one(self, row: Mapping[str, Any]) -> tuple[float, float]:
        """Return p-value and surprise of a single row, without a table.

        Parameters
        ----------
        row
            Features by name; one that is not there is missing.
        """
        least, total = 1.0, 0.0
        for name, column in self._columns.items():
            chance = column.chances[_place(column, row.get(name))]
            least = min(least, chance)
            total -= math.log(chance)
        return min(1.0, least * max(1, len(self.names))), total

    def chances(self, rows: pl.DataFrame) -> Floats:
        """Return the chance of a value as rare, shape ``(n, columns)``.

        Parameters
        ----------
        rows
            Features as plain columns; one that is not there is missing everywhere.
        """
        found = np.empty((rows.height, len(self.names)))
        for i, name in enumerate(self.names):
            column = self._columns[name]
            values = rows[name] if name in rows.columns else pl.Series([None] * rows.height)
            chances = np.array(column.chances)
            if column.known:
                names = values.cast(pl.String).to_list()
                found[:, i] = chances[[_place(column, value) for value in names]]
                continue
            x = baseline.numbers(values)
            places = np.searchsorted(np.array(column.edges), x, side="right")
            places[(x < column.low) | (x > column.high)] = len(chances) - 2
            found[:, i] = chances[np.where(np.isnan(x), len(chances) - 1, places)]
        return found

    def rarest(
        self, rows: pl.DataFrame, *, features: pl.DataFrame, limit: int = 20
    ) -> list[UnusualRow]:
        """Return the rows with the rarest values.

        Parameters
        ----------
        rows
            Of the log: id, key, served_at and score.
        features
            The same rows with features as plain columns.
        limit
            At most this many.
        """
        if not self.names or rows.is_empty():
            return []
        chances = self.chances(features)
        surprise = -np.log(chances).sum(axis=1)
        found = []
        for i in np.lexsort((-surprise, chances.min(axis=1)))[:limit].tolist():
            row = rows.row(i, named=True)
            order = np.argsort(chances[i], kind="stable")[:REASONS]
            found.append(
                UnusualRow(
                    id=row["id"],
                    key=row["key"],
                    served_at=row["served_at"],
                    score=row["score"],
                    p_value=min(1.0, float(chances[i].min()) * len(self.names)),
                    surprise=float(surprise[i]),
                    reasons={self.names[j]: float(chances[i, j]) for j in order.tolist()},
                )
            )
        return found


def _place(column: _Column, value: Any) -> int:
    missing = len(column.chances) - 1
    if value is None:
        return missing
    if column.known:
        return column.known.get(str(value), missing - 1)
    if isinstance(value, int | float) and math.isfinite(value):
        if not column.low <= value <= column.high:
            return missing - 1
        return bisect.bisect_right(column.edges, value)
    return missing


def _column(kept: bins.Bins, seen: summary.ColumnSummary) -> _Column:
    n = seen.n + 1
    if isinstance(kept, bins.CategoryBins) or isinstance(seen, summary.CategorySummary):
        return _category(kept, seen)
    counts = seen.count_values
    below = np.cumsum(counts)
    tails = np.minimum(below, below[-1] - below + counts)
    chances = np.minimum(1.0, 2 * (tails + 1) / n)
    gone = (seen.n - seen.n_finite + 1) / n
    return _Column(
        kept.edge_values.tolist(),
        {},
        [*chances.tolist(), min(1.0, 2 / n), min(1.0, gone)],
        -math.inf if seen.minimum is None else seen.minimum,
        math.inf if seen.maximum is None else seen.maximum,
    )


def _category(kept: bins.Bins, seen: summary.ColumnSummary) -> _Column:
    assert isinstance(kept, bins.CategoryBins)
    assert isinstance(seen, summary.CategorySummary)
    n = seen.n + 1
    counts: Sequence[int] = (*seen.counts, seen.others)
    chances = [
        min(1.0, (sum(other for other in counts if other <= count) + 1) / n) for count in counts
    ]
    index = {name: i for i, name in enumerate(kept.categories)}
    return _Column([], index, [*chances, min(1.0, (seen.nulls + 1) / n)])

"""Which rows hold what the baseline never or hardly saw, and in which column; for `checking`.

A row costs a search in the frozen edges for each column and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import baseline
from homeostat.measures import rarity

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


class Baselined:
    """The columns of a baseline, ready to be asked about rows.

    Parameters
    ----------
    frozen
        Of the version that answered. Only its features count, not its score; see
        `rarity.Reference` for how.
    """

    def __init__(self, frozen: baseline.Baseline) -> None:
        self.names = tuple(name for name in frozen.features if name in frozen.bins.columns)
        self._columns = {
            name: baseline.rare(frozen.bins.columns[name], frozen.summary.columns[name])
            for name in self.names
        }
        self._asked = rarity.Reference(self._columns, frozen.surprise)

    def one(self, row: Mapping[str, Any]) -> rarity.Row:
        """Say how rare a single row is, without a table.

        Parameters
        ----------
        row
            Features by name; one that is not there is missing.
        """
        return self._asked.one([row.get(name) for name in self.names])

    def chances(self, rows: pl.DataFrame) -> Floats:
        """Return the chance of a value as rare, shape ``(n, columns)``.

        Parameters
        ----------
        rows
            Features as plain columns; one that is not there is missing everywhere.
        """
        found = np.empty((rows.height, len(self.names)))
        for i, name in enumerate(self.names):
            kept = self._columns[name]
            values = rows[name] if name in rows.columns else pl.Series([None] * rows.height)
            found[:, i] = rarity.chances(kept, baseline.plain(values, kept))
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

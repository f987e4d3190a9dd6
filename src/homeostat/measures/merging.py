"""Add summaries counted on the same bins; windows become hours and hours become days."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import polars as pl

from homeostat.measures import bins, distinct, frequent, summary

AnySummary = TypeVar("AnySummary", summary.NumericSummary, summary.CategorySummary)


def columns(left: AnySummary, right: AnySummary) -> AnySummary:
    """Add two summaries of one column, as if their rows had been counted together.

    Parameters
    ----------
    left, right
        On the same bins.

    Returns
    -------
    NumericSummary or CategorySummary
        Commutative; associative too (sums to rounding; `unseen` while it holds at most 50
        categories, then to `unseen_short` rows).

    Raises
    ------
    ValueError
        When the bins differ.

    Examples
    --------
    >>> kept = bins.freeze_numbers(np.arange(9.0))
    >>> a, b = (summary.summarise_numbers(np.full(2, v), kept) for v in (1.0, 5.0))
    >>> columns(a, b).mean, columns(a, b).n
    (3.0, 4)
    """
    if left.bins_digest != right.bins_digest or type(left) is not type(right):
        msg = f"bins {left.bins_digest} and {right.bins_digest} differ; only equal bins add"
        raise ValueError(msg)
    if isinstance(left, summary.CategorySummary) and isinstance(right, summary.CategorySummary):
        return _merge_categories(left, right)
    assert isinstance(left, summary.NumericSummary)
    assert isinstance(right, summary.NumericSummary)
    return _merge_numbers(left, right)


def _merge_categories(
    left: summary.CategorySummary, right: summary.CategorySummary
) -> summary.CategorySummary:
    names = left.unseen.keys() | right.unseen.keys()
    both = {name: left.unseen.get(name, 0) + right.unseen.get(name, 0) for name in names}
    unseen, short = frequent.listed(both)
    return summary.CategorySummary(
        bins_digest=left.bins_digest,
        n=left.n + right.n,
        nulls=left.nulls + right.nulls,
        counts=tuple(a + b for a, b in zip(left.counts, right.counts, strict=True)),
        others=left.others + right.others,
        unseen=unseen,
        values=distinct.merge(left.values, right.values),
        unseen_short=left.unseen_short + right.unseen_short + short,
    )


def _merge_numbers(
    left: summary.NumericSummary, right: summary.NumericSummary
) -> summary.NumericSummary:
    lows = [s.minimum for s in (left, right) if s.minimum is not None]
    highs = [s.maximum for s in (left, right) if s.maximum is not None]
    counts = np.ascontiguousarray(left.count_values + right.count_values, dtype="<i8")
    return summary.NumericSummary(
        bins_digest=left.bins_digest,
        n=left.n + right.n,
        nulls=left.nulls + right.nulls,
        nans=left.nans + right.nans,
        negative_infinities=left.negative_infinities + right.negative_infinities,
        positive_infinities=left.positive_infinities + right.positive_infinities,
        minimum=min(lows, default=None),
        maximum=max(highs, default=None),
        center=left.center,
        centered_sum=left.centered_sum + right.centered_sum,
        centered_squares=left.centered_squares + right.centered_squares,
        counts=counts.tobytes(),
        values=distinct.merge(left.values, right.values),
    )


def in_pieces(pieces: Iterable[pl.Series], kept: bins.Bins) -> summary.ColumnSummary:
    """Count a column that comes in pieces, of which one at a time is held.

    Parameters
    ----------
    pieces
        One or more, of any number of rows.
    kept
        See `summary.summarise_column`.

    Returns
    -------
    NumericSummary or CategorySummary
        As of the whole column; of a category that is not in the bins see `unseen_short`.

    Raises
    ------
    ValueError
        When there is no piece.

    Examples
    --------
    >>> column = pl.Series([1.0, 2.0, 4.0])
    >>> kept = bins.freeze_column(column)
    >>> in_pieces([column[:1], column[1:]], kept) == summary.summarise_column(column, kept)
    True
    """
    found: summary.ColumnSummary | None = None
    for piece in pieces:
        seen = summary.summarise_column(piece, kept)
        found = seen if found is None else columns(found, seen)  # type: ignore[type-var]
    if found is None:
        msg = "need one piece or more; got none"
        raise ValueError(msg)
    return found


def tables(left: summary.TableSummary, right: summary.TableSummary) -> summary.TableSummary:
    """Add two summaries of one table.

    Parameters
    ----------
    left, right
        Of the same columns, on the same bins.

    Returns
    -------
    TableSummary
        See `columns`.

    Raises
    ------
    ValueError
        When columns or bins differ.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": [1, 2]})
    >>> seen = summary.summarise_table(frame, bins.freeze_table(frame))
    >>> tables(seen, seen).n_rows
    4
    """
    if left.columns.keys() != right.columns.keys():
        odd = sorted(left.columns.keys() ^ right.columns.keys())
        msg = f"summaries of different columns do not add: {odd}"
        raise ValueError(msg)
    both: dict[str, summary.ColumnSummary] = {
        name: columns(one, right.columns[name])  # type: ignore[type-var]
        for name, one in left.columns.items()
    }
    return summary.TableSummary(left.n_rows + right.n_rows, both)

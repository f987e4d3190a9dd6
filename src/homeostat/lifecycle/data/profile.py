"""A snapshot's column summaries in numbers a person reads; doors show them."""

from __future__ import annotations

import math

import msgspec

from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.data.inspection import Summary
from homeostat.measures import bins, histogram, quantile, summary, variety

_FREQUENT = 5


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What one column of a snapshot holds.

    Attributes
    ----------
    name, kind
        As in the schema.
    n_rows, n_missing
        All rows, and those without a value (null or NaN).
    minimum, maximum, mean, deviation
        Of the finite values, in the unit of the column; None where there is no number.
    median
        Estimated to the width of a bin.
    frequent
        The most frequent categories with their number of rows, 2 or more.
    n_different, different_error
        How many different values there are, and the relative standard error of that, 0 where
        it is exact; None where they were not counted.
    examples
        Up to five of the values, rare and frequent ones alike; none of a key.
    histogram
        How many values lie where; None without two different numbers.
    """

    name: str
    kind: str
    n_rows: int
    n_missing: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None
    median: float | None = None
    frequent: tuple[tuple[str, int], ...] = ()
    n_different: int | None = None
    different_error: float | None = None
    examples: tuple[str, ...] = ()
    histogram: histogram.Histogram | None = None


def profile(found: Summary, schema: Schema) -> tuple[ColumnProfile, ...]:
    """Say in numbers what each column holds.

    Parameters
    ----------
    found
        The frozen summary of a snapshot.
    schema
        Of the same snapshot.

    Returns
    -------
    tuple of ColumnProfile
        In the order of the schema; columns without a summary are left out.
    """
    return tuple(
        _with_values(_describe(column, found), found)
        for column in schema.columns
        if column.name in found.columns.columns
    )


def _with_values(told: ColumnProfile, found: Summary) -> ColumnProfile:
    seen = variety.of(found.columns.columns[told.name])
    if seen is None:
        return told
    return msgspec.structs.replace(
        told, n_different=seen.n, different_error=seen.error, examples=seen.examples
    )


def _describe(column: Column, found: Summary) -> ColumnProfile:
    seen = found.columns.columns[column.name]
    frozen = found.bins.columns[column.name]
    if isinstance(seen, summary.NumericSummary) and isinstance(frozen, bins.NumericBins):
        variance = seen.variance
        is_number = column.kind != "timestamp"
        return ColumnProfile(
            name=column.name,
            kind=column.kind,
            n_rows=seen.n,
            n_missing=seen.nulls + seen.nans,
            minimum=column.minimum,
            maximum=column.maximum,
            mean=seen.mean if is_number else None,
            deviation=math.sqrt(variance) if is_number and variance is not None else None,
            median=quantile.of(seen, frozen, 0.5) if is_number else None,
            histogram=histogram.of(seen, frozen, bars=_bars(column)) if is_number else None,
        )
    counted: dict[str, int] = {}
    if isinstance(seen, summary.CategorySummary) and isinstance(frozen, bins.CategoryBins):
        counted = dict(zip(frozen.categories, seen.counts, strict=False))
    often = [name for name, n in counted.items() if n > 1]
    order = sorted(often, key=lambda name: (-counted[name], name))[:_FREQUENT]
    return ColumnProfile(
        name=column.name,
        kind=column.kind,
        n_rows=seen.n,
        n_missing=seen.nulls,
        frequent=tuple((name, counted[name]) for name in order),
    )


def _bars(column: Column) -> int:
    """Return how many bars there are: one for each of a few whole numbers."""
    if column.kind != "integer" or column.minimum is None or column.maximum is None:
        return histogram.BARS
    return min(histogram.BARS, int(column.maximum - column.minimum) + 1)

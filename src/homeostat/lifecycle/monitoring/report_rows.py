"""What a drift report says of one column by every row, as Evidently does; for `report`."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl

from homeostat.lifecycle.monitoring import report_bars, report_columns
from homeostat.measures import evidently, samples

_FEW_VALUES = 10
_SLICE_ROWS = 131_072


def compare(reference: pl.Series, current: pl.Series) -> report_columns.ColumnDrift:
    """Compare one column of two tables by every single row, as Evidently does.

    Parameters
    ----------
    reference, current
        The column in either table, any number of rows.

    Returns
    -------
    report_columns.ColumnDrift
        With a note where there is nothing to compare.
    """
    kind, told = report_columns.common_kind(reference, current)
    if told:
        return report_columns.nothing(reference.name, kind, told)
    if kind in {"number", "time"}:
        return _numbers_evidently(reference, current, kind)
    return _categories(reference, current, kind)


def _numbers_evidently(
    reference: pl.Series, current: pl.Series, kind: report_columns.Kind
) -> report_columns.ColumnDrift:
    n_values = len(reference), len(current)
    x, y = _finite(reference), _finite(current)
    found = report_columns.ColumnDrift(
        name=reference.name,
        kind=kind,
        n_reference=len(x),
        n_current=len(y),
        missing_reference=report_columns.missing_share(len(x), n_values[0]),
        missing_current=report_columns.missing_share(len(y), n_values[1]),
        values=dict.fromkeys(report_columns.STATISTICS),
    )
    if not len(x) or not len(y):
        return msgspec.structs.replace(found, note="no values to compare")
    if kind == "time":
        return msgspec.structs.replace(found, note="Evidently does not compare times")
    deviation = evidently.pandas_deviation(x)
    x.sort()
    y.sort()
    n_distinct = _n_distinct(y)
    by_value = y.dtype.kind == "i" and n_distinct <= _FEW_VALUES
    scores = evidently.compare_numbers(x, y, deviation=deviation, by_value=by_value)
    found = msgspec.structs.replace(found, bars=report_bars.of_samples(x, y))
    as_kind: evidently.Kind = "category" if by_value else "number"
    return _decided(found, scores, kind=as_kind, n_values=_n_both(x, y))


def _decided(
    found: report_columns.ColumnDrift,
    scores: evidently.Scores,
    *,
    kind: evidently.Kind,
    n_values: int,
) -> report_columns.ColumnDrift:
    """Add the statistics, and what the one that Evidently goes by says."""
    chosen = evidently.choose(
        scores, kind=kind, n_reference=found.n_reference, n_values=n_values
    )
    return msgspec.structs.replace(
        found,
        values={name: getattr(scores, name) for name in report_columns.STATISTICS},
        test=chosen.test,
        score=chosen.score,
        threshold=chosen.threshold,
        is_drifted=chosen.is_drifted,
    )


def _finite(values: pl.Series) -> samples.Numbers:
    """Return finite values as numpy, in a piece of memory of its own.

    Integers beside nulls become floating-point numbers, as pandas reads them.
    """
    known = values.drop_nulls() if values.null_count() else values
    if known.dtype.is_temporal():
        known = known.to_physical()
    kind = known.dtype
    beside_nulls = kind.is_integer() and len(known) < len(values)
    if kind.is_decimal() or beside_nulls or kind in {pl.Int128, pl.UInt128}:
        known = known.cast(pl.Float64)
    found = known.to_numpy(writable=True) if len(known) else np.zeros(0)  # it will be sorted
    if found.dtype.kind == "f":
        is_finite = np.isfinite(found)
        return found if is_finite.all() else found[is_finite]
    return found


def _n_distinct(ordered: samples.Numbers) -> int:
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + 1


def _n_both(x: samples.Numbers, y: samples.Numbers) -> int:
    """Count the distinct values of both; many are not counted exactly, nobody asks."""
    most = max(_n_distinct(x), _n_distinct(y))
    if most > evidently.FEW_VALUES:
        return most
    return len({value for rows in (x, y) for value in samples.distinct(rows)[0].tolist()})


def _categories(
    reference: pl.Series, current: pl.Series, kind: report_columns.Kind
) -> report_columns.ColumnDrift:
    counted = _aligned(reference, current)
    r, c = (counted[side].to_numpy().astype(np.int64) for side in ("r", "c"))
    found = report_columns.ColumnDrift(
        name=reference.name,
        kind=kind,
        n_reference=int(r.sum()),
        n_current=int(c.sum()),
        missing_reference=report_columns.missing_share(int(r.sum()), len(reference)),
        missing_current=report_columns.missing_share(int(c.sum()), len(current)),
        values=dict.fromkeys(report_columns.STATISTICS),
    )
    if not found.n_reference or not found.n_current:
        return msgspec.structs.replace(found, note="no values to compare")
    is_text = current.dtype == pl.String and np.count_nonzero(c) > found.n_current / 2
    if is_text:
        found = msgspec.structs.replace(found, kind="text", note="nearly every value differs")
    else:
        found = msgspec.structs.replace(found, bars=report_bars.of_categories(counted, r, c))
    scores = evidently.compare_categories(r, c)
    return _decided(found, scores, kind="text" if is_text else "category", n_values=len(r))


def _aligned(reference: pl.Series, current: pl.Series) -> pl.DataFrame:
    """Return ``value r c``: rows of each category in both tables, in order of the values."""
    sides = [_counted(values, side) for values, side in ((reference, "r"), (current, "c"))]
    both = sides[0].join(sides[1], on="value", how="full", coalesce=True)
    return both.with_columns(pl.col("r", "c").fill_null(0)).sort("value")


def _counted(values: pl.Series, side: str) -> pl.DataFrame:
    """Count the rows of each category, some rows at a time: the tables stay small."""
    kind = pl.Boolean if values.dtype == pl.Boolean else pl.String
    parts = [
        values.slice(start, _SLICE_ROWS).drop_nulls().alias("value").value_counts(name=side)
        for start in range(0, max(1, len(values)), _SLICE_ROWS)
    ]
    whole = parts[0]
    if len(parts) > 1:
        whole = pl.concat(parts).group_by("value").agg(pl.col(side).sum())
    return whole.with_columns(pl.col("value").cast(kind))

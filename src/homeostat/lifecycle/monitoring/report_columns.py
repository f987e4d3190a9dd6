"""What a drift report says of one column, under each convention; called by `report`."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import report_bars
from homeostat.measures import bins, drift, evidently, noise, samples, summary

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Kind = Literal["number", "time", "category", "boolean", "text", "other"]

STATISTICS = ("psi", "ks", "ks_p", "wasserstein", "js", "chi2_p")
LEAST_ROWS = 30
LEAST_EFFECT = 0.1
LEVEL = 0.01
GROUPS = 10
_FEW_VALUES = 10
_LEAST_EXPECTED = 5.0
_SLICE_ROWS = 131_072


class ColumnDrift(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a report.

    `values` has the six statistics of `STATISTICS`, None where one does not apply; `noise`
    the mean of some of them when nothing has changed. `test` is what decides `is_drifted`,
    by `score` against `threshold`; `p_value` is not yet adjusted for the number of columns.
    """

    name: str
    kind: Kind
    n_reference: int = 0
    n_current: int = 0
    missing_reference: float | None = None
    missing_current: float | None = None
    values: dict[str, float | None]
    noise: dict[str, float] = {}
    test: str | None = None
    score: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    is_drifted: bool = False
    note: str = ""
    bars: tuple[report_bars.Bar, ...] = ()


def nothing(name: str, kind: Kind, note: str) -> ColumnDrift:
    """Return a column that cannot be compared, and why."""
    return ColumnDrift(name=name, kind=kind, values=dict.fromkeys(STATISTICS), note=note)


def kind_of(values: pl.Series) -> Kind:
    """Say what a column holds, by its type alone."""
    kind = values.dtype
    if kind == pl.Boolean:
        return "boolean"
    if kind.is_numeric():
        return "number"
    if kind.is_temporal():
        return "time"
    # Types with parameters are not found in a set of types.
    named = (pl.String, pl.Categorical, pl.Enum, pl.Null)
    return "category" if any(kind == one for one in named) else "other"


def compare(
    reference: pl.Series, current: pl.Series, *, convention: Literal["homeostat", "evidently"]
) -> ColumnDrift:
    """Compare one column of two tables.

    Parameters
    ----------
    reference, current
        The column in either table, any number of rows.
    convention
        See `report.drift_report`.

    Returns
    -------
    ColumnDrift
        With a note where there is nothing to compare.
    """
    kinds = [kind_of(values) for values in (reference, current)]
    if reference.dtype == pl.Null:
        kinds[0] = kinds[1]
    if current.dtype == pl.Null:
        kinds[1] = kinds[0]
    name, kind = reference.name, kinds[0]
    if kinds[0] != kinds[1]:
        told = f"a {kinds[0]} ({reference.dtype}) became a {kinds[1]} ({current.dtype})"
        return nothing(name, kind, told)
    if kind == "other":
        return nothing(name, kind, f"values of type {reference.dtype} are not compared")
    if kind in {"number", "time"}:
        by = _numbers_evidently if convention == "evidently" else _numbers
        return by(reference, current, kind)
    return _categories(reference, current, kind, is_exact=convention == "evidently")


def _missing(known: int, rows: int) -> float | None:
    return 1 - known / rows if rows else None


def _numbers_evidently(reference: pl.Series, current: pl.Series, kind: Kind) -> ColumnDrift:
    n_values = len(reference), len(current)
    x, y = _finite(reference), _finite(current)
    found = ColumnDrift(
        name=reference.name,
        kind=kind,
        n_reference=len(x),
        n_current=len(y),
        missing_reference=_missing(len(x), n_values[0]),
        missing_current=_missing(len(y), n_values[1]),
        values=dict.fromkeys(STATISTICS),
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
    chosen = evidently.choose(
        scores,
        kind="category" if by_value else "number",
        n_reference=len(x),
        n_values=_n_both(x, y),
    )
    return msgspec.structs.replace(
        found,
        values=_values(scores),
        test=chosen.test,
        score=chosen.score,
        threshold=chosen.threshold,
        is_drifted=chosen.is_drifted,
        bars=report_bars.of_samples(x, y),
    )


def _values(scores: evidently.Scores) -> dict[str, float | None]:
    return {name: getattr(scores, name) for name in STATISTICS}


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


def _numbers(reference: pl.Series, current: pl.Series, kind: Kind) -> ColumnDrift:
    kept = bins.freeze_column(reference.cast(pl.Float64) if kind == "number" else reference)
    seen = [summary.summarise_column(values, kept) for values in (reference, current)]
    assert isinstance(kept, bins.NumericBins)
    before, after = seen
    assert isinstance(before, summary.NumericSummary)
    assert isinstance(after, summary.NumericSummary)
    return numbers_from_summaries(reference.name, kind, kept, (before, after))


def numbers_from_summaries(
    name: str,
    kind: Kind,
    kept: bins.NumericBins,
    seen: tuple[summary.NumericSummary, summary.NumericSummary],
) -> ColumnDrift:
    """Compare two summaries of one numeric column, without its rows.

    Parameters
    ----------
    name, kind
        Of the column.
    kept
        The bins both were counted on.
    seen
        Of the reference and of the current rows.

    Returns
    -------
    ColumnDrift
        `psi`, `js` on about ten groups of equal share; `ks`, `wasserstein` on all bins.
    """
    before, after = seen
    r, c = before.count_values, after.count_values
    found = ColumnDrift(
        name=name,
        kind=kind,
        n_reference=before.n_finite,
        n_current=after.n_finite,
        missing_reference=_missing(before.n_finite, before.n),
        missing_current=_missing(after.n_finite, after.n),
        values=dict.fromkeys(STATISTICS),
    )
    if not before.n_finite or not after.n_finite:
        return msgspec.structs.replace(found, note="no values to compare")
    groups = drift.group_bins(r, groups=GROUPS)
    grouped = [np.bincount(groups, weights=x).astype(np.int64) for x in (r, c)]
    found = _judged(found, grouped[0], grouped[1])
    ks = drift.kolmogorov_smirnov(r, c)
    deviation = math.sqrt(before.variance or 0.0) or evidently.LEAST_DEVIATION
    far, usual = noise.wasserstein(r, c, kept.edge_values)
    return msgspec.structs.replace(
        found,
        values={
            **found.values,
            "ks": ks.value,
            "ks_p": ks.p_value,
            "wasserstein": far / deviation,
            "chi2_p": None,
        },
        noise={**found.noise, "ks": ks.noise, "wasserstein": usual / deviation},
        bars=report_bars.of_summaries(kept, before, after),
    )


def categories_from_summaries(
    name: str,
    kept: bins.CategoryBins,
    seen: tuple[summary.CategorySummary, summary.CategorySummary],
) -> ColumnDrift:
    """Compare two summaries of one categorical column, without its rows.

    Parameters
    ----------
    name
        Of the column.
    kept
        The categories both were counted on.
    seen
        Of the reference and of the current rows.

    Returns
    -------
    ColumnDrift
        Unseen and rare categories count together as one.
    """
    names = [*kept.categories, "(others)"]
    r, c = (np.array([*each.counts, each.others], dtype=np.int64) for each in seen)
    kind: Kind = "boolean" if set(kept.categories) <= {"true", "false"} else "category"
    found = ColumnDrift(
        name=name,
        kind=kind,
        n_reference=int(r.sum()),
        n_current=int(c.sum()),
        missing_reference=_missing(int(r.sum()), seen[0].n),
        missing_current=_missing(int(c.sum()), seen[1].n),
        values=dict.fromkeys(STATISTICS),
    )
    if not found.n_reference or not found.n_current:
        return msgspec.structs.replace(found, note="no values to compare")
    occurring = (r + c) > 0
    shown = pl.DataFrame({"value": pl.Series(names).filter(pl.Series(occurring))})
    r, c = r[occurring], c[occurring]
    found = msgspec.structs.replace(found, bars=report_bars.of_categories(shown, r, c))
    return _judged(found, r, c)


def _judged(found: ColumnDrift, reference: Counts, current: Counts) -> ColumnDrift:
    """Add what two histograms say, and whether it is more than the noise of their sizes."""
    psi = drift.population_stability_index(reference, current)
    js = drift.jensen_shannon(reference, current)
    r, c = join_rare(reference, current)
    chi2 = drift.chi_square(r, c)
    values = {**found.values, "psi": psi.value, "js": js.value, "chi2_p": chi2.p_value}
    few = min(found.n_reference, found.n_current)
    return msgspec.structs.replace(
        found,
        values=values,
        noise={"psi": psi.noise, "js": js.noise},
        test="psi above noise",
        score=psi.value - psi.noise,
        threshold=LEAST_EFFECT,
        p_value=chi2.p_value if few >= LEAST_ROWS else None,
        note=f"not enough data: {few} rows, {LEAST_ROWS} needed" if few < LEAST_ROWS else "",
    )


def join_rare(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """Join cells with fewer than five expected rows, or chi-square would be too sure."""
    n, m = int(reference.sum()), int(current.sum())
    rare = (reference + current) * (min(n, m) / (n + m)) < _LEAST_EXPECTED
    if not rare.any():
        return reference, current
    return (
        np.append(reference[~rare], reference[rare].sum()),
        np.append(current[~rare], current[rare].sum()),
    )


def _categories(
    reference: pl.Series, current: pl.Series, kind: Kind, *, is_exact: bool
) -> ColumnDrift:
    counted = _aligned(reference, current)
    r, c = (counted[side].to_numpy().astype(np.int64) for side in ("r", "c"))
    found = ColumnDrift(
        name=reference.name,
        kind=kind,
        n_reference=int(r.sum()),
        n_current=int(c.sum()),
        missing_reference=_missing(int(r.sum()), len(reference)),
        missing_current=_missing(int(c.sum()), len(current)),
        values=dict.fromkeys(STATISTICS),
    )
    if not found.n_reference or not found.n_current:
        return msgspec.structs.replace(found, note="no values to compare")
    is_text = current.dtype == pl.String and np.count_nonzero(c) > found.n_current / 2
    if is_text:
        found = msgspec.structs.replace(found, kind="text", note="nearly every value differs")
    else:
        found = msgspec.structs.replace(found, bars=report_bars.of_categories(counted, r, c))
    if not is_exact:
        return found if is_text else _judged(found, r, c)
    scores = evidently.compare_categories(r, c)
    chosen = evidently.choose(
        scores,
        kind="text" if is_text else "category",
        n_reference=found.n_reference,
        n_values=len(r),
    )
    return msgspec.structs.replace(
        found,
        values=_values(scores),
        test=chosen.test,
        score=chosen.score,
        threshold=chosen.threshold,
        is_drifted=chosen.is_drifted,
    )


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

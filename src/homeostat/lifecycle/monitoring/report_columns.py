"""What a drift report says of one column, from summaries of both tables; for `report`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import drift as shifts
from homeostat.lifecycle.monitoring import report_bars
from homeostat.measures import (
    bins,
    drift,
    evidently,
    merging,
    noise,
    summary,
    variety,
)

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Kind = Literal["number", "time", "category", "boolean", "text", "other"]

STATISTICS = ("psi", "ks", "ks_p", "wasserstein", "js", "chi2_p")
LEAST_ROWS = 30
LEAST_EFFECT = 0.1
LEVEL = 0.01
GROUPS = 10


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


def compare(reference: pl.Series, current: Iterable[pl.Series]) -> ColumnDrift:
    """Compare one column of two tables on bins frozen from the first.

    Parameters
    ----------
    reference
        The column, any number of rows.
    current
        The column in the other table in one piece or more, of which one at a time is held.

    Returns
    -------
    ColumnDrift
        With a note where there is nothing to compare.
    """
    pieces = iter(current)
    first = next(pieces)
    kind, told = common_kind(reference, first)
    if told:
        return nothing(reference.name, kind, told)
    name = reference.name
    kept = bins.freeze_column(reference.cast(pl.Float64) if kind == "number" else reference)
    before = summary.summarise_column(reference, kept)
    after = merging.in_pieces(itertools.chain([first], pieces), kept)
    if isinstance(before, summary.NumericSummary) and isinstance(after, summary.NumericSummary):
        assert isinstance(kept, bins.NumericBins)
        return numbers_from_summaries(name, kind, kept, (before, after))
    assert isinstance(kept, bins.CategoryBins)
    assert isinstance(before, summary.CategorySummary)
    assert isinstance(after, summary.CategorySummary)
    found = categories_from_summaries(name, kept, (before, after))
    known = variety.of(after)
    if first.dtype == pl.String and known and known.n > found.n_current / 2:
        return _as_text(found)
    return msgspec.structs.replace(found, kind=kind)


def _as_text(found: ColumnDrift) -> ColumnDrift:
    """Return a column whose texts differ too much to be categories: nothing is compared."""
    rows = ("n_reference", "n_current", "missing_reference", "missing_current")
    empty = nothing(found.name, "text", "nearly every value differs")
    return msgspec.structs.replace(empty, **{name: getattr(found, name) for name in rows})


def common_kind(reference: pl.Series, current: pl.Series) -> tuple[Kind, str]:
    """Return what both columns hold, and why they cannot be compared where that is so."""
    kinds = [kind_of(values) for values in (reference, current)]
    if reference.dtype == pl.Null:
        kinds[0] = kinds[1]
    if current.dtype == pl.Null:
        kinds[1] = kinds[0]
    kind = kinds[0]
    if kinds[0] != kinds[1]:
        return kind, f"a {kinds[0]} ({reference.dtype}) became a {kinds[1]} ({current.dtype})"
    if kind == "other":
        return kind, f"values of type {reference.dtype} are not compared"
    return kind, ""


def missing_share(known: int, rows: int) -> float | None:
    """Return the share of rows without a value; None without rows."""
    return 1 - known / rows if rows else None


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
        missing_reference=missing_share(before.n_finite, before.n),
        missing_current=missing_share(after.n_finite, after.n),
        values=dict.fromkeys(STATISTICS),
    )
    if not before.n_finite or not after.n_finite:
        return msgspec.structs.replace(found, note="no values to compare")
    groups = drift.group_bins(r, groups=GROUPS)
    grouped = [np.bincount(groups, weights=x).astype(np.int64) for x in (r, c)]
    found = _judged(found, grouped[0], grouped[1], is_ordered=True)
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
        missing_reference=missing_share(int(r.sum()), seen[0].n),
        missing_current=missing_share(int(c.sum()), seen[1].n),
        values=dict.fromkeys(STATISTICS),
    )
    if not found.n_reference or not found.n_current:
        return msgspec.structs.replace(found, note="no values to compare")
    occurring = (r + c) > 0
    shown = pl.DataFrame({"value": pl.Series(names).filter(pl.Series(occurring))})
    r, c = r[occurring], c[occurring]
    found = msgspec.structs.replace(found, bars=report_bars.of_categories(shown, r, c))
    return _judged(found, r, c, is_ordered=False)


def _judged(
    found: ColumnDrift, reference: Counts, current: Counts, *, is_ordered: bool
) -> ColumnDrift:
    """Add what two histograms say, and whether it is more than the noise of their sizes."""
    psi = drift.population_stability_index(reference, current)
    js = drift.jensen_shannon(reference, current)
    few = min(found.n_reference, found.n_current)
    groups = shifts.joined(reference, current, is_ordered=is_ordered, series=noise.Design())
    note = shifts.lacking(few, groups.n_needed)
    if few < LEAST_ROWS:
        note = f"not enough data: {few} rows, {LEAST_ROWS} needed"
    p_value = None
    if len(groups.reference) > 1 or not groups.n_needed:
        p_value = drift.chi_square(groups.reference, groups.current).p_value
    values = {**found.values, "psi": psi.value, "js": js.value, "chi2_p": p_value}
    return msgspec.structs.replace(
        found,
        values=values,
        noise={"psi": psi.noise, "js": js.noise},
        test="psi above noise",
        score=psi.value - psi.noise,
        threshold=LEAST_EFFECT,
        p_value=None if few < LEAST_ROWS else p_value,
        note=note,
    )

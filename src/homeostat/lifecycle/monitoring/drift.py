"""How far a column has moved from its baseline, and whether by chance; for `columns`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import baseline
from homeostat.measures import drift as distances
from homeostat.measures import noise, summary

# The usual border of "moderate" for this index, here after the noise of the window is taken
# off; smaller shifts are real in large windows but nothing a person needs to hear of.
LEAST_EFFECT = 0.1
_LEAST_EXPECTED = 5.0


Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class Shift(NamedTuple):
    """Population stability index less its noise, and the chance of it without a shift.

    `lacking` says why there is no telling, empty where there is.
    """

    effect: float
    p_value: float
    lacking: str = ""


class Groups(NamedTuple):
    """Rows of a reference and of newer rows in groups that these can tell apart.

    `n_needed` is about how many rows two groups take, 0 where there are two or where all rows
    are alike; `series` is the design of the groups that are left.
    """

    reference: Counts
    current: Counts
    series: noise.Design
    n_needed: int = 0


def shift(codes: baseline.Codes, profile: baseline.Profile) -> Shift:
    """Compare the groups of a window with those of the baseline.

    Parameters
    ----------
    codes
        Shape ``(n,)``, from `baseline.group`; missing values are left out (they have a test
        of their own).
    profile
        Of the baseline.

    Returns
    -------
    Shift
        No effect and p-value 1 when there is nothing to compare.
    """
    missing = len(profile.grouped) - 1
    return of_counts(np.bincount(codes, minlength=missing + 1)[:missing], profile)


def of_summary(
    seen: summary.ColumnSummary, reference: summary.ColumnSummary, profile: baseline.Profile
) -> Shift:
    """Compare the summary of a window with that of the baseline; the rows are not needed.

    Parameters
    ----------
    seen, reference
        Of one column, on the same bins.
    profile
        Of the baseline.

    Returns
    -------
    Shift
        The same as of the rows.
    """
    return of_counts(grouped(seen, reference), profile)


def grouped(seen: summary.ColumnSummary, reference: summary.ColumnSummary) -> Counts:
    """Return how many rows of a summary are in each group of the baseline, none missing."""
    if isinstance(seen, summary.CategorySummary):
        return np.array([*seen.counts, seen.others], dtype=np.int64)
    assert isinstance(seen, summary.NumericSummary)
    assert isinstance(reference, summary.NumericSummary)
    groups = distances.group_bins(reference.count_values, groups=baseline.GROUPS)
    return np.bincount(groups, weights=seen.count_values).astype(np.int64)


def of_counts(current: NDArray[np.int64], profile: baseline.Profile) -> Shift:
    """Compare the rows in each group with those of the baseline; missing ones are left out."""
    reference = np.array(profile.grouped[:-1], dtype=np.int64)
    n, m = int(reference.sum()), int(current.sum())
    if not n or not m:
        return Shift(0.0, 1.0, "nothing to compare: no value" if n else "")
    groups = joined(reference, current, is_ordered=profile.is_number, series=profile.dependence)
    if len(groups.reference) < 2:  # noqa: PLR2004 - one group cannot move
        return Shift(0.0, 1.0, lacking(m, groups.n_needed))
    found = distances.chi_square(groups.reference, groups.current)
    index = distances.population_stability_index(groups.reference, groups.current)
    # Rows that depend on each other in time tell less than as many independent ones.
    p_value = noise.chi_square_tail(found.value, round(found.noise), groups.series)
    return Shift(index.value - index.noise * groups.series.effect, p_value)


def lacking(n_rows: int, n_needed: int) -> str:
    """Say that rows are too few to be compared; nothing where none are needed."""
    return f"not enough data: {n_rows:,} rows, about {n_needed:,} needed" if n_needed else ""


def joined(
    reference: Counts, current: Counts, *, is_ordered: bool, series: noise.Design
) -> Groups:
    """Join groups too rare for these rows, or chi-square would be too sure of itself.

    Each group that is left expects the worth of five independent rows (Cochran 1954), which
    takes so many times more of rows that come in bursts; ordered groups join their neighbours,
    others one group of all that are rare. With one group left there is not enough data.

    Parameters
    ----------
    reference, current
        Shape ``(k,)`` each, a row in each.
    is_ordered
        Whether neighbouring groups are alike.
    series
        How the rows depend on each other.

    Returns
    -------
    Groups
        At least one.
    """
    both = reference + current
    pooled = both / both.sum() * min(reference.sum(), current.sum())
    while True:
        needed = _LEAST_EXPECTED * max(1.0, series.effect)
        groups = _neighbours(pooled, needed) if is_ordered else _rare(pooled, needed)
        n_groups = int(groups.max()) + 1
        again = series.joined(max(1, n_groups - 1))
        if n_groups < 2 or again.effect <= series.effect:  # noqa: PLR2004 - nothing to join
            break
        series = again
    found = (np.bincount(groups, weights=each) for each in (reference, current))
    before, now = (each.astype(np.int64) for each in found)
    lesser = _lesser_half(both / both.sum(), is_ordered=is_ordered)
    is_short = n_groups < 2 and lesser > 0  # noqa: PLR2004 - as above
    return Groups(before, now, series, math.ceil(needed / lesser) if is_short else 0)


def _lesser_half(shares: Floats, *, is_ordered: bool) -> float:
    """Return the share of the smaller of two groups, cut as evenly as it goes."""
    if not is_ordered:
        return min(float(shares.max()), 1 - float(shares.max()))
    below = np.cumsum(shares)[:-1]
    return float(np.minimum(below, 1 - below).max(initial=0.0))


def _neighbours(expected: Floats, needed: float) -> NDArray[np.intp]:
    """Return a number for each group; neighbours which are too rare share one."""
    numbers = np.zeros(len(expected), dtype=np.intp)
    number, held = 0, 0.0
    for i, rows in enumerate(expected):
        numbers[i] = number
        held += float(rows)
        if held >= needed and float(expected[i + 1 :].sum()) >= needed:
            number, held = number + 1, 0.0
    return numbers


def _rare(expected: Floats, needed: float) -> NDArray[np.intp]:
    """Return a number for each group; all which are too rare share one, if that is enough."""
    is_rare = expected < needed
    kept = np.cumsum(~is_rare) - 1
    n_kept = int((~is_rare).sum())
    if n_kept and expected[is_rare].sum() < needed:
        last = int(np.flatnonzero(~is_rare)[np.argmin(expected[~is_rare])])
        return np.where(is_rare, kept[last], kept)
    return np.where(is_rare, n_kept, kept)

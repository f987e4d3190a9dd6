"""How far a column has moved from its baseline, and whether by chance; for `columns`."""

from __future__ import annotations

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
    """Population stability index less its noise, and the chance of it without a shift."""

    effect: float
    p_value: float


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
    if isinstance(seen, summary.CategorySummary):
        return of_counts(np.array([*seen.counts, seen.others]), profile)
    assert isinstance(reference, summary.NumericSummary)
    groups = distances.group_bins(reference.count_values, groups=baseline.GROUPS)
    grouped = np.bincount(groups, weights=seen.count_values)
    return of_counts(grouped.astype(np.int64), profile)


def of_counts(current: NDArray[np.int64], profile: baseline.Profile) -> Shift:
    """Compare the rows in each group with those of the baseline; missing ones are left out."""
    reference = np.array(profile.grouped[:-1], dtype=np.int64)
    n, m = int(reference.sum()), int(current.sum())
    if not n or not m:
        return Shift(0.0, 1.0)
    reference, current, series = _joined(reference, current, profile)
    if len(reference) < 2:  # noqa: PLR2004 - one group cannot move
        return Shift(0.0, 1.0)
    found = distances.chi_square(reference, current)
    index = distances.population_stability_index(reference, current)
    # Rows that depend on each other in time tell less than as many independent ones.
    p_value = noise.chi_square_tail(found.value, round(found.noise), series)
    return Shift(index.value - index.noise * series.effect, p_value)


def _joined(
    reference: Counts, current: Counts, profile: baseline.Profile
) -> tuple[Counts, Counts, noise.Design]:
    """Join groups too rare for this window, or chi-square would be too sure of itself.

    Each group that is left expects the worth of five independent rows (Cochran 1954), which
    takes so many times more of rows that come in bursts; numbers join their neighbours,
    categories one group of all that are rare. With one group left there is not enough data.
    """
    pooled = (reference + current) / (reference.sum() + current.sum()) * current.sum()
    series = profile.dependence
    while True:
        needed = _LEAST_EXPECTED * max(1.0, series.effect)
        groups = _neighbours(pooled, needed) if profile.is_number else _rare(pooled, needed)
        n_groups = int(groups.max()) + 1
        again = profile.dependence.joined(max(1, n_groups - 1))
        if n_groups < 2 or again.effect <= series.effect:  # noqa: PLR2004 - nothing to join
            break
        series = again
    found = (np.bincount(groups, weights=each) for each in (reference, current))
    before, now = (each.astype(np.int64) for each in found)
    return before, now, series


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

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
    # Groups too rare for this window are joined, or chi-square would be too sure of itself.
    expected = (reference + current) * (m / (n + m))
    rare = expected < _LEAST_EXPECTED
    if rare.any():
        reference = np.append(reference[~rare], reference[rare].sum())
        current = np.append(current[~rare], current[rare].sum())
    found = distances.chi_square(reference, current)
    index = distances.population_stability_index(reference, current)
    # Rows that depend on each other in time tell less than as many independent ones.
    series = profile.dependence
    p_value = noise.chi_square_tail(found.value, round(found.noise), series)
    return Shift(index.value - index.noise * series.effect, p_value)

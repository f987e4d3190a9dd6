"""Has a column changed its unit? Found row by row, so half a window can be kept; for `judge`.

Each row is asked whether the value, or the value divided by a factor, looks like the baseline;
the log-likelihood ratio on the scale of magnitudes is added up, and the stretch of rows with
the largest sum is where the unit differs. A natural shift does not pass: the value itself must
not fit, and the divided values must fill the baseline's distribution, not a corner of it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import baseline
from homeostat.measures import bins, drift, summary

Floats = NDArray[np.float64]

# Cents, minutes, seconds, grams, basis points, micro-units, and the same backwards. Factors
# near one (pounds, miles) cannot be told from a natural shift and are not tried.
_UP = (10.0, 60.0, 100.0, 1e3, 3600.0, 1e4, 1e5, 1e6)
FACTORS = (*_UP, *(1 / factor for factor in _UP))
_SHIFTS = np.array([math.log10(f) * baseline.CELLS_PER_DECADE for f in FACTORS])
_CLIP = 4.0
_LEAST_ROWS = 16
# Prices and counts do rise tenfold for an hour; nothing natural keeps doing it for long.
_LEAST_ROWS_TENFOLD = 50
_LEAST_MEMORIES = 4
_LEAST_DISTINCT = 5
_LEAST_TOTAL = 30.0
_LEAST_MEAN = 1.5
_RAW_DISTANCE = 0.5
_FIT_DISTANCE = 0.15
_NEAR_BEST = 0.9
# A slip of the decimal point is the likelier mistake where two factors fit.
_ODD_FACTOR = 0.1


class UnitChange(NamedTuple):
    """Rows ``[first, end)`` of the window hold `factor` times the agreed value."""

    first: int
    end: int
    factor: float
    evidence: float


def find(
    x: Floats, profile: baseline.Profile, kept: bins.NumericBins, seen: summary.NumericSummary
) -> UnitChange | None:
    """Return the stretch of rows in another unit.

    Parameters
    ----------
    x
        Shape ``(n,)``, the column in time order, NaN where missing.
    profile, kept, seen
        Of the baseline.

    Returns
    -------
    UnitChange or None
        With evidence in nats; None when the column was constant in the baseline, or fits.
    """
    if profile.is_constant or not profile.magnitudes:
        return None
    gains = _gains(x, profile)
    totals = np.concatenate([np.zeros((1, len(FACTORS))), np.cumsum(gains, axis=0)])
    lowest = np.minimum.accumulate(totals, axis=0)
    best = (totals - lowest).max(axis=0)
    # Rows that follow each other leave their usual magnitudes together, and tell less: by
    # the largest factor, for a stretch is chosen where the slowest wave is furthest out.
    needed = _LEAST_TOTAL * profile.dependence.largest
    if best.max() < needed:
        return None
    changes = [
        change
        for j in np.flatnonzero(best >= max(needed, _NEAR_BEST * best.max()))
        if (change := _stretch(totals[:, j], lowest[:, j], FACTORS[j]))
        and change.end - change.first >= _LEAST_MEMORIES * profile.dependence.memory
    ]
    weight = profile.dependence.largest
    judged = [(_misfit(x[c.first : c.end], c, kept, seen, weight=weight), c) for c in changes]
    fitting = [
        (misfit + (0.0 if _is_power_of_ten(c.factor) else _ODD_FACTOR), c)
        for misfit, c in judged
        if misfit is not None
    ]
    return min(fitting)[1] if fitting else None


def _is_power_of_ten(factor: float) -> bool:
    return abs(math.log10(factor) - round(math.log10(factor))) < 1e-9  # noqa: PLR2004 - rounding


def _gains(x: Floats, profile: baseline.Profile) -> Floats:
    """Log-likelihood of each row divided by each factor, less that of the row itself."""
    counts = np.array(profile.magnitudes, dtype=np.float64)
    cells = len(counts)
    logs = np.log(np.concatenate([[0.0], counts, [0.0]]) + 0.5) - math.log(
        counts.sum() + 0.5 * cells
    )
    places = baseline.magnitude(x) - profile.lowest_magnitude
    known = ~np.isnan(places)
    places = np.where(known, places, 0.0)
    raw = logs[np.clip(np.floor(places) + 1, 0, cells + 1).astype(np.intp)]
    scaled = np.floor(places[:, None] - _SHIFTS) + 1
    divided = logs[np.clip(scaled, 0, cells + 1).astype(np.intp)]
    gains = np.clip(divided - raw[:, None], -_CLIP, _CLIP)
    return np.where(known[:, None], gains, 0.0)


def _stretch(totals: Floats, lowest: Floats, factor: float) -> UnitChange | None:
    end = int(np.argmax(totals - lowest))
    # The last of equal minima, so that rows without evidence stay outside.
    first = end - int(np.argmin(totals[: end + 1][::-1]))
    evidence = float(totals[end] - totals[first])
    tenfold = abs(math.log10(factor)) <= 1
    if (
        end - first < (_LEAST_ROWS_TENFOLD if tenfold else _LEAST_ROWS)
        or evidence < _LEAST_MEAN * (end - first) * 0.5
    ):
        return None
    return UnitChange(first, end, factor, evidence)


def _misfit(
    part: Floats,
    change: UnitChange,
    kept: bins.NumericBins,
    seen: summary.NumericSummary,
    *,
    weight: float,
) -> float | None:
    """Distance of the divided values from the baseline; None when this is no unit change."""
    values = part[~np.isnan(part)]
    values = values[values != 0]
    if len(values) < _LEAST_ROWS or len(np.unique(values)) < _LEAST_DISTINCT:
        return None
    if change.evidence < _LEAST_MEAN * len(values):
        return None
    reference = seen.count_values.copy()
    edges = kept.edge_values
    zero = int(np.searchsorted(edges, 0.0, side="right"))
    if zero and edges[zero - 1] == 0.0:  # zero is the same in every unit
        reference[zero] = 0
    if not reference.sum():
        return None
    raw, scaled = (
        drift.kolmogorov_smirnov(
            reference, summary.summarise_numbers(values / f, kept).count_values
        ).value
        for f in (1.0, change.factor)
    )
    limit = min(_FIT_DISTANCE + 0.9 * math.sqrt(weight / len(values)), 0.6 * raw)
    return scaled if raw >= _RAW_DISTANCE and scaled <= limit else None

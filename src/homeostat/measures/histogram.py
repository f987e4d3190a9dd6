"""Evenly wide bars from a summary's frozen bins; profiles of snapshots show them."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from homeostat.measures import bins as frozen
from homeostat.measures import quantile, summary

BARS = 24
TAIL = 0.01
LONG = 4.0
"""A range this many times that of the middle values is cut: its tails would leave one bar."""
SHORT = 1e-12
"""Middle values within this share of the range are one value, which the range shows as well."""


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """How many values lie where.

    Attributes
    ----------
    low, high
        Left edge of the first bar, right edge of the last, in the unit of the column.
    counts
        Values in each bar; not whole where a bin of the summary lies in two bars.
    n_below, n_above
        Finite values left and right of the bars.
    """

    low: float
    high: float
    counts: tuple[float, ...]
    n_below: float = 0.0
    n_above: float = 0.0


def of(
    seen: summary.NumericSummary, bins: frozen.NumericBins, *, bars: int = BARS
) -> Histogram | None:
    """Draw a column's values as evenly wide bars.

    Parameters
    ----------
    seen, bins
        A summary and the bins it was counted on.
    bars
        How many, 1 or more.

    Returns
    -------
    Histogram or None
        From the least to the largest value; without the outer hundredth on either side where
        these reach four times as far as the rest. None without two different finite values.

    Raises
    ------
    ValueError
        When `bars` is less than 1.

    Notes
    -----
    The values of a bin count as spread evenly over it, so a bar is right to the values of the
    two bins at its edges: with the thousand bins of a reference, to 2 in 1,000.

    Examples
    --------
    >>> values = np.arange(1000.0)
    >>> edges = frozen.freeze_numbers(values)
    >>> found = of(summary.summarise_numbers(values, edges), edges, bars=4)
    >>> found.low, found.high, [round(n) for n in found.counts]
    (0.0, 999.0, [250, 250, 250, 250])
    """
    if bars < 1:
        msg = f"need a bar; got {bars}"
        raise ValueError(msg)
    ends = _ends(seen, bins)
    if ends is None:
        return None
    places = np.linspace(*ends, bars + 1)
    below = _below(seen, bins, places)
    counts = np.diff(below)
    return Histogram(
        low=ends[0],
        high=ends[1],
        counts=tuple(round(float(n), 3) for n in counts),
        n_below=round(float(below[0]), 3),
        n_above=round(float(seen.n_finite - below[-1]), 3),
    )


def _ends(seen: summary.NumericSummary, bins: frozen.NumericBins) -> tuple[float, float] | None:
    """Return where the bars begin and end; None where there is no room for one."""
    low, high = seen.minimum, seen.maximum
    inner = quantile.of(seen, bins, TAIL), quantile.of(seen, bins, 1 - TAIL)
    if low is None or high is None or inner[0] is None or inner[1] is None:
        return None
    middle = inner[1] - inner[0]
    if middle > SHORT * (high - low) and high - low > LONG * middle:
        low, high = inner[0], inner[1]
    return (low, high) if low < high and math.isfinite(high - low) else None


def _below(
    seen: summary.NumericSummary, bins: frozen.NumericBins, places: frozen.Floats
) -> frozen.Floats:
    """Return how many finite values lie left of each place; at the largest value, all."""
    assert seen.minimum is not None, "there are values"
    assert seen.maximum is not None, "there are values"
    edges = np.clip(bins.edge_values, seen.minimum, seen.maximum)
    xs = np.concatenate([[seen.minimum], edges, [seen.maximum]])
    cumulated = np.concatenate([[0], np.cumsum(seen.count_values)])
    is_last = np.append(np.diff(xs) > 0, True)  # edges beyond the values fall together
    found = np.interp(places, xs[is_last], cumulated[is_last])
    found[places <= seen.minimum] = 0
    found[places >= seen.maximum] = seen.n_finite
    return np.asarray(found, dtype=np.float64)

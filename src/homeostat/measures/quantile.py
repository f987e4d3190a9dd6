"""Quantiles of a column from its summary; pages, reports and profiles show them."""

from __future__ import annotations

import numpy as np

from homeostat.measures import bins as frozen
from homeostat.measures import summary


def of(seen: summary.NumericSummary, bins: frozen.NumericBins, share: float) -> float | None:
    """Estimate a quantile of the finite values, to the width of a bin.

    Parameters
    ----------
    seen, bins
        A summary and the bins it was counted on.
    share
        In 0 to 1.

    Returns
    -------
    float or None
        Linear within its bin, in the unit of the column; None when nothing finite was seen.

    Raises
    ------
    ValueError
        When `share` is out of range.

    Examples
    --------
    >>> values = np.arange(1001.0)
    >>> bins = frozen.freeze_numbers(values, bins=100)
    >>> round(of(summary.summarise_numbers(values, bins), bins, 0.5))
    500
    """
    if not 0 <= share <= 1:
        msg = f"share must be in 0 to 1; got {share}"
        raise ValueError(msg)
    if seen.minimum is None or seen.maximum is None:
        return None
    counts = seen.count_values
    above = np.cumsum(counts)
    j = int(np.searchsorted(above, share * seen.n_finite, side="left"))
    edges = bins.edge_values
    low = seen.minimum if j == 0 else max(seen.minimum, float(edges[j - 1]))
    high = seen.maximum if j == len(edges) else min(seen.maximum, float(edges[j]))
    part = (share * seen.n_finite - (above[j] - counts[j])) / max(1, counts[j])
    return low + (high - low) * min(1.0, max(0.0, float(part)))

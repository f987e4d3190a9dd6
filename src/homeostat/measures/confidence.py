"""Confidence sequences: intervals for a bounded mean that hold at every look.

Pages draw them for a rollout; the test that goes with them is `betting.bet`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sequence(
    values: Floats,
    *,
    low: float = -1.0,
    high: float = 1.0,
    error: float = 0.05,
    grid: int = 200,
) -> tuple[Floats, Floats]:
    """Return a confidence sequence for the mean of bounded values.

    Parameters
    ----------
    values
        Shape ``(n,)``, in time order, each in [`low`, `high`].
    low, high
        Bounds of the values, in their unit.
    error
        Chance, in (0, 1), that the mean is ever outside.
    grid
        Number of candidate means; ends are rounded outward to it.

    Returns
    -------
    tuple
        Lower and upper ends, shape ``(n,)`` each: after each value, the running intersection.

    Raises
    ------
    ValueError
        When a bound, `error` or `grid` is out of range, or a value is out of bounds.

    Notes
    -----
    The hedged capital process: for each candidate mean the average of two gamblers' wealth,
    one betting above and one below, with predictable plug-in bets; a candidate is dropped for
    good when that wealth reaches ``1 / error`` (section 4 of [1]_). Valid whenever each value
    has the same mean given the past.

    References
    ----------
    .. [1] I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by
       betting", JRSS B 86, 2024.

    Examples
    --------
    >>> lower, upper = sequence(np.full(500, 0.2))
    >>> bool(lower[-1] <= 0.2 <= upper[-1]), bool(upper[-1] - lower[-1] < 0.15)
    (True, True)
    """
    if not low < high or not 0 < error < 1 or grid < 2:  # noqa: PLR2004 - two ends at least
        got = f"{low}, {high}, {error}, {grid}"
        msg = f"need low < high, error inside (0, 1), grid >= 2; got {got}"
        raise ValueError(msg)
    if len(values) and not (np.min(values) >= low and np.max(values) <= high):
        msg = f"values must be in {low} to {high}"
        raise ValueError(msg)
    x = (np.asarray(values, dtype=np.float64) - low) / (high - low)
    bets = _plug_in_bets(x, error)
    means = (np.arange(grid) + 0.5) / grid
    alive = np.ones(grid, dtype=bool)
    up, down = np.zeros(grid), np.zeros(grid)
    lower, upper = np.empty(len(x)), np.empty(len(x))
    for t, (value, size) in enumerate(zip(x, bets, strict=True)):
        up += np.log1p(np.minimum(size, 0.5 / means) * (value - means))
        down += np.log1p(-np.minimum(size, 0.5 / (1 - means)) * (value - means))
        alive &= np.logaddexp(up, down) - math.log(2) < math.log(1 / error)
        kept = np.flatnonzero(alive)
        # A sequence that dropped every candidate met values whose mean moved: keep its last.
        if len(kept):
            lower[t] = max(0.0, means[kept[0]] - 1 / grid)
            upper[t] = min(1.0, means[kept[-1]] + 1 / grid)
        else:
            lower[t], upper[t] = (lower[t - 1], upper[t - 1]) if t else (0.0, 1.0)
    return low + (high - low) * lower, low + (high - low) * upper


def _plug_in_bets(x: Floats, error: float) -> Floats:
    """Size of each bet from the values before it (equation 26 of the paper)."""
    t = np.arange(1, len(x) + 1)
    mean = (0.5 + np.cumsum(x)) / (t + 1)
    spread = (0.25 + np.cumsum((x - mean) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], spread[:-1]]) if len(x) else spread
    return np.asarray(np.sqrt(2 * math.log(2 / error) / (before * t * np.log1p(t))))

"""Tests and intervals for a bounded mean by betting, valid at every look.

The canary bets on paired losses row by row (`bet`); pages draw the confidence sequence.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import sequential

Floats = NDArray[np.float64]


class Betting(msgspec.Struct, frozen=True, kw_only=True):
    """Wealth of a gambler who bets that a bounded mean is above `null_mean`.

    Values lie in [`low`, `high`]. `log_wealth` belongs to `bets`, shares of the largest bet
    that can never lose all; `n` counts values; `log_peak` is the largest `log_e` so far.
    """

    null_mean: float = 0.0
    low: float = -1.0
    high: float = 1.0
    bets: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
    log_wealth: tuple[float, ...] = ()
    n: int = 0
    total: float = 0.0
    log_peak: float = 0.0

    @property
    def log_e(self) -> float:
        """Log of the mean wealth; an e-process for "the mean is at most `null_mean`"."""
        return sequential.log_mean_exp(self.log_wealth) if self.log_wealth else 0.0

    @property
    def mean(self) -> float | None:
        """Mean of the values; None before the first."""
        return self.total / self.n if self.n else None


def bet(state: Betting, value: float) -> Betting:
    """Bet on one more value.

    Parameters
    ----------
    state
        A `Betting` at its start or after the value before.
    value
        In [`low`, `high`]; given the past, with mean at most `null_mean` under the null.

    Returns
    -------
    Betting
        By Ville's inequality ``P(log_peak ever >= ln(1 / error)) <= error`` under the null,
        however often one looks and whenever one stops.

    Raises
    ------
    ValueError
        When `value` is outside its bounds, or they do not enclose `null_mean`.

    References
    ----------
    .. [1] I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by
       betting", JRSS B 86, 2024.

    Examples
    --------
    >>> state = Betting()
    >>> for _ in range(40):
    ...     state = bet(state, 0.2)
    >>> state.log_e > math.log(1 / 0.05)
    True
    """
    if not state.low < state.null_mean < state.high:
        msg = f"need low < null_mean < high; got {state.low}, {state.null_mean}, {state.high}"
        raise ValueError(msg)
    if not state.low <= value <= state.high:
        msg = f"value must be in {state.low} to {state.high}; got {value}"
        raise ValueError(msg)
    room = state.null_mean - state.low
    gain = (value - state.null_mean) / room
    before = state.log_wealth or (0.0,) * len(state.bets)
    after = tuple(w + math.log1p(b * gain) for w, b in zip(before, state.bets, strict=True))
    return msgspec.structs.replace(
        state,
        log_wealth=after,
        n=state.n + 1,
        total=state.total + value,
        log_peak=max(state.log_peak, sequential.log_mean_exp(after)),
    )


def confidence_sequence(
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
    >>> lower, upper = confidence_sequence(np.full(500, 0.2))
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

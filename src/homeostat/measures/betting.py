"""Bets on a bounded mean: an e-process that may be looked at after every value.

The loop's canary and its guards stand on `bet`. State is explicit and made of plain floats, so
that a replayed decision is the same to the last bit.
"""

from __future__ import annotations

import math

import msgspec

from homeostat.measures import evidence


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
        return evidence.log_mean_exp(self.log_wealth) if self.log_wealth else 0.0

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
        log_peak=max(state.log_peak, evidence.log_mean_exp(after)),
    )

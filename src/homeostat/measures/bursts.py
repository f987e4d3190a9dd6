"""Rows that come together count once: bursts of rare values, and how much more they vary.

Used by monitoring for missing values, values out of range and new categories.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from homeostat.measures import distributions, noise

_FEW = 10
_Z = 1.2816  # one-sided, 90 %


def count(rows: NDArray[np.intp], length: int) -> int:
    """Count bursts: rows less than `length` after the one before belong to it.

    Parameters
    ----------
    rows
        Shape ``(n,)``, increasing.
    length
        Of the memory of the rows; 1 or less counts each row.

    Returns
    -------
    int
        0 where there is no row.

    References
    ----------
    .. [1] R. L. Smith and I. Weissman, "Estimating the extremal index", JRSS B 56, 1994: the
       runs estimator.

    Examples
    --------
    >>> count(np.array([3, 4, 9, 50]), 10)
    2
    """
    return int(np.sum(np.diff(rows) >= max(1, length))) + 1 if len(rows) else 0


def effect(flags: NDArray[np.bool_], own: noise.Design) -> float:
    """Return how much more the count of rare rows varies than that of independent ones.

    Parameters
    ----------
    flags
        Shape ``(n,)``, which rows of the reference are meant, in time order.
    own
        Of the column's groups: the dependence that is assumed until ten bursts were seen.

    Returns
    -------
    float
        1 of independent rows; else the upper end of the interval (90 %, one-sided). The
        variance of B bursts is known to a factor of about ``1 + z sqrt(2 / B)``, as that of a
        chi-square over its degrees of freedom is.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rare = rng.random(3000) < 0.02
    >>> effect(rare, noise.Design())
    1.0
    >>> effect(np.repeat(rare, 10), noise.Design()) > 5
    True
    """
    seen = noise.design(flags.astype(np.uint8), n_groups=2)
    n_bursts = count(np.flatnonzero(flags), seen.memory + 1)
    used = max(seen.effect, own.effect) if n_bursts < _FEW else seen.effect
    if used <= 1:
        return 1.0
    return used * (1 + _Z * math.sqrt(2 / max(n_bursts, _FEW)))


def more_of(seen: int, n: int, before: tuple[int, int], *, weight: float) -> float:
    """Return the chance of so many rows of a kind or more, which come together.

    Parameters
    ----------
    seen, n
        Rows of the kind, and all rows of the window.
    before
        The same of the reference.
    weight
        From `effect`: so many rows of the kind count as one.

    Returns
    -------
    float
        In 0 to 1. The share is known from the reference only, so the number is beta-binomial.

    Examples
    --------
    >>> [round(more_of(8, 100, (30, 3000), weight=by), 4) for by in (1.0, 8.0)]
    [0.0, 0.1396]
    """
    if not seen:
        return 1.0
    k, m = (max(1, round(each / weight)) for each in (seen, n))
    alike, others = before[0] / weight, (before[1] - before[0]) / weight
    return distributions.beta_binomial_tail(k, m, alike + 1, max(1.0, others))

"""Intervals for shares, means and any statistic; evaluation and gates judge by them."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import distributions

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


class Interval(msgspec.Struct, frozen=True):
    """An estimate and the ends of its interval, in the unit of the estimate."""

    value: float
    low: float
    high: float


def _check_counts(successes: int, n: int, level: float) -> None:
    if not 0 <= successes <= n or n < 1 or not 0 < level < 1:
        got = f"{successes}, {n}, {level}"
        msg = f"need 0 <= successes <= n, n >= 1, level inside (0, 1); got {got}"
        raise ValueError(msg)


def wilson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Return the score interval of a share.

    Parameters
    ----------
    successes, n
        ``0 <= successes <= n``, ``n >= 1``.
    level
        Chance of covering the true share, inside (0, 1).

    Returns
    -------
    Interval
        Of the share, in 0 to 1; good from small `n` on.

    Raises
    ------
    ValueError
        When a count or `level` is out of range.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical
       inference", JASA 22, 1927.

    Examples
    --------
    >>> found = wilson(8, 10)
    >>> round(found.low, 3), round(found.high, 3)
    (0.49, 0.943)
    """
    _check_counts(successes, n, level)
    z = distributions.normal_quantile((1 + level) / 2)
    p = successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the formula is exact only up to rounding.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return Interval(p, low, high)


def clopper_pearson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Return the exact interval of a share, which never covers less than stated.

    Parameters
    ----------
    successes, n
        ``0 <= successes <= n``, ``n >= 1``.
    level
        Least chance of covering the true share, inside (0, 1).

    Returns
    -------
    Interval
        Of the share, in 0 to 1.

    Raises
    ------
    ValueError
        When a count or `level` is out of range.

    References
    ----------
    .. [1] C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits
       illustrated in the case of the binomial", Biometrika 26, 1934.

    Examples
    --------
    >>> found = clopper_pearson(8, 10)
    >>> round(found.low, 4), round(found.high, 4)
    (0.4439, 0.9748)
    """
    _check_counts(successes, n, level)
    tail = (1 - level) / 2
    low = high = 0.0
    if successes:
        low = distributions.beta_quantile(tail, successes, n - successes + 1)
    high = 1.0
    if successes < n:
        high = distributions.beta_quantile(1 - tail, successes + 1, n - successes)
    return Interval(successes / n, low, high)


def newcombe(
    successes: int, n: int, other_successes: int, other_n: int, *, level: float = 0.95
) -> Interval:
    """Return the interval of the difference of two independent shares, first minus second.

    Parameters
    ----------
    successes, n, other_successes, other_n
        Counts of the two groups, each as in `wilson`.
    level
        Chance of covering the true difference, inside (0, 1).

    Returns
    -------
    Interval
        In -1 to 1.

    Raises
    ------
    ValueError
        When a count or `level` is out of range.

    References
    ----------
    .. [1] R. G. Newcombe, "Interval estimation for the difference between independent
       proportions", Statistics in Medicine 17, 1998 (method 10).

    Examples
    --------
    >>> found = newcombe(56, 70, 48, 80)
    >>> round(found.low, 4), round(found.high, 4)
    (0.0524, 0.3339)
    """
    a, b = wilson(successes, n, level=level), wilson(other_successes, other_n, level=level)
    gap = a.value - b.value
    low = gap - math.hypot(a.value - a.low, b.high - b.value)
    high = gap + math.hypot(a.high - a.value, b.value - b.low)
    return Interval(gap, low, high)


def mean(values: Floats, *, level: float = 0.95) -> Interval:
    """Return Student's interval of a mean; give paired differences to compare two models.

    Parameters
    ----------
    values
        Shape ``(n,)``, n >= 2, finite, independent.
    level
        Chance of covering the true mean, inside (0, 1); approximate unless values are normal.

    Returns
    -------
    Interval
        In the unit of the values.

    Raises
    ------
    ValueError
        When there are fewer than two values, one is not finite, or `level` is out of range.

    References
    ----------
    .. [1] Student, "The probable error of a mean", Biometrika 6, 1908.

    Examples
    --------
    >>> found = mean(np.array([1.0, 2.0, 3.0]))
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (2.0, -0.484, 4.484)
    """
    n = len(values)
    if n < 2 or not np.isfinite(values).all():  # noqa: PLR2004 - a variance needs two
        msg = f"need two finite values or more; got {n}"
        raise ValueError(msg)
    middle = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(n)
    half = distributions.student_quantile((1 + level) / 2, n - 1) * error
    return Interval(middle, middle - half, middle + half)


def bootstrap(
    statistic: Callable[[Indices], float],
    n: int,
    *,
    level: float = 0.95,
    draws: int = 500,
    seed: int = 0,
) -> Interval:
    """Return the percentile bootstrap interval of any statistic of rows.

    Parameters
    ----------
    statistic
        Takes row numbers, shape ``(n,)``, and returns the statistic of those rows; the
        difference of two models on the same rows makes the interval paired. A draw for which
        it is NaN (one class only) is left out.
    n
        Number of rows, 1 or more.
    level
        Chance of covering the true value, inside (0, 1); approximate.
    draws, seed
        Number of resamples, 10 or more, and of the generator; equal seeds give equal ends.

    Returns
    -------
    Interval
        NaN ends when more than half of the draws have no value.

    Raises
    ------
    ValueError
        When `n`, `draws` or `level` is out of range.

    References
    ----------
    .. [1] B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics
       7, 1979.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=400)
    >>> found = bootstrap(lambda rows: float(x[rows].mean()), len(x))
    >>> found.low < 0.0 < found.high
    True
    """
    if n < 1 or draws < 10 or not 0 < level < 1:  # noqa: PLR2004 - fewer have no tails
        msg = f"need n >= 1, draws >= 10, level inside (0, 1); got {n}, {draws}, {level}"
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    value = float(statistic(np.arange(n)))
    seen = np.array([statistic(rng.integers(0, n, size=n)) for _ in range(draws)])
    seen = seen[~np.isnan(seen)]
    if 2 * len(seen) < draws:
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(seen, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))

"""Tails of the distributions tests need, in plain floats; scipy would cost the server 60 MB.

Called by `drift`, `intervals` and monitoring. The unit tests compare each with scipy.
"""

from __future__ import annotations

import math
import statistics

_TINY = 1e-300
_PRECISION = 1e-14
_MAX_TERMS = 10_000


def normal_quantile(share: float) -> float:
    """Return the standard normal quantile.

    Parameters
    ----------
    share
        In (0, 1), ends excluded.

    Returns
    -------
    float
        z with ``P(Z <= z) = share``.

    Raises
    ------
    ValueError
        When `share` is not inside (0, 1).

    Examples
    --------
    >>> round(normal_quantile(0.975), 4)
    1.96
    """
    if not 0 < share < 1:
        msg = f"share must be inside (0, 1); got {share}"
        raise ValueError(msg)
    return statistics.NormalDist().inv_cdf(share)


def normal_tail(z: float) -> float:
    """Return ``P(Z > z)`` of the standard normal.

    Parameters
    ----------
    z
        Any number.

    Returns
    -------
    float
        In 0 to 1.

    Examples
    --------
    >>> round(normal_tail(1.96), 4)
    0.025
    """
    return 0.5 * math.erfc(z / math.sqrt(2))


def chi_square_tail(statistic: float, df: float) -> float:
    """Return ``P(X > statistic)`` of a chi-square distribution.

    Parameters
    ----------
    statistic
        0 or more.
    df
        Degrees of freedom, above 0.

    Returns
    -------
    float
        In 0 to 1.

    Raises
    ------
    ValueError
        When `df` is not above 0 or `statistic` is NaN.

    References
    ----------
    .. [1] W. H. Press et al., *Numerical Recipes*, 3rd ed., 2007, section 6.2.

    Examples
    --------
    >>> round(chi_square_tail(3.841459, 1), 4)
    0.05
    """
    if df <= 0 or math.isnan(statistic):
        msg = f"need df > 0 and a number; got {df} and {statistic}"
        raise ValueError(msg)
    if statistic / 2 <= 0:  # half of the smallest number is zero
        return 1.0
    if math.isinf(statistic):
        return 0.0
    a, x = df / 2, statistic / 2
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        k = a
        while abs(term) > abs(total) * _PRECISION:
            k += 1
            term *= x / k
            total += term
        return max(0.0, 1 - front * total)
    return min(1.0, front * _gamma_fraction(a, x))


def _gamma_fraction(a: float, x: float) -> float:
    """Lentz's continued fraction of the upper incomplete gamma function."""
    b = x + 1 - a
    c = 1 / _TINY
    d = h = 1 / b
    for i in range(1, _MAX_TERMS):
        an = -i * (i - a)
        b += 2
        d = 1 / _away(an * d + b)
        c = _away(b + an / c)
        h *= d * c
        if abs(d * c - 1) < _PRECISION:
            break
    return h


def _away(value: float) -> float:
    """Keep a denominator of a continued fraction away from zero."""
    return value if abs(value) > _TINY else _TINY


def kolmogorov_tail(statistic: float, n_effective: float) -> float:
    """Return the asymptotic p-value of a Kolmogorov-Smirnov distance.

    Parameters
    ----------
    statistic
        Largest difference of two distribution functions, in 0 to 1.
    n_effective
        ``n * m / (n + m)`` for two samples, `n` for one; above 0.

    Returns
    -------
    float
        In 0 to 1; conservative where values tie.

    Raises
    ------
    ValueError
        When `n_effective` is not above 0.

    References
    ----------
    .. [1] M. A. Stephens, "Use of the Kolmogorov-Smirnov, Cramér-von Mises and related
       statistics without extensive tables", JRSS B 32, 1970.

    Examples
    --------
    >>> round(kolmogorov_tail(0.1358, 100), 2)
    0.05
    """
    if n_effective <= 0:
        msg = f"need n_effective > 0; got {n_effective}"
        raise ValueError(msg)
    root = math.sqrt(n_effective)
    x = (root + 0.12 + 0.11 / root) * statistic
    if x < 0.2:  # noqa: PLR2004 - the series needs many terms here and the answer is 1
        return 1.0
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, math.fsum(terms)))


def beta_share(x: float, a: float, b: float) -> float:
    """Return ``P(X <= x)`` of a beta distribution (the regularised incomplete beta function).

    Parameters
    ----------
    x
        In 0 to 1.
    a, b
        Shapes, above 0.

    Returns
    -------
    float
        In 0 to 1.

    Raises
    ------
    ValueError
        When `x` or a shape is out of range.

    References
    ----------
    .. [1] W. H. Press et al., *Numerical Recipes*, 3rd ed., 2007, section 6.4.

    Examples
    --------
    >>> round(beta_share(0.5, 2, 2), 6)
    0.5
    """
    if not 0 <= x <= 1 or a <= 0 or b <= 0:
        msg = f"need x in 0 to 1 and shapes above 0; got {x}, {a}, {b}"
        raise ValueError(msg)
    if x in {0.0, 1.0}:
        return x
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log_front + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(x, a, b) / a
    return 1 - front * _beta_fraction(1 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Lentz's continued fraction of the incomplete beta function."""
    c = 1.0
    d = h = 1 / _away(1 - (a + b) * x / (a + 1))
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away(1 + even * d)
        c = _away(1 + even / c)
        h *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away(1 + odd * d)
        c = _away(1 + odd / c)
        h *= d * c
        if abs(d * c - 1) < _PRECISION:
            break
    return h


def beta_binomial_tail(k: int, n: int, a: float, b: float) -> float:
    """Return ``P(K >= k)`` of a binomial count whose share has a beta distribution.

    Parameters
    ----------
    k, n
        Hits and rows, ``n >= 1``; `k` at most `n`.
    a, b
        Shapes of the share, above 0.

    Returns
    -------
    float
        In 0 to 1.

    Raises
    ------
    ValueError
        When there is no row or a shape is not above 0.

    References
    ----------
    .. [1] J. G. Skellam, "A probability distribution derived from the binomial distribution
       by regarding the probability of success as variable between the sets of trials", JRSS
       B 10, 1948.

    Examples
    --------
    >>> round(beta_binomial_tail(1, 1, 2.0, 98.0), 6)
    0.02
    """
    if n < 1 or k > n or a <= 0 or b <= 0:
        msg = f"need n >= 1, k <= n and shapes above 0; got {n}, {k}, {a}, {b}"
        raise ValueError(msg)
    if k <= 0:
        return 1.0
    fixed = math.lgamma(n + 1) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    fixed -= math.lgamma(n + a + b)
    total = 0.0
    for j in range(k, n + 1):
        log_term = fixed + math.lgamma(j + a) + math.lgamma(n - j + b)
        term = math.exp(log_term - math.lgamma(j + 1) - math.lgamma(n - j + 1))
        total += term
        if term < total * _PRECISION:  # beyond the mode terms only fall
            break
    return min(1.0, total)


def beta_quantile(share: float, a: float, b: float) -> float:
    """Return x with ``beta_share(x, a, b) == share``, by bisection.

    Parameters
    ----------
    share
        In 0 to 1.
    a, b
        Shapes, above 0.

    Returns
    -------
    float
        In 0 to 1, exact to about 1e-15.

    Raises
    ------
    ValueError
        When an argument is out of range.

    Examples
    --------
    >>> round(beta_quantile(0.5, 2, 2), 9)
    0.5
    """
    if not 0 <= share <= 1:
        msg = f"share must be in 0 to 1; got {share}"
        raise ValueError(msg)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_share(middle, a, b) < share else (low, middle)
    return (low + high) / 2


def student_quantile(share: float, df: float) -> float:
    """Return the quantile of Student's t distribution.

    Parameters
    ----------
    share
        In (0, 1), ends excluded.
    df
        Degrees of freedom, above 0.

    Returns
    -------
    float
        t with ``P(T <= t) = share``.

    Raises
    ------
    ValueError
        When an argument is out of range.

    Examples
    --------
    >>> round(student_quantile(0.975, 10), 4)
    2.2281
    """
    if not 0 < share < 1 or df <= 0:
        msg = f"need share inside (0, 1) and df > 0; got {share} and {df}"
        raise ValueError(msg)
    tail = min(share, 1 - share)
    x = beta_quantile(2 * tail, df / 2, 0.5)
    t = math.sqrt(df * (1 - x) / x)
    return t if share > 0.5 else -t  # noqa: PLR2004 - the median

"""Exact p-values of Kolmogorov-Smirnov distances, in numpy alone; `evidently` calls it.

`distributions.kolmogorov_tail` is the quick asymptotic answer monitoring uses; this module
gives the numbers of scipy (to about 1e-9) without its 60 MB.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT_ROWS = 10_000
_SMALL = 140
_MANY = 1_000_000
_SCALE = 128
_TABLE = 16
_LEAST_Q_LOG = -708.0
_FACTORIALS = np.array([math.lgamma(k + 1) for k in range(_TABLE)])


def two_sample_tail(statistic: float, n: int, m: int) -> float:
    """Return the p-value of a distance between two samples, exact up to 10 000 rows each.

    Parameters
    ----------
    statistic
        Largest difference of two empirical distribution functions, in 0 to 1.
    n, m
        Rows of the samples, 1 or more each.

    Returns
    -------
    float
        In 0 to 1. With more than 10 000 rows in either sample, that of one sample of
        ``n * m / (n + m)`` rows, as scipy has it.

    Raises
    ------
    ValueError
        When a sample is empty or `statistic` is not in 0 to 1.

    Notes
    -----
    Exact means: the share of orders of the pooled rows that are at least as far apart, where
    no two values tie; ties make it conservative.

    References
    ----------
    .. [1] J. L. Hodges, "The significance probability of the Smirnov two-sample test", Arkiv
       för Matematik 3, 1958.

    Examples
    --------
    >>> round(two_sample_tail(0.5, 4, 4), 6), round(two_sample_tail(0.02, 100_000, 20_000), 9)
    (0.771429, 3.192e-06)
    """
    if n < 1 or m < 1 or not 0 <= statistic <= 1:
        msg = f"need rows in both samples and a distance in 0 to 1; got {n}, {m}, {statistic}"
        raise ValueError(msg)
    if max(n, m) <= EXACT_ROWS:
        divisor = math.gcd(n, m)
        steps = round(statistic * (n // divisor * m))
        if not steps:
            return 1.0
        found = _outside_square(n, steps) if n == m else _outside(n, m, steps)
        return min(1.0, max(0.0, found))
    return one_sample_tail(statistic, max(1, round(float(n) * m / (n + m))))


def _outside_square(n: int, steps: int) -> float:
    """Share of the paths from (0, 0) to (n, n) that come `steps` off the diagonal."""
    found = 0.0
    for k in range(n // steps, -1, -1):
        left, right = n - k * steps, n + k * steps
        if left < steps:
            term = 0.0
        else:
            log_term = math.lgamma(left + 1) - math.lgamma(left - steps + 1)
            log_term += math.lgamma(right + 1) - math.lgamma(right + steps + 1)
            term = math.exp(log_term)
        found = term * (1 - found)
    return 2 * found


def _outside(n: int, m: int, steps: int) -> float:
    """Share of the paths from (0, 0) to (n, m) that come `steps` off the straight line.

    The share at a point is a mean of those at its two neighbours towards the origin, so a
    whole anti-diagonal follows from the one before.
    """
    rows, columns = max(n, m), min(n, m)
    divisor = math.gcd(n, m)
    long, short = rows // divisor, columns // divisor
    share = np.ones(columns + 2)  # one place in front, for the neighbour of column 0
    share[1] = 0.0
    places = np.arange(columns + 1, dtype=np.float64)
    last = 0
    for s in range(1, rows + columns + 1):
        low = max((short * s - steps) // (short + long) + 1, s - rows, 0)
        high = min(-(-(short * s + steps) // (short + long)) - 1, columns, s)
        if high < low:
            return 1.0
        inner, before = share[low + 1 : high + 2], share[low : high + 1]
        weight = places[low : high + 1] / s
        step = before * weight
        np.subtract(1.0, weight, out=weight)
        inner *= weight
        inner += step
        share[last + 1 : low + 1] = 1.0  # they have come off the line
        last = low
    return float(share[columns + 1])


def one_sample_tail(statistic: float, n: int) -> float:
    """Return the p-value of the distance between one sample and a known distribution.

    Parameters
    ----------
    statistic
        In 0 to 1.
    n
        Rows of the sample, 1 or more.

    Returns
    -------
    float
        In 0 to 1; 0 where it is below about 1e-320.

    Raises
    ------
    ValueError
        When `n` is below 1.

    References
    ----------
    .. [1] R. Simard and P. L'Ecuyer, "Computing the two-sided Kolmogorov-Smirnov
       distribution", Journal of Statistical Software 39, 2011: which method where.

    Examples
    --------
    >>> round(one_sample_tail(0.1358, 100), 4), one_sample_tail(0.5, 10**6)
    (0.0454, 0.0)
    """
    if n < 1:
        msg = f"need a row; got {n}"
        raise ValueError(msg)
    d, t = statistic, n * statistic
    if t <= 0.5 or d >= 1:  # noqa: PLR2004 - the least distance possible is 1 / 2n
        return float(d < 1)
    if t <= 1:
        return -math.expm1(_log_factorial_share(n) + n * math.log(2 * t - 1)) if t > 0 else 1.0
    square = t * d
    if t >= n - 1:
        return min(1.0, 2 * (1 - d) ** n)
    is_far = d >= 0.5 or square > (4.0 if n <= _SMALL else 2.2)  # noqa: PLR2004 - from [1]
    if is_far:
        return 0.0 if n > _SMALL and square >= 370 and d < 0.5 else _far(d, n)  # noqa: PLR2004
    return min(1.0, max(0.0, 1 - _near(d, n)))


def _near(d: float, n: int) -> float:
    is_matrix_small = n <= 100_000 and n * d**1.5 <= 1.4  # noqa: PLR2004 - from Simard
    return _durbin(d, n) if n <= _SMALL or is_matrix_small else _pelz_good(d, n)


def _far(d: float, n: int) -> float:
    """Twice the one-sided tail; both sides at once are rarer than double precision shows."""
    if n > _MANY:  # by Maximov's series, as scipy does; its error is below 1e-5 of the value
        return min(1.0, 2 * math.exp(-((6 * n * d + 1) ** 2) / (18 * n)))
    j = np.arange(math.floor(n * (1 - d)) + 1, dtype=np.float64)
    rest = 1 - d - j / n
    j = j[rest > 0]
    rest = rest[rest > 0]
    logs = _log_choices(n)[: len(j)] + (j - 1) * np.log(d + j / n) + (n - j) * np.log(rest)
    top = float(logs.max(initial=-np.inf))
    if top == -math.inf:
        return 0.0
    return min(1.0, 2 * d * float(np.exp(logs - top).sum()) * math.exp(top))


@functools.lru_cache(maxsize=2)  # all columns of two tables have the same number of rows
def _log_choices(n: int) -> Floats:
    logs = _log_factorials(np.arange(n + 1, dtype=np.float64))
    return np.asarray(logs[-1] - logs - logs[::-1])


def _log_factorials(k: Floats) -> Floats:
    """Stirling's series from 16 up, a table below."""
    z = np.maximum(k, _TABLE) + 1
    series = (z - 0.5) * np.log(z) - z + 0.5 * math.log(2 * math.pi)
    series += 1 / (12 * z) - 1 / (360 * z**3) + 1 / (1260 * z**5) - 1 / (1680 * z**7)
    small = k < _TABLE
    series[small] = _FACTORIALS[k[small].astype(np.intp)]
    return np.asarray(series)


def _log_factorial_share(n: int) -> float:
    return math.lgamma(n + 1) - n * math.log(n)


def _durbin(d: float, n: int) -> float:
    """Distribution function by powers of a small matrix (Marsaglia, Tsang and Wang, 2003)."""
    k = math.ceil(n * d)
    h = k - n * d
    size = 2 * k - 1
    places = np.arange(1, size + 1, dtype=np.float64)
    factor = np.exp(-_log_factorials(places))
    column = (1 - h**places) * factor
    column[-1] = (1 + max(2 * h - 1, 0.0) ** size - 2 * h**size) * factor[-1]
    matrix = np.zeros((size, size))
    weights = np.exp(-_log_factorials(places - 1))
    for i in range(1, size):
        matrix[i - 1 :, i] = weights[: size - i + 1]
    matrix[:, 0] = column
    matrix[-1, :] = column[::-1]
    power, exponent, scale, left = np.eye(size), 0, 0, n
    while left:
        if left % 2:
            power = power @ matrix
            exponent += scale
        matrix = matrix @ matrix
        scale *= 2
        if abs(matrix[k - 1, k - 1]) > 2.0**_SCALE:
            matrix = matrix / 2.0**_SCALE
            scale += _SCALE
        left //= 2
    middle = float(power[k - 1, k - 1])
    if middle <= 0:
        return 0.0
    return math.exp(math.log(middle) + exponent * math.log(2) + _log_factorial_share(n))


def _pelz_good(d: float, n: int) -> float:
    """Distribution function by four terms in 1 / sqrt(n) (Pelz and Good, JRSS B 38, 1976)."""
    z = math.sqrt(n) * d
    z2, pi2 = z * z, math.pi**2
    q_log = -pi2 / 8 / z2
    if q_log < _LEAST_Q_LOG:
        return 0.0
    z4, z6 = z2 * z2, z2**3
    k = np.arange(1, math.ceil(16 * z / math.pi) + 1, dtype=np.float64)
    odd2 = (2 * k - 1) ** 2
    q = np.exp(q_log * odd2)
    sums = [
        np.sum(q),
        np.sum(q * (-z2 + pi2 / 4 * odd2)),
        np.sum(
            q
            * (
                6 * z6
                + 2 * z4
                + (2 * z4 - 5 * z2) * pi2 / 4 * odd2
                + pi2**2 * (1 - 2 * z2) / 16 * odd2**2
            )
        ),
        np.sum(
            q
            * (
                -30 * z6
                - 90 * z4**2
                + pi2 * (135 * z4 - 96 * z6) / 4 * odd2
                + pi2**2 * (-60 * z2 + 212 * z4) / 16 * odd2**2
                + pi2**3 * (5 - 30 * z2) / 64 * odd2**3
            )
        ),
    ]
    root = math.sqrt(2 * math.pi)
    below = (z, 6 * z4, 72 * z**7, 6480 * z**10)
    terms = [float(total) * root / part for total, part in zip(sums, below, strict=True)]
    k2 = k * k
    even = np.exp(-pi2 / 2 / z2 * k2)
    terms[2] += float(np.sum(k2 * even)) * pi2 * root / (-36 * z2 * z)
    terms[3] += float(np.sum((3 * z2 - pi2 * k2) * k2 * even)) * pi2 * root / (216 * z6)
    return math.fsum(term / math.sqrt(n) ** i for i, term in enumerate(terms))

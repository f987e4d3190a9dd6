"""Distances between two sorted samples, value by value; `evidently` is built of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.floating] | NDArray[np.integer]
Counts = NDArray[np.int64]

_SLICE_ROWS = 65_536


def kolmogorov_smirnov(reference: Numbers, current: Numbers) -> float:
    """Return the largest difference of the two empirical distribution functions.

    Parameters
    ----------
    reference, current
        Shape ``(n,)`` and ``(m,)``, one row or more each, sorted, finite. Integers are
        compared as integers, so ids above 2**53 stay apart.

    Returns
    -------
    float
        In 0 to 1.

    Raises
    ------
    ValueError
        When a sample is empty.

    Notes
    -----
    The difference is largest at a value of the smaller sample or just before one, so only
    its values are looked up in the larger.

    References
    ----------
    .. [1] N. Smirnov, "Table for estimating the goodness of fit of empirical distributions",
       Annals of Mathematical Statistics 19, 1948.

    Examples
    --------
    >>> kolmogorov_smirnov(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.5
    """
    _check(reference, current)
    few, many = sorted((reference, current), key=len)
    n, m = len(few), len(many)
    last = np.append(np.flatnonzero(few[1:] != few[:-1]), n - 1)
    values, below = few[last], last + 1
    up_to = many.searchsorted(values, side="right")
    before = up_to.copy()
    tied = np.flatnonzero((up_to > 0) & (many[np.maximum(up_to - 1, 0)] == values))
    before[tied] = many.searchsorted(values[tied], side="left")
    here = np.abs(below / n - up_to / m).max()
    just_before = np.abs(np.concatenate([[0], below[:-1]]) / n - before / m).max()
    return float(max(here, just_before))


def _check(reference: Numbers, current: Numbers) -> None:
    if not len(reference) or not len(current):
        msg = f"need a row in both samples; got {len(reference)} and {len(current)}"
        raise ValueError(msg)


def wasserstein(reference: Floats, current: Floats, *, scale: float = 1.0) -> float:
    """Return the first Wasserstein distance (the area between the distribution functions).

    Parameters
    ----------
    reference, current
        Shape ``(n,)`` and ``(m,)``, one row or more each, sorted, finite, in one unit.
    scale
        What the samples were multiplied by; the distance is divided by it.

    Returns
    -------
    float
        In the unit of the column, 0 or more.

    Raises
    ------
    ValueError
        When a sample is empty.

    Notes
    -----
    The mean difference of equal quantiles. Each value of the larger sample covers an equal
    share; where that share straddles two values of the smaller, it is divided between them.

    References
    ----------
    .. [1] S. S. Vallender, "Calculation of the Wasserstein distance between probability
       distributions on the line", Theory of Probability and its Applications 18, 1974.

    Examples
    --------
    >>> wasserstein(np.array([0.0, 1.0, 3.0]), np.array([5.0, 6.0, 8.0]))
    5.0
    """
    _check(reference, current)
    few, many = sorted((reference, current), key=len)
    n, m = len(few), len(many)
    starts = np.arange(n + 1, dtype=np.int64) * m
    repeats = np.diff(-(-starts // n))  # values of `many` whose share begins in each of `few`
    total = 0.0
    first = 0
    step = max(1, _SLICE_ROWS * n // m)
    with np.errstate(over="ignore", invalid="ignore"):  # ends of the floating-point range
        for start in range(0, n, step):
            part = np.repeat(few[start : start + step], repeats[start : start + step])
            part -= many[first : first + len(part)]
            first += len(part)
            total += float(np.abs(part, out=part).sum())
        inner = starts[1:-1]
        j, over = inner // n, inner % n
        split = np.flatnonzero(over)
        late = (n - over[split]) / n
        value = many[j[split]]
        moved = np.abs(few[split + 1] - value) - np.abs(few[split] - value)
        found = (total + float(late @ moved)) / m
        if not math.isfinite(found) and scale == 1:  # the sum left the range, not its mean
            scale = math.ldexp(1.0, -math.frexp(m)[1] - 2)
            return wasserstein(reference * scale, current * scale, scale=scale)
        return max(0.0, found) / scale


def sturges_edges(reference: Numbers, current: Numbers) -> Floats | None:
    """Return equally wide edges over both samples, as many as Sturges' rule wants.

    Parameters
    ----------
    reference, current
        Shape ``(n,)`` and ``(m,)``, one row or more each, sorted, finite.

    Returns
    -------
    NDArray or None
        Increasing, from the least to the greatest value of both; of type float32 when both
        samples are. None when the range is too wide or too narrow for floating point.

    Raises
    ------
    ValueError
        When a sample is empty.

    Notes
    -----
    In the very steps of ``numpy.histogram_bin_edges(both, "sturges")``, without joining the
    two: bins of integers are at least 1 wide.

    References
    ----------
    .. [1] H. A. Sturges, "The choice of a class interval", JASA 21, 1926.

    Examples
    --------
    >>> sturges_edges(np.arange(4.0), np.arange(4.0)).tolist()
    [0.0, 0.75, 1.5, 2.25, 3.0]
    """
    _check(reference, current)
    kind = np.result_type(reference, current)
    is_integer = bool(np.issubdtype(kind, np.integer))
    low, high = min(reference[0], current[0]), max(reference[-1], current[-1])
    with np.errstate(over="ignore"):
        span = float(int(high) - int(low)) if is_integer else float(kind.type(high - low))
    width = span / float(np.log2(len(reference) + len(current)) + 1)
    if not math.isfinite(span) or (span > 0 and width == 0):
        return None
    if is_integer and width:
        width = max(1.0, width)
    n_bins = math.ceil(span / width) if width else 1
    if not width:
        low, high = low - 0.5, high + 0.5
    edge_kind = np.result_type(kind, np.float64) if is_integer else kind
    edges = np.linspace(low, high, n_bins + 1, dtype=edge_kind)
    return None if bool(np.any(edges[:-1] >= edges[1:])) else np.asarray(edges)


def histogram(values: Numbers, edges: Floats) -> Counts:
    """Count sorted values between edges; the last bin is closed on both sides.

    Parameters
    ----------
    values
        Shape ``(n,)``, sorted, finite.
    edges
        Shape ``(k,)``, increasing, two or more.

    Returns
    -------
    NDArray
        Shape ``(k - 1,)``; values outside are not counted.

    Examples
    --------
    >>> histogram(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0])).tolist()
    [1, 2]
    """
    places = values.searchsorted(edges[:-1], side="left")
    end = values.searchsorted(edges[-1:], side="right")
    return np.asarray(np.diff(np.concatenate([places, end])), dtype=np.int64)


def distinct(values: Numbers) -> tuple[Numbers, Counts]:
    """Return the distinct values of a sorted sample and how often each occurs.

    Parameters
    ----------
    values
        Shape ``(n,)``, sorted.

    Returns
    -------
    tuple
        Increasing values and their counts, shape ``(k,)`` each.

    Examples
    --------
    >>> found, counts = distinct(np.array([1, 1, 4]))
    >>> found.tolist(), counts.tolist()
    ([1, 4], [2, 1])
    """
    if not len(values):
        return values, np.zeros(0, dtype=np.int64)
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    return values[starts], np.asarray(np.diff(starts, append=len(values)), dtype=np.int64)


def align(left: tuple[Numbers, Counts], right: tuple[Numbers, Counts]) -> tuple[Counts, Counts]:
    """Put the counts of two samples on the values that occur in either.

    Parameters
    ----------
    left, right
        From `distinct`. Integers meet floating-point numbers by their exact value.

    Returns
    -------
    tuple
        Counts of the left and of the right sample, shape ``(k,)`` each, 0 where a value does
        not occur.

    Examples
    --------
    >>> one = distinct(np.array([1, 1, 4])), distinct(np.array([2.0, 4.0]))
    >>> [counts.tolist() for counts in align(*one)]
    [[2, 0, 1], [0, 1, 1]]
    """
    (a, n), (b, m) = left, right
    if a.dtype.kind != b.dtype.kind:
        exact = sorted({*a.tolist(), *b.tolist()})  # Python compares 2**53 + 1 rightly
        at_n, at_m = (
            dict(zip(a.tolist(), n, strict=True)),
            dict(zip(b.tolist(), m, strict=True)),
        )
        both = [[at.get(value, 0) for value in exact] for at in (at_n, at_m)]
        return np.array(both[0], dtype=np.int64), np.array(both[1], dtype=np.int64)
    keys = np.union1d(a, b)
    found = np.zeros((2, len(keys)), dtype=np.int64)
    found[0, keys.searchsorted(a)] = n
    found[1, keys.searchsorted(b)] = m
    return found[0], found[1]

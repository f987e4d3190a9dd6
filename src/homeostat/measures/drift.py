"""Distances between two histograms on the same bins, each with what sampling alone gives.

Monitoring compares a window with the baseline; every distance says how far (effect size) and
how surprising (p-value), because a fixed threshold is too tight for small windows and too
loose for large ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import distributions

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Distance(msgspec.Struct, frozen=True):
    """How far, how far by sampling alone, and how surprising.

    `value` and `noise` are in the unit of the distance; `noise` is its mean when nothing has
    changed; `p_value` is the chance of at least `value` when nothing has changed.
    """

    name: str
    value: float
    noise: float
    p_value: float


def group_bins(reference: Counts, *, groups: int = 10) -> NDArray[np.intp]:
    """Join neighbouring bins until each group holds about the same share of the reference.

    Parameters
    ----------
    reference
        Shape ``(k,)``, counts of the reference, in order of the bins.
    groups
        Number of groups wanted, 2 or more; point masses may leave fewer.

    Returns
    -------
    NDArray
        Shape ``(k,)``: the group of each bin, from 0, without gaps, in order.

    Raises
    ------
    ValueError
        When `groups` is less than 2.

    Examples
    --------
    >>> group_bins(np.array([5, 5, 5, 5, 0]), groups=2).tolist()
    [0, 0, 1, 1, 1]
    """
    if groups < 2:  # noqa: PLR2004 - one group tells nothing
        msg = f"need groups >= 2; got {groups}"
        raise ValueError(msg)
    total = reference.sum()
    if not total:
        return np.zeros(len(reference), dtype=np.intp)
    # The middle of a bin's mass places it, so that one heavy bin gets a group of its own.
    middle = (np.cumsum(reference) - reference / 2) / total
    raw = np.minimum((middle * groups).astype(np.intp), groups - 1)
    return np.asarray(np.unique(raw, return_inverse=True)[1].reshape(-1), dtype=np.intp)


def _totals(reference: Counts, current: Counts) -> tuple[float, float]:
    if reference.shape != current.shape or reference.ndim != 1:
        msg = f"need two histograms on the same bins; got {reference.shape}, {current.shape}"
        raise ValueError(msg)
    n, m = float(reference.sum()), float(current.sum())
    if n <= 0 or m <= 0 or min(reference.min(), current.min()) < 0:
        msg = f"need counts of 0 or more and a row in each; got {n:g} and {m:g} rows"
        raise ValueError(msg)
    return n, m


def population_stability_index(
    reference: Counts, current: Counts, *, floor: float = 1e-4
) -> Distance:
    """Return the population stability index of two histograms.

    Parameters
    ----------
    reference, current
        Shape ``(k,)`` each, counts on the same bins, at least one row in each.
    floor
        Smallest share given to an empty bin, in (0, 1).

    Returns
    -------
    Distance
        In nats, 0 or more.

    Raises
    ------
    ValueError
        When shapes differ or a histogram is empty.

    Notes
    -----
    ``sum((c - r) * ln(c / r))``. Divided by ``1 / n + 1 / m`` it is about chi-square with
    ``k - 1`` degrees of freedom when nothing has changed [1]_; bins empty in both do not count.

    References
    ----------
    .. [1] B. Yurdakul, *Statistical Properties of Population Stability Index*, PhD thesis,
       Western Michigan University, 2018.

    Examples
    --------
    >>> same = population_stability_index(np.array([50, 50]), np.array([500, 500]))
    >>> same.value, same.p_value, round(same.noise, 3)
    (0.0, 1.0, 0.011)
    """
    n, m = _totals(reference, current)
    r, c = (np.maximum(x / s, floor) for x, s in ((reference, n), (current, m)))
    value = float(np.sum((c - r) * np.log(c / r)))
    scale = 1 / n + 1 / m
    df = _freedom(reference, current)
    return Distance("psi", value, df * scale, distributions.chi_square_tail(value / scale, df))


def _freedom(reference: Counts, current: Counts) -> int:
    return max(1, int(np.count_nonzero(reference + current)) - 1)


def jensen_shannon(reference: Counts, current: Counts) -> Distance:
    """Return the Jensen-Shannon distance of two histograms.

    Parameters
    ----------
    reference, current
        Shape ``(k,)`` each, counts on the same bins, at least one row in each.

    Returns
    -------
    Distance
        Square root of the divergence in nats, 0 to ``sqrt(ln 2)``.

    Raises
    ------
    ValueError
        When shapes differ or a histogram is empty.

    Notes
    -----
    To second order the divergence is an eighth of ``sum((c - r)**2 / p)``, so ``8 JS**2``
    over ``1 / n + 1 / m`` is about chi-square with ``k - 1`` degrees of freedom.

    References
    ----------
    .. [1] J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on
       Information Theory 37, 1991.

    Examples
    --------
    >>> round(jensen_shannon(np.array([10, 0]), np.array([0, 10])).value ** 2, 6) == round(
    ...     math.log(2), 6
    ... )
    True
    """
    n, m = _totals(reference, current)
    r, c = reference / n, current / m
    p = (r + c) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        halves = [np.nansum(np.where(x > 0, x * np.log(x / p), 0.0)) for x in (r, c)]
    divergence = max(0.0, float(sum(halves)) / 2)
    scale = 1 / n + 1 / m
    df = _freedom(reference, current)
    p_value = distributions.chi_square_tail(8 * divergence / scale, df)
    return Distance("js", math.sqrt(divergence), math.sqrt(df * scale / 8), p_value)


def kolmogorov_smirnov(reference: Counts, current: Counts) -> Distance:
    """Return the largest difference of two distribution functions at the edges of the bins.

    Parameters
    ----------
    reference, current
        Shape ``(k,)`` each, counts on the same ordered bins, at least one row in each.

    Returns
    -------
    Distance
        In 0 to 1; never above the distance of the raw samples, and within the largest share
        of a bin of it.

    Raises
    ------
    ValueError
        When shapes differ or a histogram is empty.

    References
    ----------
    .. [1] N. Smirnov, "Table for estimating the goodness of fit of empirical distributions",
       Annals of Mathematical Statistics 19, 1948.

    Examples
    --------
    >>> kolmogorov_smirnov(np.array([5, 5, 0]), np.array([0, 5, 5])).value
    0.5
    """
    n, m = _totals(reference, current)
    value = float(np.abs(np.cumsum(reference / n) - np.cumsum(current / m)).max())
    effective = n * m / (n + m)
    # The Kolmogorov distribution has mean sqrt(pi / 2) ln 2.
    noise = math.sqrt(math.pi / 2) * math.log(2) / math.sqrt(effective)
    return Distance("ks", value, noise, distributions.kolmogorov_tail(value, effective))


def chi_square(reference: Counts, current: Counts) -> Distance:
    """Return the chi-square statistic for equal shares in two samples.

    Parameters
    ----------
    reference, current
        Shape ``(k,)`` each, counts of the same categories, at least one row in each.

    Returns
    -------
    Distance
        The statistic, 0 or more; its mean without a change is its degrees of freedom.

    Raises
    ------
    ValueError
        When shapes differ or a histogram is empty.

    References
    ----------
    .. [1] K. Pearson, "On the criterion that a given system of deviations…", Philosophical
       Magazine 50, 1900.

    Examples
    --------
    >>> found = chi_square(np.array([50, 50]), np.array([90, 10]))
    >>> round(found.value, 3), found.p_value < 1e-8
    (38.095, True)
    """
    n, m = _totals(reference, current)
    both = reference + current
    seen = both > 0
    gap = math.sqrt(m / n) * reference[seen] - math.sqrt(n / m) * current[seen]
    value = float(np.sum(gap**2 / both[seen]))
    df = _freedom(reference, current)
    return Distance("chi2", value, float(df), distributions.chi_square_tail(value, df))


def wasserstein(
    reference: Counts, current: Counts, edges: Floats, *, seed: int = 0, draws: int = 200
) -> Distance:
    """Return the first Wasserstein distance, with noise by simulation.

    Parameters
    ----------
    reference, current
        Shape ``(k + 1,)`` each, counts on the bins between `edges`.
    edges
        Shape ``(k,)``, increasing, in the unit of the column; what lies outside counts as if
        it were on the outer edge.
    seed, draws
        Of the multinomial simulation; with `draws` of them the smallest possible p-value is
        ``1 / (draws + 1)``.

    Returns
    -------
    Distance
        In the unit of the column, 0 or more; off by at most the width of a bin.

    Raises
    ------
    ValueError
        When shapes differ, a histogram is empty, or `draws` is less than 1.

    References
    ----------
    .. [1] S. S. Vallender, "Calculation of the Wasserstein distance between probability
       distributions on the line", Theory of Probability and its Applications 18, 1974.

    Examples
    --------
    >>> edges = np.array([0.0, 1.0, 2.0])
    >>> wasserstein(np.array([0, 9, 0, 0]), np.array([0, 0, 9, 0]), edges).value
    1.0
    """
    n, m = _totals(reference, current)
    if len(edges) + 1 != len(reference) or draws < 1:
        msg = f"need {len(reference) - 1} edges and draws >= 1; got {len(edges)} and {draws}"
        raise ValueError(msg)
    centers = np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])
    widths = np.diff(centers)

    def distance(r: Floats, c: Floats) -> Floats:
        gap = np.abs(np.cumsum(r - c, axis=-1))[..., :-1]
        return np.asarray(gap @ widths)

    value = float(distance(reference / n, current / m))
    pooled = (reference + current) / (n + m)
    rng = np.random.default_rng(seed)
    null = distance(
        rng.multinomial(int(n), pooled, size=draws) / n,
        rng.multinomial(int(m), pooled, size=draws) / m,
    )
    p_value = (1 + int(np.sum(null >= value))) / (draws + 1)
    return Distance("w1", value, float(null.mean()), p_value)


def holm(
    p_values: Sequence[float], weights: Sequence[float] | None = None
) -> tuple[float, ...]:
    """Adjust p-values so that any false alarm at all keeps its stated chance.

    Parameters
    ----------
    p_values
        Each in 0 to 1; any dependence.
    weights
        Above 0, chosen without looking at the p-values: how the level is shared out; alike
        when None.

    Returns
    -------
    tuple
        Adjusted p-values in the order given; compare each with the level.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
       Journal of Statistics 6, 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    >>> holm([0.01, 0.04, 0.03], [2.0, 1.0, 1.0])
    (0.02, 0.06, 0.06)
    """
    shares = weights or [1.0] * len(p_values)
    adjusted = [0.0] * len(p_values)
    worst, left = 0.0, math.fsum(shares)
    for i in sorted(range(len(p_values)), key=lambda i: p_values[i] / shares[i]):
        worst = max(worst, min(1.0, left * p_values[i] / shares[i]))
        adjusted[i] = worst
        left -= shares[i]
    return tuple(adjusted)


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values so that the share of false ones among those named keeps its level.

    Parameters
    ----------
    p_values
        Each in 0 to 1; independent or positively dependent.

    Returns
    -------
    tuple
        Adjusted p-values in the order given.

    References
    ----------
    .. [1] Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", JRSS B 57,
       1995.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    (0.03, 0.04, 0.04)
    """
    adjusted = [0.0] * len(p_values)
    best = 1.0
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank in range(len(order), 0, -1):
        i = order[rank - 1]
        best = min(best, p_values[i] * len(p_values) / rank)
        adjusted[i] = best
    return tuple(adjusted)

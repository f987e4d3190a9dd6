"""The numbers of Evidently 0.7, to the last digit that matters; `homeostat.drift_report`.

Called when a report is asked for with ``convention="evidently"``. Each function says what
that library does where one would not expect it; parity tests hold us to it.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import distributions, kolmogorov, samples

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Kind = Literal["number", "category", "text"]

FEW_VALUES = 20
LEAST_DEVIATION = 0.001
_SMALL_ROWS = 1000
_FIVE = 5
_TWO = 2
_FLOOR = 0.0001


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """What the five tests say of one column; None where a test does not apply or fails.

    `psi` and `js` in nats (`js` the distance, a square root), `wasserstein` in standard
    deviations of the reference, the others as usual. NaN is what Evidently itself answers.
    """

    psi: float | None = None
    ks: float | None = None
    ks_p: float | None = None
    wasserstein: float | None = None
    js: float | None = None
    chi2_p: float | None = None
    z_p: float | None = None


class Choice(msgspec.Struct, frozen=True):
    """The test of the default preset for one column, its score and what it decides."""

    test: str
    score: float | None
    threshold: float
    is_drifted: bool


def compare_numbers(
    reference: samples.Numbers,
    current: samples.Numbers,
    *,
    deviation: float,
    by_value: bool = False,
) -> Scores:
    """Compare one numeric column.

    Parameters
    ----------
    reference, current
        Shape ``(n,)`` and ``(m,)``, one row or more each, sorted, finite: Evidently drops
        nulls, NaN and infinities.
    deviation
        Of the reference, see `pandas_deviation`; 0 or more, in the unit of the column.
    by_value
        Count value by value even when there are many (what is done with categories).

    Returns
    -------
    Scores
        `chi2_p` and `z_p` only where values are counted one by one.

    Raises
    ------
    ValueError
        When a sample is empty.

    Notes
    -----
    PSI and JS count value by value when the reference has at most 20 distinct ones, else in
    Sturges' bins over both samples. The Wasserstein distance is divided by the deviation of
    the reference, or 0.001 when that is less. The KS p-value is exact up to 10 000 rows.

    References
    ----------
    .. [1] Evidently 0.7.23, ``evidently/legacy/calculations/stattests``.

    Examples
    --------
    >>> rows = np.arange(100.0)
    >>> found = compare_numbers(rows, rows + 50, deviation=pandas_deviation(rows))
    >>> found.ks, round(found.wasserstein, 3)
    (0.5, 1.732)
    """
    n, m = len(reference), len(current)
    statistic = samples.kolmogorov_smirnov(reference, current)
    wide = (np.asarray(rows, dtype=np.float64) for rows in (reference, current))
    distance = samples.wasserstein(*wide) / max(deviation, LEAST_DEVIATION)
    counted = Scores()
    if by_value or np.count_nonzero(reference[1:] != reference[:-1]) < FEW_VALUES:
        r, c = samples.align(samples.distinct(reference), samples.distinct(current))
        counted = compare_categories(r, c)
    elif (edges := samples.sturges_edges(reference, current)) is not None:
        r, c = (samples.histogram(rows, edges) for rows in (reference, current))
        counted = binned(r, c, n_rows=(n, m))
    return msgspec.structs.replace(
        counted,
        ks=statistic,
        ks_p=kolmogorov.two_sample_tail(statistic, n, m),
        wasserstein=distance,
    )


def pandas_deviation(values: samples.Numbers) -> float:
    """Return the population deviation as pandas computes it (in two passes).

    Parameters
    ----------
    values
        Shape ``(n,)``, n >= 1, finite; float32 is rounded to float32.

    Returns
    -------
    float
        0 or more, in the unit of the column.

    Examples
    --------
    >>> pandas_deviation(np.array([1, 3]))
    1.0
    """
    kind = values.dtype
    wide = values.astype(np.float64) if kind.kind in "iu" else values
    with np.errstate(over="ignore"):
        mean = wide.sum(dtype=np.float64) / len(wide)
        variance = ((mean - wide) ** 2).sum(dtype=np.float64) / len(wide)
    if kind.kind == "f":
        variance = variance.astype(kind)
    return float(np.sqrt(variance))


def compare_categories(reference: Counts, current: Counts) -> Scores:
    """Compare one column that is counted value by value.

    Parameters
    ----------
    reference, current
        Shape ``(k,)`` each: rows of every value that occurs in either, a row in each sample.
        For `z_p` values are in increasing order.

    Returns
    -------
    Scores
        Without the distances of numbers; `z_p` only for one or two values.

    Raises
    ------
    ValueError
        When shapes differ or a sample is empty.

    Notes
    -----
    Chi-square takes the shares of the reference for certain, so one unseen category makes
    its p-value 0; a single value leaves no degree of freedom and gives NaN.

    Examples
    --------
    >>> found = compare_categories(np.array([50, 50]), np.array([40, 60]))
    >>> round(found.chi2_p, 4), round(found.z_p, 4)
    (0.0455, 0.1552)
    """
    counted = binned(reference, current, n_rows=(int(reference.sum()), int(current.sum())))
    return msgspec.structs.replace(
        counted,
        chi2_p=_chi_square_p(reference, current),
        z_p=_proportions_p(reference, current) if len(reference) <= _TWO else None,
    )


def binned(reference: Counts, current: Counts, *, n_rows: tuple[int, int]) -> Scores:
    """Return PSI and JS of two histograms.

    Parameters
    ----------
    reference, current
        Shape ``(k,)`` each, counts on the same bins.
    n_rows
        Rows of the two samples, 1 or more.

    Returns
    -------
    Scores
        `psi` and `js` only. An empty bin counts as a share of 0.0001 in the index, or a
        millionth of the least share where that is 0.0001 or less.

    Raises
    ------
    ValueError
        When shapes differ or a sample is empty.

    Examples
    --------
    >>> round(binned(np.array([1, 1]), np.array([1, 3]), n_rows=(2, 4)).psi, 4)
    0.2747
    """
    if reference.shape != current.shape or min(n_rows) < 1 or not len(reference):
        shapes = f"{reference.shape} and {current.shape}"
        msg = f"need two histograms on the same bins with rows in each; got {shapes}, {n_rows}"
        raise ValueError(msg)
    r, c = reference / n_rows[0], current / n_rows[1]
    if not r.any() or not c.any():
        return Scores()
    p, q = r / r.sum(), c / c.sum()
    middle = (p + q) / 2
    divergence = float(_relative_entropy(p, middle).sum() + _relative_entropy(q, middle).sum())
    r, c = _without_zeros(r), _without_zeros(c)
    index = float(np.sum((r - c) * np.log(r / c)))
    return Scores(psi=index, js=math.sqrt(max(0.0, divergence) / 2))


def _without_zeros(shares: Floats) -> Floats:
    least = shares[shares != 0].min()
    floor = least / 10**6 if least <= _FLOOR else _FLOOR
    return np.where(shares == 0, floor, shares)


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    """``p ln(p / q)``; by log1p where the two are near, or equal shares would leave noise."""
    with np.errstate(divide="ignore", invalid="ignore"):
        near = p * np.log1p((p - q) / q)
        far = p * np.log(p / q)
    found = np.where((p > q / 2) & (p < 2 * q), near, far)
    return np.where(p > 0, found, 0.0)


def _chi_square_p(reference: Counts, current: Counts) -> float:
    expected = reference * (int(current.sum()) / int(reference.sum()))
    if np.any((expected == 0) & (current > 0)):
        return 0.0
    statistic = float(np.sum((current - expected) ** 2 / expected))
    df = len(reference) - 1
    if not df:
        return math.nan if statistic == 0 else 0.0
    return distributions.chi_square_tail(statistic, df)


def _proportions_p(reference: Counts, current: Counts) -> float:
    if len(reference) == 1:
        return 1.0
    n, m = int(reference.sum()), int(current.sum())
    a, b = float(reference[1]) / n, float(current[1]) / m
    pooled = (a * n + b * m) / (n + m)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    z = (a - b) / error if error else math.nan
    return 2 * (1 - (1 - distributions.normal_tail(abs(z))))


def choose(scores: Scores, *, kind: Kind, n_reference: int, n_values: int) -> Choice:
    """Say what the default preset decides on one column.

    Parameters
    ----------
    scores
        Of the column.
    kind
        How Evidently takes the column: floats are numbers; integers too unless they have at
        most 10 distinct values; strings are text when more than half of them differ.
    n_reference
        Rows of the reference with a value.
    n_values
        Distinct values in both samples together.

    Returns
    -------
    Choice
        Without a score for text, which Evidently judges by training a classifier on words.

    Examples
    --------
    >>> choose(Scores(ks_p=0.01), kind="number", n_reference=500, n_values=9).is_drifted
    True
    """
    if kind == "text":
        return Choice("text content", None, 0.55 if n_reference > _SMALL_ROWS else 0.95, False)
    is_small = n_reference <= _SMALL_ROWS
    by_value = kind == "category" or n_values <= _FIVE
    if is_small and by_value:
        is_two = n_values <= _TWO
        name, score = ("z", scores.z_p) if is_two else ("chisquare", scores.chi2_p)
        return Choice(name, score, 0.05, score is not None and score < 0.05)  # noqa: PLR2004
    if is_small:
        return Choice("ks", scores.ks_p, 0.05, scores.ks_p is not None and scores.ks_p <= 0.05)  # noqa: PLR2004
    name, score = (
        ("jensenshannon", scores.js) if by_value else ("wasserstein", scores.wasserstein)
    )
    return Choice(name, score, 0.1, score is not None and score >= 0.1)  # noqa: PLR2004

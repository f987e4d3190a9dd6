"""Scores made into honest probabilities, and the test whether they still are; for `estimation`.

Everything rests on labelled rows the model was not fitted on.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import noise as sampling

Floats = NDArray[np.float64]

_BINS = 10
_FOLDS = 5
_CELLS = 4096
_LEVEL = 0.001
_HARMLESS = 0.01
LEAST_IN_TIME = 600
"""With fewer rows nobody can tell whether they err together; see `noise.design`."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Whether probabilities fit outcomes.

    `error` is the expected calibration error (mean gap of the bins, 0 to 1), `noise` what
    perfect probabilities would show in as many rows, `p_value` the chance of a worse fit then.
    """

    error: float
    noise: float
    p_value: float
    n_rows: int

    @property
    def is_broken(self) -> bool:
        """Whether they do not fit: not by chance, and by a point above the noise or more."""
        return self.p_value < _LEVEL and self.error - self.noise > _HARMLESS


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """A monotone map from score to probability, linear between its knots.

    `check` is of rows the map was not fitted on (cross-fitting); `is_identity` says that the
    scores were better left alone.
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    is_identity: bool
    lowest: float
    highest: float
    n_rows: int
    n_positive: int
    check: Check

    def apply(self, scores: Floats) -> Floats:
        """Return the probability of each score.

        Parameters
        ----------
        scores
            Shape ``(n,)``, of the model that was calibrated.

        Returns
        -------
        NDArray
            Shape ``(n,)``, in 0 to 1; outside the knots the last value holds.
        """
        if self.is_identity:
            return np.clip(np.asarray(scores, dtype=np.float64), 0.0, 1.0)
        return np.asarray(np.interp(scores, self.scores, self.probabilities))


def isotonic(scores: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """Fit the best non-decreasing map by the pool-adjacent-violators algorithm.

    Parameters
    ----------
    scores, labels
        Shape ``(n,)``, n >= 1, finite; labels 0 or 1 (or any outcome).

    Returns
    -------
    tuple
        Knots: increasing scores and fitted values, shape ``(k,)`` each, to be joined by
        straight lines. From 4096 distinct scores up, rows are first averaged in that many
        cells of equal share.

    References
    ----------
    .. [1] B. Zadrozny and C. Elkan, "Transforming classifier scores into accurate multiclass
       probability estimates", KDD 2002.

    Examples
    --------
    >>> isotonic(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, 0.0, 1.0]))[1].tolist()
    [0.0, 0.5, 0.5, 1.0]
    """
    order = np.argsort(scores, kind="stable")
    x, y = scores[order], labels[order].astype(np.float64)
    starts = np.concatenate([[0], np.flatnonzero(x[1:] != x[:-1]) + 1])
    if len(starts) > _CELLS:
        starts = np.unique(starts[np.linspace(0, len(starts) - 1, _CELLS).astype(np.intp)])
    weights = np.diff(starts, append=len(x)).astype(np.float64)
    means = np.add.reduceat(y, starts) / weights
    places = np.add.reduceat(x, starts) / weights
    blocks: list[tuple[float, float, int]] = []
    for mean, weight in zip(means.tolist(), weights.tolist(), strict=True):
        joined = (mean, weight, 1)
        while blocks and blocks[-1][0] >= joined[0]:
            value, heavy, cells = blocks.pop()
            total = heavy + joined[1]
            middle = (value * heavy + joined[0] * joined[1]) / total
            joined = (middle, total, cells + joined[2])
        blocks.append(joined)
    fitted = np.repeat([block[0] for block in blocks], [block[2] for block in blocks])
    # Inner knots of a flat piece say nothing.
    kept = np.ones(len(fitted), dtype=np.bool_)
    kept[1:-1] = (fitted[1:-1] != fitted[:-2]) | (fitted[1:-1] != fitted[2:])
    return places[kept], fitted[kept]


def in_time(probabilities: Floats, labels: Floats) -> sampling.Design:
    """Measure how strongly rows that follow each other err together.

    Parameters
    ----------
    probabilities, labels
        As for `check`, in time order.

    Returns
    -------
    Design
        With the largest factor, for that of all bins together; independent with fewer than
        600 rows.

    Notes
    -----
    Where a row lies within its own chances is uniform if these are true, whatever they are
    (randomised probability integral transform [1]_): what is left of dependence in it is not of
    the cases, whose chances say it already. Fixed seed.

    References
    ----------
    .. [1] P. K. Dunn and G. K. Smyth, "Randomized quantile residuals", Journal of
       Computational and Graphical Statistics 5, 1996.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(3000)
    >>> in_time(p, rng.random(3000) < p).effect
    1.0
    >>> in_time(p, np.repeat(rng.random(150), 20) < p).effect > 5
    True
    """
    drawn = np.random.default_rng(0).random(len(probabilities))
    p = np.asarray(probabilities, dtype=np.float64)
    place = np.where(np.asarray(labels) > 0, p * drawn, p + (1 - p) * drawn)
    codes = np.minimum((place * _BINS).astype(np.intp), _BINS - 1)
    found = sampling.design(codes, n_groups=_BINS)
    return sampling.Design(effect=found.largest, n_blocks=found.n_blocks, memory=found.memory)


def check(
    probabilities: Floats, labels: Floats, *, series: sampling.Design | None = None
) -> Check:
    """Test whether probabilities fit outcomes that were not used to make them.

    Parameters
    ----------
    probabilities
        Shape ``(n,)``, n >= 1, in 0 to 1.
    labels
        Shape ``(n,)``, 0 or 1.
    series
        From `in_time`; rows are independent when None.

    Returns
    -------
    Check
        In ten bins of equal share.

    Raises
    ------
    ValueError
        When the two differ in length or there is no row.

    Notes
    -----
    With true probabilities p, the sum of a bin has variance ``sum p (1 - p)``; the squared
    standardised gaps add up to about chi-square with one degree of freedom a bin (nothing was
    fitted to these rows) [1]_. The noise of the error is its mean under the same normal law.
    Where rows err together, both are as many times larger as `series` says. Of 200 stationary
    runs of 2,000 rows with a memory of .8 between their errors 11 % were at a level of .1 %
    without it.

    References
    ----------
    .. [1] D. W. Hosmer and S. Lemeshow, "Goodness of fit tests for the multiple logistic
       regression model", Communications in Statistics 9, 1980.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(5000)
    >>> check(p, rng.random(5000) < p).is_broken, check(p**3, rng.random(5000) < p).is_broken
    (False, True)
    """
    n = len(probabilities)
    if n != len(labels) or n < 1:
        msg = f"need as many labels as probabilities and a row; got {len(labels)} and {n}"
        raise ValueError(msg)
    order = np.argsort(probabilities, kind="stable")
    p, y = probabilities[order], labels[order].astype(np.float64)
    starts = np.unique(np.arange(_BINS) * n // _BINS)
    gaps = np.add.reduceat(y - p, starts)
    spread = np.add.reduceat(p * (1 - p), starts)
    known = spread > 0
    statistic = float(np.sum(gaps[known] ** 2 / spread[known]))
    design = series or sampling.Design()
    p_value = sampling.chi_square_tail(statistic, max(1, int(known.sum())), design)
    if np.any(np.abs(gaps[~known]) > 0):  # a certainty that failed
        p_value = 0.0
    return Check(
        error=float(np.abs(gaps).sum()) / n,
        noise=math.sqrt(2 / math.pi * design.effect) * float(np.sqrt(spread).sum()) / n,
        p_value=p_value,
        n_rows=n,
    )


def fit(scores: Floats, labels: Floats) -> Calibration:
    """Fit a calibration to labelled rows, or leave the scores alone where that fits better.

    Parameters
    ----------
    scores
        Shape ``(n,)``, n >= 10, finite, the model's score of the positive class in 0 to 1,
        of rows it was not fitted on.
    labels
        Shape ``(n,)``, 0 or 1.

    Returns
    -------
    Calibration
        By isotonic regression, if that lowers the cross-fitted expected calibration error.

    Raises
    ------
    ValueError
        When there are fewer than 10 rows, lengths differ, or a score is not in 0 to 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(5000)
    >>> found = fit(p**3, rng.random(5000) < p)
    >>> found.is_identity, round(float(found.apply(np.array([0.125]))[0]), 1)
    (False, 0.5)
    """
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    inside = bool(np.all((x >= 0) & (x <= 1)))
    if len(x) != len(y) or len(x) < _BINS or not inside:
        msg = (
            f"need {_BINS} rows or more, a label for each and scores in 0 to 1; "
            f"got {len(x)} rows and {len(y)} labels"
        )
        raise ValueError(msg)
    folds = np.random.default_rng(0).permutation(len(x)) % _FOLDS
    crossed = np.empty(len(x))
    for fold in range(_FOLDS):
        out = folds == fold
        crossed[out] = np.interp(x[out], *isotonic(x[~out], y[~out]))
    raw, fitted = check(x, y), check(crossed, y)
    knots, values = isotonic(x, y)
    is_identity = raw.error <= fitted.error or len(np.unique(y)) == 1
    return Calibration(
        scores=tuple(knots.tolist()),
        probabilities=tuple(values.tolist()),
        is_identity=is_identity,
        lowest=float(x.min()),
        highest=float(x.max()),
        n_rows=len(x),
        n_positive=int(y.sum()),
        check=raw if is_identity else fitted,
    )

"""Parts that metrics, comparison and fairness share: fit arrays, losses by row, shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from homeostat.lifecycle.evaluation.entities import Estimate
from homeostat.measures import distributions, intervals

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]

CLIP = 1e-15


def checked(y: ArrayLike, score: ArrayLike) -> tuple[Truths, Floats]:
    """Return `y` as truth values and `score` as floats, or say what is wrong with them.

    Parameters
    ----------
    y, score
        As for `evaluate`.

    Returns
    -------
    tuple
        Two arrays of shape ``(n,)``, n >= 1.

    Raises
    ------
    ValueError
        When shapes differ, there is no row, or a value is not finite or not in range.
    """
    truth = np.asarray(y)
    chance = np.asarray(score, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != chance.shape or len(truth) == 0:
        shapes = f"{truth.shape} and {chance.shape}"
        raise ValueError(f"labels and scores must be two columns of one length; got {shapes}")
    if truth.dtype != np.bool_:
        if not np.isin(truth, (0, 1)).all():
            raise ValueError("labels must be 0 or 1; map the positive class to 1 first")
        truth = truth.astype(np.bool_)
    if not (np.isfinite(chance).all() and chance.min() >= 0 and chance.max() <= 1):
        raise ValueError("scores must be finite and between 0 and 1")
    return truth, chance


def losses(metric: str, truth: Truths, score: Floats, *, threshold: float = 0.5) -> Floats:
    """Return the loss of each row, whose mean is the metric.

    Parameters
    ----------
    metric
        ``accuracy`` (its loss is an error), ``brier`` or ``log_loss``.
    truth, score
        Shape ``(n,)``, as `checked` returns them.
    threshold
        For ``accuracy``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``; log loss in nats.

    Raises
    ------
    ValueError
        When the metric is no mean over rows.
    """
    if metric == "accuracy":
        wrong: Floats = ((score >= threshold) != truth).astype(np.float64)
        return wrong
    if metric == "brier":
        squared: Floats = np.square(score - truth)
        return squared
    if metric == "log_loss":
        chance = np.clip(np.where(truth, score, 1.0 - score), CLIP, 1.0)
        surprise: Floats = -np.log(chance)
        return surprise
    raise ValueError(f"{metric} is not a mean over rows")


def placements(truth: Truths, score: Floats) -> tuple[Floats, Floats]:
    """Return the share of the other class that each row is placed rightly against.

    Parameters
    ----------
    truth, score
        Shape ``(n,)`` with both classes.

    Returns
    -------
    tuple
        One value for each positive row and one for each negative row, in [0, 1]; the mean of
        either is the area under the ROC curve.

    References
    ----------
    .. [1] X. Sun, W. Xu, "Fast implementation of DeLong's algorithm", IEEE Signal Processing
       Letters 21, 2014.
    """
    positive, negative = score[truth], score[~truth]
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    up_to = np.searchsorted(ordered, positive, side="right")
    of_positive = (below + up_to) / (2.0 * len(negative))
    ordered = np.sort(positive)
    below = np.searchsorted(ordered, negative, side="left")
    up_to = np.searchsorted(ordered, negative, side="right")
    of_negative = 1.0 - (below + up_to) / (2.0 * len(positive))
    return of_positive, of_negative


def quantile(confidence: float) -> float:
    """Return the two-sided normal quantile, 1.96 for 0.95.

    Parameters
    ----------
    confidence
        In (0, 1).

    Returns
    -------
    float
        Standard deviations, positive.
    """
    return distributions.normal_quantile(0.5 + confidence / 2)


def share(n_hits: int, n_rows: int, *, confidence: float = 0.95) -> Estimate:
    """Return a share with its Wilson score interval.

    Parameters
    ----------
    n_hits, n_rows
        Counts, ``0 <= n_hits <= n_rows``.
    confidence
        In (0, 1).

    Returns
    -------
    Estimate
        In [0, 1]; undefined without rows.

    Examples
    --------
    >>> found = share(81, 263)
    >>> round(found.low, 4), round(found.high, 4)
    (0.2553, 0.3662)
    """
    if n_rows == 0:
        return Estimate(value=None, low=None, high=None, n_rows=0, confidence=confidence)
    found = intervals.wilson(n_hits, n_rows, level=confidence)
    return Estimate(
        value=found.value, low=found.low, high=found.high, n_rows=n_rows, confidence=confidence
    )

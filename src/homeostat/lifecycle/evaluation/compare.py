"""Two models on the same rows, paired; called by `exam`."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from homeostat.lifecycle.evaluation import metrics, scoring
from homeostat.lifecycle.evaluation.entities import Comparison, Estimate, Metric
from homeostat.lifecycle.evaluation.scoring import Floats, Truths

PAIRED: tuple[Metric, ...] = ("brier", "accuracy", "roc_auc", "log_loss")
ABLE: tuple[Metric, ...] = (*PAIRED, "recall")


def compare(
    y: ArrayLike,
    champion: ArrayLike,
    candidate: ArrayLike,
    *,
    metric: Metric,
    threshold: float = 0.5,
    confidence: float = 0.95,
) -> Comparison:
    """Return how much better `candidate` is than `champion` on the same rows.

    Parameters
    ----------
    y
        Shape ``(n,)``, True or 1 for positive rows.
    champion, candidate
        Shape ``(n,)``, their probabilities of the positive class.
    metric
        One of `ABLE`.
    threshold
        Rows at or above it are decided positive.
    confidence
        Of the interval of the gain, in (0, 1).

    Returns
    -------
    Comparison
        The gain is positive when the candidate is better, also for losses.

    Raises
    ------
    ValueError
        When the arrays are not fit or the metric cannot be paired.

    Notes
    -----
    Pairing removes what both find hard: the interval of the gain is that of the mean of the
    row-wise differences. For accuracy half a row is added to both kinds of disagreement, so
    that few rows never look certain [1]_. For the AUC it is DeLong's covariance [2]_.

    References
    ----------
    .. [1] A. Agresti, Y. Min, "Simple improved confidence intervals for comparing matched
       proportions", Statistics in Medicine 24, 2005.
    .. [2] E. R. DeLong et al., Biometrics 44, 1988.

    Examples
    --------
    >>> y = [0, 1, 0, 1]
    >>> compare(y, [0.4, 0.6, 0.4, 0.6], [0.1, 0.9, 0.1, 0.9], metric="brier").gain.value
    0.15
    """
    if metric not in ABLE:
        raise ValueError(f"{metric} is no mean over the same rows; take one of {ABLE}")
    truth, old = scoring.checked(y, champion)
    _, new = scoring.checked(y, candidate)
    options = {"metric": metric, "threshold": threshold, "confidence": confidence}
    before = metrics.estimate(y=truth, score=old, **options).value  # type: ignore[arg-type]
    after = metrics.estimate(y=truth, score=new, **options).value  # type: ignore[arg-type]
    if metric == "roc_auc":
        gain = _area_gain(truth, old, new, confidence)
    elif metric == "recall":
        gain = _right_gain(
            (old[truth] >= threshold).astype(np.float64),
            (new[truth] >= threshold).astype(np.float64),
            confidence,
        )
    elif metric == "accuracy":
        wrong = [scoring.losses(metric, truth, p, threshold=threshold) for p in (old, new)]
        gain = _right_gain(1.0 - wrong[0], 1.0 - wrong[1], confidence)
    else:
        saved = scoring.losses(metric, truth, old) - scoring.losses(metric, truth, new)
        gain = mean_gain(saved, confidence)
    return Comparison(metric=metric, champion=before, candidate=after, gain=gain)


def mean_gain(saved: Floats, confidence: float) -> Estimate:
    """Return the mean of what each row gains, with its interval."""
    n_rows = len(saved)
    mean = float(np.round(saved.mean(), 15))
    error = float(saved.std(ddof=1)) / math.sqrt(n_rows) if n_rows > 1 else math.inf
    return _around(mean, error, n_rows=n_rows, confidence=confidence, widest=math.inf)


def _right_gain(old: Floats, new: Floats, confidence: float) -> Estimate:
    n_rows = len(old)
    if n_rows == 0:
        return Estimate(value=None, low=None, high=None, n_rows=0, confidence=confidence)
    won = float((new > old).sum())
    lost = float((new < old).sum())
    padded = n_rows + 2.0
    won_share, lost_share = (won + 0.5) / padded, (lost + 0.5) / padded
    spread = won_share + lost_share - (won_share - lost_share) ** 2
    return _around(
        (won - lost) / n_rows,
        math.sqrt(spread / padded),
        n_rows=n_rows,
        confidence=confidence,
        widest=1.0,
    )


def _area_gain(truth: Truths, old: Floats, new: Floats, confidence: float) -> Estimate:
    n_rows = len(truth)
    if truth.all() or not truth.any():
        return Estimate(value=None, low=None, high=None, n_rows=n_rows, confidence=confidence)
    old_parts = scoring.placements(truth, old)
    new_parts = scoring.placements(truth, new)
    variance = 0.0
    for before, after in zip(old_parts, new_parts, strict=True):
        if len(before) > 1:
            variance += float((after - before).var(ddof=1)) / len(before)
    gain = float(new_parts[0].mean() - old_parts[0].mean())
    return _around(gain, math.sqrt(variance), n_rows=n_rows, confidence=confidence, widest=1.0)


def _around(
    value: float, error: float, *, n_rows: int, confidence: float, widest: float
) -> Estimate:
    half = scoring.quantile(confidence) * error
    # JSON has no infinity: a single row is shown by the widest finite interval.
    limit = min(widest, 1e9)
    return Estimate(
        value=value,
        low=max(-limit, value - half),
        high=min(limit, value + half),
        n_rows=n_rows,
        confidence=confidence,
    )

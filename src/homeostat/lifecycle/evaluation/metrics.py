"""Metrics of a binary classifier with their intervals; called by `exam` and by the worker.

Plain numpy: nothing here needs scikit-learn, which is the oracle in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from homeostat.lifecycle.evaluation import scoring
from homeostat.lifecycle.evaluation.entities import Estimate, Evaluation, Metric
from homeostat.lifecycle.evaluation.scoring import Floats, Truths
from homeostat.measures import intervals

RESAMPLES = 400
MANY_ROWS = 5_000


class How(NamedTuple):
    """What every metric is given beside the rows."""

    threshold: float
    confidence: float
    seed: int


def evaluate(
    y: ArrayLike,
    score: ArrayLike,
    *,
    threshold: float = 0.5,
    confidence: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Return how well `score` tells the positive rows of `y` from the others.

    Parameters
    ----------
    y
        Shape ``(n,)``, True or 1 for positive rows.
    score
        Shape ``(n,)``, probability of the positive class in [0, 1].
    threshold
        Rows at or above it are decided positive.
    confidence
        Of every interval, in (0, 1).
    seed
        Of the bootstrap, so that the same rows always give the same interval.

    Returns
    -------
    Evaluation
        With undefined values as None: AUC with one class only, recall without a positive row.

    Raises
    ------
    ValueError
        When shapes differ, there is no row, or a value is not finite or not in range.

    Notes
    -----
    Accuracy, recall and precision have Wilson intervals [1]_, the AUC has DeLong's on the
    logit scale [2]_, Brier score and log loss a percentile bootstrap over rows.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical
       inference", JASA 22, 1927.
    .. [2] E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the areas under two or
       more correlated receiver operating characteristic curves", Biometrics 44, 1988.

    Examples
    --------
    >>> found = evaluate([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> found.roc_auc.value, found.accuracy.value
    (0.75, 0.75)
    """
    truth, chance = scoring.checked(y, score)
    how = How(threshold, confidence, seed)
    return Evaluation(
        n_rows=len(truth),
        n_positive=int(truth.sum()),
        threshold=threshold,
        **{name: ESTIMATES[name](truth, chance, how) for name in ALWAYS},
    )


def estimate(
    metric: Metric,
    y: ArrayLike,
    score: ArrayLike,
    *,
    threshold: float = 0.5,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Return one metric of `evaluate`, at any confidence.

    Parameters
    ----------
    metric
        One of `entities.METRICS`.
    y, score, threshold, confidence, seed
        As for `evaluate`.

    Returns
    -------
    Estimate
        In the unit of the metric; shares and areas are in [0, 1].

    Raises
    ------
    ValueError
        When the metric is not known or the arrays are not fit.
    """
    if metric not in ESTIMATES:
        raise ValueError(f"no metric {metric!r}; known are {', '.join(ESTIMATES)}")
    truth, chance = scoring.checked(y, score)
    return ESTIMATES[metric](truth, chance, How(threshold, confidence, seed))


def _accuracy(truth: Truths, score: Floats, how: How) -> Estimate:
    right = int(((score >= how.threshold) == truth).sum())
    return scoring.share(right, len(truth), confidence=how.confidence)


def _recall(truth: Truths, score: Floats, how: How) -> Estimate:
    found = int((score[truth] >= how.threshold).sum())
    return scoring.share(found, int(truth.sum()), confidence=how.confidence)


def _precision(truth: Truths, score: Floats, how: How) -> Estimate:
    selected = score >= how.threshold
    n_selected = int(selected.sum())
    return scoring.share(int(truth[selected].sum()), n_selected, confidence=how.confidence)


def _roc_auc(truth: Truths, score: Floats, how: How) -> Estimate:
    n_rows, n_positive = len(truth), int(truth.sum())
    rarer = min(n_positive, n_rows - n_positive)
    if rarer == 0:
        return undefined(n_rows, how)
    of_positive, of_negative = scoring.placements(truth, score)
    area = float(of_positive.mean())
    error = math.sqrt(variance(of_positive) + variance(of_negative))
    if error == 0.0 or not 0.0 < area < 1.0:
        # A perfect order has no spread to measure: fall back on the rarer class alone.
        bound = scoring.share(round(area * rarer), rarer, confidence=how.confidence)
        return between(area, bound.low, bound.high, n_rows=n_rows, how=how)
    centre = math.log(area / (1 - area))
    half = scoring.quantile(how.confidence) * error / (area * (1 - area))
    low, high = _logistic(centre - half), _logistic(centre + half)
    return between(area, low, high, n_rows=n_rows, how=how)


def _brier(truth: Truths, score: Floats, how: How) -> Estimate:
    return mean(scoring.losses("brier", truth, score), how)


def _log_loss(truth: Truths, score: Floats, how: How) -> Estimate:
    return mean(scoring.losses("log_loss", truth, score), how)


def _f1(truth: Truths, score: Floats, how: How) -> Estimate:
    chosen = score >= how.threshold

    def value(rows: NDArray[np.intp]) -> float:
        size = int(truth[rows].sum()) + int(chosen[rows].sum())
        return 2.0 * int((truth[rows] & chosen[rows]).sum()) / size if size else math.nan

    return resampled(value, len(truth), how)


def _balanced_accuracy(truth: Truths, score: Floats, how: How) -> Estimate:
    right = (score >= how.threshold) == truth

    def value(rows: NDArray[np.intp]) -> float:
        y, hit = truth[rows], right[rows]
        if y.all() or not y.any():
            return math.nan
        return float(hit[y].mean() + hit[~y].mean()) / 2

    return resampled(value, len(truth), how)


def _average_precision(truth: Truths, score: Floats, how: How) -> Estimate:
    def value(rows: NDArray[np.intp]) -> float:
        """Precision at each distinct score, weighted by the recall it adds."""
        y, p = truth[rows], score[rows]
        if not y.any():
            return math.nan
        order = np.argsort(-p, kind="stable")
        last = np.append(np.diff(p[order]) != 0, True)
        hits, rank = np.cumsum(y[order])[last], np.flatnonzero(last) + 1
        return float((np.diff(hits, prepend=0) * hits / rank).sum() / hits[-1])

    return resampled(value, len(truth), how)


ESTIMATES: dict[str, Callable[[Truths, Floats, How], Estimate]] = {
    "accuracy": _accuracy,
    "roc_auc": _roc_auc,
    "recall": _recall,
    "precision": _precision,
    "brier": _brier,
    "log_loss": _log_loss,
    "f1": _f1,
    "balanced_accuracy": _balanced_accuracy,
    "average_precision": _average_precision,
}
ALWAYS = ("accuracy", "roc_auc", "recall", "precision", "brier", "log_loss")


def mean(values: Floats, how: How) -> Estimate:
    """Return a mean with a bootstrap; on many rows the normal interval is the same."""
    n_rows, found = len(values), float(values.mean())
    if n_rows <= MANY_ROWS:
        return resampled(lambda rows: float(values[rows].mean()), n_rows, how)
    half = scoring.quantile(how.confidence) * math.sqrt(variance(values))
    return between(found, max(0.0, found - half), found + half, n_rows=n_rows, how=how)


def resampled(value: Callable[[NDArray[np.intp]], float], n_rows: int, how: How) -> Estimate:
    """Return a statistic of row numbers with a percentile bootstrap."""
    found = intervals.bootstrap(
        value, n_rows, level=how.confidence, draws=RESAMPLES, seed=how.seed
    )
    if math.isnan(found.value) or math.isnan(found.low):
        return undefined(n_rows, how)
    return between(found.value, found.low, found.high, n_rows=n_rows, how=how)


def between(
    value: float, low: float | None, high: float | None, *, n_rows: int, how: How
) -> Estimate:
    """Return a value between its ends; an end that is not known is the value."""
    return Estimate(
        value=value,
        low=value if low is None else min(low, value),
        high=value if high is None else max(high, value),
        n_rows=n_rows,
        confidence=how.confidence,
    )


def undefined(n_rows: int, how: How) -> Estimate:
    """Return what is said where a metric has no meaning."""
    return Estimate(value=None, low=None, high=None, n_rows=n_rows, confidence=how.confidence)


def variance(values: Floats) -> float:
    """Return the variance of the mean of `values`; 0 for a single one."""
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0


def _logistic(value: float) -> float:
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    power = math.exp(value)
    return power / (1.0 + power)

"""Metrics of a classifier of several classes with their intervals; called by `tasks`.

Plain numpy, as `metrics`; scikit-learn is the oracle in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from homeostat.lifecycle.evaluation import metrics, scoring
from homeostat.lifecycle.evaluation.entities import CLASS_METRICS, Estimate

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

MEANS = ("accuracy", "brier", "log_loss")
"""Metrics that are means over rows; accuracy counts the right ones."""
CLIP = scoring.CLIP


def checked(y: ArrayLike, scores: ArrayLike) -> tuple[Codes, Floats]:
    """Return codes and probabilities as arrays, or say what is wrong with them.

    Parameters
    ----------
    y
        Shape ``(n,)``, the place of each row's class; -1 for a class the model does not know.
    scores
        Shape ``(n, k)``, a probability for each class.

    Raises
    ------
    ValueError
        When shapes differ, there is no row, or a value is not finite or not in range.
    """
    truth, chances = np.asarray(y, dtype=np.intp), np.asarray(scores, dtype=np.float64)
    if chances.ndim != 2 or truth.shape != chances.shape[:1] or not len(truth):  # noqa: PLR2004
        shapes = f"{truth.shape} and {chances.shape}"
        raise ValueError(f"several classes need n labels and n x k scores; got {shapes}")
    if truth.min() < -1 or truth.max() >= chances.shape[1]:
        raise ValueError(f"labels must be places of the {chances.shape[1]} classes, or -1")
    if not (np.isfinite(chances).all() and chances.min() >= 0 and chances.max() <= 1):
        raise ValueError("scores must be finite and between 0 and 1")
    return truth, chances


def losses(metric: str, truth: Codes, chances: Floats) -> Floats:
    """Return the loss of each row, whose mean is the metric (one minus it, for accuracy).

    Parameters
    ----------
    metric
        One of `MEANS`.
    truth, chances
        As `checked` returns them.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``. The Brier score is halved, so that it lies in 0 to 1 and is that of two
        classes where there are two; log loss in nats.

    Examples
    --------
    >>> losses("brier", np.array([0, 1]), np.array([[1.0, 0.0], [0.6, 0.4]])).tolist()
    [0.0, 0.36]
    """
    if metric == "accuracy":
        return np.asarray(chances.argmax(axis=1) != truth, dtype=np.float64)
    known = truth >= 0
    at = np.flatnonzero(known)
    if metric == "brier":
        off = chances.copy()
        off[at, truth[at]] -= 1.0
        squared = 0.5 * (off**2).sum(axis=1)
        # A class the model does not know is one more, of probability 0.
        return np.asarray(squared + np.where(known, 0.0, 0.5))
    right = np.zeros(len(truth))
    right[at] = chances[at, truth[at]]
    return np.asarray(-np.log(np.clip(right, CLIP, 1.0)))


def estimate(
    metric: str, truth: Codes, chances: Floats, *, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Return a metric with its interval; undefined where it has no meaning.

    Parameters
    ----------
    metric
        One of `entities.CLASS_METRICS`.
    truth, chances
        As `checked` returns them.
    confidence
        Of the interval, in (0, 1).
    seed
        Of the bootstrap.

    Notes
    -----
    Accuracy has Wilson's interval. The area under the ROC curve is the mean of those of each
    class against the rest; its standard error is the mean of theirs (DeLong), which is no
    smaller than the true one however they depend on each other. The others have a percentile
    bootstrap over rows.

    Examples
    --------
    >>> sure = np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.1, 0.7, 0.2]])
    >>> found = estimate("macro_f1", np.array([0, 1, 2, 2]), sure)
    >>> round(found.value, 3)
    0.778
    """
    how = metrics.How(0.5, confidence, seed)
    if metric == "accuracy":
        n_right = int((chances.argmax(axis=1) == truth).sum())
        return scoring.share(n_right, len(truth), confidence=confidence)
    if metric in MEANS:
        return metrics.mean(losses(metric, truth, chances), how)
    if metric == "roc_auc":
        return _area(truth, chances, how)
    value = statistic(metric, truth, chances)
    if value is None:
        return metrics.undefined(len(truth), how)
    return metrics.resampled(value, len(truth), how)


def statistic(
    metric: str, truth: Codes, chances: Floats
) -> Callable[[NDArray[np.intp]], float] | None:
    """Return the metric as a function of row numbers; None where it has no meaning here.

    Parameters
    ----------
    metric
        One of `entities.CLASS_METRICS`.
    truth, chances
        As `checked` returns them.
    """
    n = chances.shape[1]
    told = chances.argmax(axis=1)
    # One more class for labels that the model does not know.
    pairs = np.where(truth < 0, n, truth) * n + told

    def counted(rows: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        table = np.bincount(pairs[rows], minlength=(n + 1) * n).reshape(n + 1, n)
        return table[:n].diagonal().astype(float), table.sum(axis=0), table[:n].sum(axis=1)

    def f1(rows: NDArray[np.intp]) -> float:
        hits, said, are = counted(rows)
        seen = (said + are) > 0
        return float(np.mean(2 * hits[seen] / (said + are)[seen]))

    def recall(rows: NDArray[np.intp]) -> float:
        hits, _, are = counted(rows)
        return float(np.mean(hits[are > 0] / are[are > 0])) if are.any() else math.nan

    def precision(rows: NDArray[np.intp]) -> float:
        hits, said, are = counted(rows)
        seen = (said + are) > 0
        return float(np.mean(hits[seen] / np.maximum(said[seen], 1)))

    known = {
        "macro_f1": f1,
        "f1": f1,
        "recall": recall,
        "balanced_accuracy": recall,
        "precision": precision,
    }
    return known.get(metric)


def _area(truth: Codes, chances: Floats, how: metrics.How) -> Estimate:
    areas, errors = [], []
    for place in range(chances.shape[1]):
        is_class = truth == place
        if is_class.all() or not is_class.any():
            continue
        parts = scoring.placements(is_class, chances[:, place])
        areas.append(float(parts[0].mean()))
        errors.append(math.sqrt(sum(metrics.variance(part) for part in parts)))
    if not areas:
        return metrics.undefined(len(truth), how)
    value, half = float(np.mean(areas)), scoring.quantile(how.confidence) * np.mean(errors)
    low, high = max(0.0, value - float(half)), min(1.0, value + float(half))
    return metrics.between(value, low, high, n_rows=len(truth), how=how)


def evaluate(truth: Codes, chances: Floats) -> dict[str, Estimate]:
    """Return every metric of several classes.

    Parameters
    ----------
    truth, chances
        As `checked` returns them.
    """
    wanted = [name for name in CLASS_METRICS if name not in {"f1", "recall"}]
    return {name: estimate(name, truth, chances) for name in wanted}

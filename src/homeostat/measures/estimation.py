"""How good a classifier's answers are before their labels come; monitoring shows it.

Confidence-based performance estimation: if the calibrated scores are probabilities, every
metric has an expectation without a label. Nothing here sees a change of the outcome itself
given the score (concept drift): the estimate is never the only ground for a decision.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import calibration

Floats = NDArray[np.float64]

METRICS = (
    "auc",
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "brier",
    "log_loss",
    "positive_share",
)
LEAST_ROWS = 30
LEAST_LABELS = 200
_LEAST_CLASS = 10
_MOST_OUTSIDE = 0.05
_DRAWS = 100
_DRAWN_ROWS = 20_000
_TINY = 1e-15


class Estimate(msgspec.Struct, frozen=True):
    """Expected value of a metric, and the deviation of the realised one around it."""

    value: float
    standard_error: float


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """What `estimate` expects of a window; `reason` says why when the verdict is unknown."""

    verdict: Literal["known", "unknown"]
    reason: str
    n_rows: int
    metrics: dict[str, Estimate]


def expected_auc(scores: Floats, probabilities: Floats) -> float | None:
    """Return the expected area under the ROC curve.

    Parameters
    ----------
    scores
        Shape ``(n,)``: the model's, which order the rows.
    probabilities
        Shape ``(n,)``, in 0 to 1: of the positive class.

    Returns
    -------
    float or None
        In 0 to 1, tied scores counting half; None when only one class is possible.

    Notes
    -----
    Expected positives and negatives take the place of counts; that ratio of expectations is
    within about 1 / n of the expectation of the ratio.

    References
    ----------
    .. [1] J. Białek et al., "Estimating model performance under covariate shift without
       labels", arXiv 2401.08348, 2024.

    Examples
    --------
    >>> expected_auc(np.array([0.1, 0.9]), np.array([0.0, 1.0]))
    1.0
    """
    order = np.argsort(scores, kind="stable")
    x, p = scores[order], probabilities[order]
    starts = np.concatenate([[0], np.flatnonzero(x[1:] != x[:-1]) + 1])
    positive = np.add.reduceat(p, starts)
    negative = np.add.reduceat(1 - p, starts)
    below = np.cumsum(negative) - negative / 2
    pairs = float(positive.sum() * negative.sum())
    return float(positive @ below) / pairs if pairs > 0 else None


def estimate(
    scores: Floats,
    fitted: calibration.Calibration,
    *,
    threshold: float = 0.5,
    recent: calibration.Check | None = None,
    seed: int = 0,
) -> Performance:
    """Estimate how well the answers of a window will turn out.

    Parameters
    ----------
    scores
        Shape ``(n,)``, n >= 1, finite: the model's scores of the positive class, in 0 to 1.
    fitted
        From `calibration.fit` on labelled reference rows of the same model.
    threshold
        Scores from here up are answered positive.
    recent
        `calibration.check` of the newest labelled rows, if there are any.
    seed
        Of the draws behind the standard errors.

    Returns
    -------
    Performance
        `METRICS` by name; a metric that is not defined is left out. The standard error is
        that of the realised metric if the probabilities are true: labels are drawn from them
        100 times; the calibration's own error is not in it.

    Raises
    ------
    ValueError
        When there is no row.

    Notes
    -----
    Holds when the outcome depends on the score as it did in the reference. The verdict is
    unknown when it visibly does not (the calibration is broken on cross-fitted or on recent
    labels), when more than 5 % of scores lie outside those of the reference, and with fewer
    than 30 rows, 200 labelled rows, or 10 of a class.

    References
    ----------
    .. [1] J. Białek et al., arXiv 2401.08348, 2024.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(4000)
    >>> found = estimate(rng.random(1000), calibration.fit(p, rng.random(4000) < p))
    >>> found.verdict, round(found.metrics["auc"].value, 2)
    ('known', 0.85)
    """
    x = np.asarray(scores, dtype=np.float64)
    if not len(x):
        msg = "need a row to estimate from"
        raise ValueError(msg)
    p = fitted.apply(x)
    reason = _doubt(x, fitted, recent)
    values = _expected(x, p, threshold)
    errors = _standard_errors(x, p, threshold, seed)
    return Performance(
        verdict="unknown" if reason else "known",
        reason=reason,
        n_rows=len(x),
        metrics={
            name: Estimate(values[name], errors[name]) for name in METRICS if name in values
        },
    )


def _doubt(x: Floats, fitted: calibration.Calibration, recent: calibration.Check | None) -> str:
    few = min(fitted.n_positive, fitted.n_rows - fitted.n_positive)
    outside = float(np.mean((x < fitted.lowest) | (x > fitted.highest)))
    short = f"not enough data: {len(x)} rows, {LEAST_ROWS} needed"
    thin = f"{LEAST_LABELS} labelled rows with {_LEAST_CLASS} of each class are needed; got "
    thin += f"{fitted.n_rows} with {few} of the rarer"
    broken = (
        f"the scores are no probabilities: in the reference off by {fitted.check.error:.1%}"
    )
    off = recent.error if recent else 0.0
    late = f"the calibration is broken: recent labels are off by {off:.1%}"
    strange = f"{outside:.0%} of the scores lie outside those of the reference"
    doubts = (
        (len(x) < LEAST_ROWS, short),
        (fitted.n_rows < LEAST_LABELS or few < _LEAST_CLASS, thin),
        (fitted.check.is_broken, broken),
        (recent is not None and recent.is_broken, late),
        (outside > _MOST_OUTSIDE, strange),
    )
    return next((told for is_so, told in doubts if is_so), "")


def _expected(x: Floats, p: Floats, threshold: float) -> dict[str, float]:
    chosen = x >= threshold
    hits, misses = float(p[chosen].sum()), float(p[~chosen].sum())
    alarms = float(chosen.sum()) - hits
    rejections = float((~chosen).sum()) - misses
    found = _ratios(hits, misses, alarms, rejections)
    auc = expected_auc(x, p)
    if auc is not None:
        found["auc"] = auc
    safe = np.clip(x, _TINY, 1 - _TINY)
    found["brier"] = float(np.mean(p * (1 - x) ** 2 + (1 - p) * x**2))
    found["log_loss"] = float(-np.mean(p * np.log(safe) + (1 - p) * np.log1p(-safe)))
    return found


def _ratios(hits: float, misses: float, alarms: float, rejections: float) -> dict[str, float]:
    n = hits + misses + alarms + rejections
    shares = {
        "accuracy": (hits + rejections, n),
        "precision": (hits, hits + alarms),
        "recall": (hits, hits + misses),
        "specificity": (rejections, rejections + alarms),
        "f1": (2 * hits, 2 * hits + alarms + misses),
        "positive_share": (hits + misses, n),
    }
    return {name: top / below for name, (top, below) in shares.items() if below > 0}


def _standard_errors(x: Floats, p: Floats, threshold: float, seed: int) -> dict[str, float]:
    """Deviation of each metric over labels drawn from the probabilities."""
    step = -(-len(x) // _DRAWN_ROWS)
    taken, chance = x[::step], p[::step]
    order = np.argsort(taken, kind="stable")
    taken, chance = taken[order], chance[order]
    chosen = taken >= threshold
    places = (taken.searchsorted(taken, "left") + taken.searchsorted(taken, "right") + 1) / 2
    safe = np.clip(taken, _TINY, 1 - _TINY)
    logs = np.log(safe) - np.log1p(-safe)
    fixed = float(-np.log1p(-safe).mean())
    rng = np.random.default_rng(seed)
    seen: dict[str, list[float]] = {name: [] for name in METRICS}
    for _ in range(_DRAWS):
        y = rng.random(len(taken)) < chance
        n_positive = int(y.sum())
        n_negative = len(y) - n_positive
        hits = float(np.count_nonzero(y & chosen))
        alarms = float(np.count_nonzero(chosen)) - hits
        drawn = _ratios(hits, n_positive - hits, alarms, n_negative - alarms)
        if n_positive and n_negative:
            lead = float(places[y].sum()) - n_positive * (n_positive + 1) / 2
            drawn["auc"] = lead / (n_positive * n_negative)
        drawn["brier"] = float(np.mean((taken - y) ** 2))
        drawn["log_loss"] = fixed - float(logs[y].sum()) / len(y)
        for name, value in drawn.items():
            seen[name].append(value)
    shrink = math.sqrt(len(taken) / len(x))
    return {
        name: float(np.std(values, ddof=1)) * shrink if len(values) > 1 else 0.0
        for name, values in seen.items()
    }

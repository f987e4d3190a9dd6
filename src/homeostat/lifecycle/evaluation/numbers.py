"""Metrics of a regression with their intervals; called by `tasks`.

Plain numpy, as `metrics`; scikit-learn is the oracle in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from homeostat.lifecycle.evaluation import metrics
from homeostat.lifecycle.evaluation.entities import NUMBER_METRICS, PINBALL, Estimate

Floats = NDArray[np.float64]


def checked(y: ArrayLike, answered: ArrayLike) -> tuple[Floats, Floats]:
    """Return outcomes and answers as arrays, or say what is wrong with them.

    Parameters
    ----------
    y, answered
        Shape ``(n,)``, finite numbers.

    Raises
    ------
    ValueError
        When shapes differ, there is no row, or a value is not finite.
    """
    truth, found = np.asarray(y, dtype=np.float64), np.asarray(answered, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != found.shape or not len(truth):
        shapes = f"{truth.shape} and {found.shape}"
        raise ValueError(
            f"outcomes and answers must be two columns of one length; got {shapes}"
        )
    if not (np.isfinite(truth).all() and np.isfinite(found).all()):
        raise ValueError("outcomes and answers must be finite numbers")
    return truth, found


def quantile_of(metric: str) -> float:
    """Return the quantile of a ``pinball@q``.

    Raises
    ------
    ValueError
        When it is none between 0 and 1.

    Examples
    --------
    >>> quantile_of("pinball@0.9")
    0.9
    """
    found = float(metric.removeprefix(PINBALL))
    if not 0.0 < found < 1.0:
        raise ValueError(f"a quantile lies between 0 and 1; got {found}")
    return found


def losses(metric: str, truth: Floats, answered: Floats) -> Floats | None:
    """Return the loss of each row, whose mean is the metric; None where it is no mean.

    Parameters
    ----------
    metric
        ``mae``, ``pinball@q``; ``rmse`` and ``r2`` are none.
    truth, answered
        As `checked` returns them.

    Examples
    --------
    >>> losses("pinball@0.9", np.array([1.0, 3.0]), np.array([2.0, 2.0])).round(3).tolist()
    [0.1, 0.9]
    """
    off = truth - answered
    if metric == "mae":
        return np.abs(off)
    if metric.startswith(PINBALL):
        q = quantile_of(metric)
        return np.maximum(q * off, (q - 1.0) * off)
    return None


def estimate(
    metric: str, truth: Floats, answered: Floats, *, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Return a metric with a percentile bootstrap over rows.

    Parameters
    ----------
    metric
        One of `entities.NUMBER_METRICS`, or ``pinball@q``.
    truth, answered
        As `checked` returns them.
    confidence
        Of the interval, in (0, 1).
    seed
        Of the bootstrap.

    Examples
    --------
    >>> truth = np.array([1.0, 2.0, 3.0])
    >>> estimate("r2", truth, truth).value, estimate("mae", truth, truth + 1).value
    (1.0, 1.0)
    """
    how = metrics.How(0.5, confidence, seed)
    found = losses(metric, truth, answered)
    if found is not None:
        return metrics.mean(found, how)
    value = statistic(metric, truth, answered)
    if value is None:
        return metrics.undefined(len(truth), how)
    return metrics.resampled(value, len(truth), how)


def statistic(
    metric: str, truth: Floats, answered: Floats
) -> Callable[[NDArray[np.intp]], float] | None:
    """Return the metric as a function of row numbers; None where there is none of the name.

    Parameters
    ----------
    metric
        ``r2`` (not defined where all outcomes are one) or ``rmse``.
    truth, answered
        As `checked` returns them.
    """
    squared = (truth - answered) ** 2

    def rmse(rows: NDArray[np.intp]) -> float:
        return math.sqrt(float(squared[rows].mean()))

    def r2(rows: NDArray[np.intp]) -> float:
        whole = float(truth[rows].var())
        return 1.0 - float(squared[rows].mean()) / whole if whole > 0 else math.nan

    return {"rmse": rmse, "r2": r2}.get(metric)


def evaluate(truth: Floats, answered: Floats) -> dict[str, Estimate]:
    """Return every metric of a regression.

    Parameters
    ----------
    truth, answered
        As `checked` returns them.
    """
    return {name: estimate(name, truth, answered) for name in NUMBER_METRICS}

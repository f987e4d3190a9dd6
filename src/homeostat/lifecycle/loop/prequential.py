"""What is measured on answers given before their labels; called by `backtest`."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Over all rows that were answered; shares in 0 to 1, log loss in nats."""

    rows_scored: int
    accuracy: float
    log_loss: float
    kappa_temporal: float | None
    previous_label_accuracy: float


def scores(
    labels: NDArray[np.int8], chances: NDArray[np.float64], *, first: int, delay: int = 0
) -> Scores:
    """Score the answers to the rows from `first` on.

    Parameters
    ----------
    labels
        Shape ``(n,)``, 0 or 1, all rows in time order.
    chances
        Shape ``(n - first,)``, probability of 1 as it was answered; 0.5 and more answers 1.
    first
        First answered row, 1 or more.
    delay
        Rows after which a label is known.

    Returns
    -------
    Scores
        `previous_label_accuracy` is that of answering with the newest label known at each
        row. `kappa_temporal` compares with it [1]_: 1 is perfect, 0 no better, below 0
        worse; None when it is never wrong.

    References
    ----------
    .. [1] I. Zliobaite, *How good is the Electricity benchmark for evaluating concept drift
       adaptation*, arXiv 1301.3524, 2013.

    Examples
    --------
    >>> labels = np.array([0, 1, 1, 0, 0], dtype=np.int8)
    >>> found = scores(labels, np.array([0.9, 0.9, 0.9, 0.1]), first=1)
    >>> found.accuracy, found.previous_label_accuracy, found.kappa_temporal
    (0.75, 0.5, 0.5)
    """
    truth = labels[first:]
    accuracy = float(np.mean((chances >= 0.5) == truth))  # noqa: PLR2004 - the threshold
    known = np.maximum(np.arange(first, len(labels)) - 1 - delay, 0)
    previous = float(np.mean(labels[known] == truth))
    given = np.clip(np.where(truth == 1, chances, 1 - chances), 1e-15, 1.0)
    kappa = (accuracy - previous) / (1 - previous) if previous < 1 else math.nan
    return Scores(
        rows_scored=len(truth),
        accuracy=accuracy,
        log_loss=float(-np.mean(np.log(given))),
        kappa_temporal=None if math.isnan(kappa) else kappa,
        previous_label_accuracy=previous,
    )

"""What is measured on answers given before their labels; called by `backtest`."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.loop import foretold, history

Floats = NDArray[np.float64]


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Over all rows that were answered; shares in 0 to 1, log loss in nats.

    Of a regression `r2` is set (of a quantile: R1), and what is said of classes is None.
    """

    rows_scored: int
    accuracy: float | None
    log_loss: float | None
    kappa_temporal: float | None
    previous_label_accuracy: float | None
    r2: float | msgspec.UnsetType = msgspec.UNSET

    @property
    def score(self) -> float:
        """Accuracy, or R squared of a regression."""
        if self.r2 is not msgspec.UNSET:
            return self.r2
        assert self.accuracy is not None, "classes were answered"
        return self.accuracy


def measured(rows: history.History, answers: Floats, *, delay: int = 0) -> Scores:
    """Score the answers to the rows after the warm-up of a history, whatever its task.

    Parameters
    ----------
    rows
        From `history.prepare`.
    answers
        As `foretold` says, one for each row after the warm-up.
    delay
        Rows after which a label is known.
    """
    if rows.task == "regression":
        truth = rows.labels[rows.warmup :]
        return Scores(
            rows_scored=len(truth),
            accuracy=None,
            log_loss=None,
            kappa_temporal=None,
            previous_label_accuracy=None,
            r2=_explained(truth, answers, rows.quantile),
        )
    return scores(rows.labels, answers, first=rows.warmup, delay=delay)


def _explained(truth: Floats, answers: Floats, quantile: float | None) -> float:
    """Return R squared; of a quantile the same of pinball losses, R1 of Koenker and Machado.

    References
    ----------
    R. Koenker and J. A. F. Machado, "Goodness of fit and related inference processes for
    quantile regression", JASA 94, 1999.
    """
    if quantile is None:
        left, all_of_it = np.mean((answers - truth) ** 2), np.var(truth)
    else:
        constant = np.full(len(truth), np.quantile(truth, quantile))
        left, all_of_it = (
            np.mean(np.maximum(quantile * off, (quantile - 1) * off))
            for off in (truth - answers, truth - constant)
        )
    return float(1 - left / max(float(all_of_it), 1e-12))


def by_batch(rows: history.History, answers: Floats, *, batch: int) -> tuple[float, ...]:
    """Return for each batch its accuracy, or one minus its bounded loss for a regression."""
    chosen = np.arange(rows.warmup, len(rows.labels))
    wrong = foretold.is_wrong(rows, chosen, answers)
    return tuple(float(1 - wrong[at : at + batch].mean()) for at in range(0, len(wrong), batch))


def scores(labels: NDArray[Any], chances: Floats, *, first: int, delay: int = 0) -> Scores:
    """Score the answers to the rows from `first` on.

    Parameters
    ----------
    labels
        Shape ``(n,)``, 0 or 1, or codes from 0 on, all rows in time order.
    chances
        Shape ``(n - first,)``, probability of 1 as it was answered, 0.5 and more answers 1;
        or shape ``(n - first, k)``, a probability for each code, the largest answers.
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
    if chances.ndim == 1:
        accuracy = float(np.mean((chances >= 0.5) == truth))  # noqa: PLR2004 - the threshold
        right = np.where(truth == 1, chances, 1 - chances)
    else:
        accuracy = float(np.mean(chances.argmax(axis=1) == truth))
        right = chances[np.arange(len(truth)), truth]
    known = np.maximum(np.arange(first, len(labels)) - 1 - delay, 0)
    previous = float(np.mean(labels[known] == truth))
    given = np.clip(right, 1e-15, 1.0)
    kappa = (accuracy - previous) / (1 - previous) if previous < 1 else math.nan
    return Scores(
        rows_scored=len(truth),
        accuracy=accuracy,
        log_loss=float(-np.mean(np.log(given))),
        kappa_temporal=None if math.isnan(kappa) else kappa,
        previous_label_accuracy=previous,
    )

"""What models foretell and how far it is off, by task; called by `testbed` and `looped`.

Two classes: the probability of class 1, shape ``(n,)``. More: a row of probabilities for each,
shape ``(n, k)``. Regression: the number, shape ``(n,)``. All losses lie in 0 to 1, so that the
same weights and alarms serve every task.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.evaluation import several
from homeostat.lifecycle.loop import aims, history, observing
from homeostat.measures import sureness

Floats = NDArray[np.float64]


def blank(rows: history.History) -> Floats:
    """Return room for what is foretold of all rows, NaN so far."""
    shape = (len(rows.labels), len(rows.classes))
    return np.full(shape if rows.task == "multiclass" else shape[:1], np.nan)


def predict(model: Any, part: pl.DataFrame, rows: history.History) -> Floats:
    """Ask a fitted model about rows.

    Parameters
    ----------
    model
        A scikit-learn classifier whose labels are codes, or a regressor.
    part
        Features of the rows.
    rows
        The history; a class that the model never saw gets probability 0.
    """
    if rows.task == "regression":
        return np.asarray(model.predict(part), dtype=np.float64)
    chances = np.asarray(model.predict_proba(part), dtype=np.float64)
    if rows.task == "binary":
        return np.asarray(chances[:, 1], dtype=np.float64)
    found = np.zeros((len(part), len(rows.classes)))
    found[:, np.asarray(model.classes_, dtype=np.intp)] = chances
    return found


def is_wrong(rows: history.History, chosen: NDArray[np.int64], foretold: Floats) -> Floats:
    """Return the loss that harm is judged by, for each row, in 0 to 1.

    1 or 0 for a class; for a number the bounded squared error of `member_loss`.
    """
    truth = rows.labels[chosen]
    if rows.task == "regression":
        return _bounded(rows, truth, foretold)
    if rows.task == "binary":
        wrong = (foretold >= 0.5) != truth  # noqa: PLR2004 - the threshold
    else:
        wrong = foretold.argmax(axis=1) != truth
    return np.asarray(wrong, dtype=np.float64)


def sureness_of(
    rows: history.History, chosen: NDArray[np.int64], foretold: Floats
) -> sureness.Tally:
    """Count answers of classes, and wrong ones, by how sure they were."""
    if rows.task == "binary":
        told = np.minimum(foretold, 1 - foretold)
    else:
        told = 1 - foretold.max(axis=1)
    return sureness.tally(told, is_wrong(rows, chosen, foretold) > 0)


def member_loss(rows: history.History, chosen: NDArray[np.int64], foretold: Floats) -> float:
    """Return the mean loss that weights follow, in 0 to 1.

    Notes
    -----
    Two classes: Brier. More: half the multi-class Brier, which is the same for two classes.
    Regression (the pinball loss of a quantile is cut off and divided alike):
    ``min(e ** 2, (2 s) ** 2) / (2 s) ** 2`` with ``s`` the standard deviation of
    the target in the warm-up; answering with the mean then has a loss of about one quarter,
    as answering .5 has in Brier, so that one learning rate serves both.
    """
    if rows.task == "binary":
        return observing.brier(foretold, rows.labels[chosen].astype(bool))
    return float(np.mean(losses(rows, chosen, foretold)))


def losses(rows: history.History, chosen: NDArray[np.int64], foretold: Floats) -> Floats:
    """Return the loss that `member_loss` is the mean of, for each row."""
    truth = rows.labels[chosen]
    if rows.task == "binary":
        return np.asarray((foretold - truth) ** 2, dtype=np.float64)
    if rows.task == "regression":
        return _bounded(rows, truth, foretold)
    return several.losses("brier", truth, foretold)


def _bounded(rows: history.History, truth: Floats, foretold: Floats) -> Floats:
    deviation = float(np.std(rows.labels[: rows.warmup]))
    return aims.bounded(foretold, truth, deviation, quantile=rows.quantile)

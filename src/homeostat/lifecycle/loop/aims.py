"""What a deployment foretells, and how far that is off, on labelled rows of its log.

Called by `live`, `duties` and `judging`. The losses are those of a backtest (`foretold`), so
that the same rows move weights, alarms and duels alike: in 0 to 1 whatever the task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.evaluation import numbers, several
from homeostat.lifecycle.evaluation.entities import PINBALL
from homeostat.lifecycle.loop import answered, observing
from homeostat.lifecycle.predictions import segments
from homeostat.lifecycle.predictions.entities import ABSTAINED
from homeostat.lifecycle.registry.entities import Description, Task
from homeostat.measures import sureness

Floats = NDArray[np.float64]
_EVEN = 0.5
LARGEST_ERROR = 2.0
"""Errors of a number are cut at this many standard deviations of the target at training."""


class Aim(NamedTuple):
    """What is foretold.

    Attributes
    ----------
    task
        As the description of a version says it.
    classes
        Of several classes: all that a member or the log has a score for.
    positive
        Of two classes: the one that scores are the probability of.
    deviation
        Of a number: the target's standard deviation where the first member was trained.
    quantile
        Of a number: which quantile is foretold; None for the mean.
    """

    task: Task = "binary"
    classes: tuple[str, ...] = ()
    positive: str = ""
    deviation: float = 0.0
    quantile: float | None = None


TWO = Aim()
"""Of two classes; whoever gives outcomes and scores as they are needs no more."""


def of(
    described: Sequence[Description], rows: pl.DataFrame | None = None, *, metric: str = ""
) -> Aim:
    """Return what versions foretell.

    Parameters
    ----------
    described
        What they say of themselves; the first one says what the task is.
    rows
        Of the log, whose classes count as well.
    metric
        That the policy's gates ask for: ``pinball@q`` says that a quantile is foretold.
    """
    first = described[0]
    if first.task == "regression":
        return Aim("regression", deviation=first.deviation, quantile=quantile(metric))
    if first.task == "binary":
        return Aim(positive=first.classes[first.positive])
    logged = [] if rows is None else _logged(rows)
    named = [*(name for one in described for name in one.classes), *logged]
    return Aim("multiclass", tuple(dict.fromkeys(named)))


def truth(labels: pl.Series, aim: Aim) -> NDArray[Any]:
    """Return outcomes as they are judged.

    Parameters
    ----------
    labels
        As the log or a table has them.
    aim
        What is foretold.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``: where the label is the positive class; places of classes, -1 for one
        that nobody knows; or numbers, NaN where a label is none.

    Examples
    --------
    >>> truth(pl.Series(["b", "c", "x"]), Aim("multiclass", ("a", "b", "c"))).tolist()
    [1, 2, -1]
    """
    if aim.task == "regression":
        numbers = labels.cast(pl.Float64, strict=False).fill_null(float("nan"))
        return np.asarray(numbers.to_numpy(), dtype=np.float64)
    text = observing.as_text(labels)
    if aim.task == "binary":
        return text.eq(aim.positive).to_numpy()
    places = {name: at for at, name in enumerate(aim.classes)}
    return np.array([places.get(name, -1) for name in text.to_list()], dtype=np.intp)


def said(rows: pl.DataFrame, aim: Aim) -> Floats:
    """Return what the composite said of rows of the log, before any correction.

    Parameters
    ----------
    rows
        From `observing.labelled`.
    aim
        What is foretold.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``, of several classes ``(n, k)``; a class that was not asked for then has
        probability 0.
    """
    if aim.task != "multiclass":
        return np.asarray(rows["score"].to_numpy(), dtype=np.float64)
    found = np.zeros((rows.height, len(aim.classes)))
    for name in _logged(rows):
        column = rows[segments.CHANCE + name].fill_null(0.0).to_numpy()
        found[:, aim.classes.index(name)] = column
    return found


def placed(scores: Floats, described: Description, aim: Aim) -> Floats:
    """Return a member's scores with its classes in the places of all.

    Parameters
    ----------
    scores
        As its predictor gives them.
    described
        What it says of itself.
    aim
        What is foretold.
    """
    if aim.task != "multiclass" or described.classes == aim.classes:
        return scores
    found = np.zeros((len(scores), len(aim.classes)))
    found[:, [aim.classes.index(name) for name in described.classes]] = scores
    return found


def losses(foretold: Floats, outcomes: NDArray[Any], aim: Aim) -> Floats:
    """Return what weights and canaries are judged by, for each row, in 0 to 1.

    Parameters
    ----------
    foretold
        Shape ``(n,)`` or ``(n, k)``.
    outcomes
        From `truth`.
    aim
        What is foretold.

    Notes
    -----
    Two classes: the squared error of the probability. More: half the sum over classes. A
    number: the squared error over the square of two standard deviations of the target at
    training, 1 at most; of a quantile the pinball loss [1]_, cut off and divided alike.

    References
    ----------
    .. [1] Koenker and Bassett, *Regression quantiles*, Econometrica 46, 1978.

    Examples
    --------
    >>> losses(np.array([3.0, 9.0]), np.array([1.0, 1.0]), Aim("regression", deviation=2.0))
    array([0.25, 1.  ])
    """
    if aim.task == "regression":
        return bounded(foretold, outcomes, aim.deviation, quantile=aim.quantile)
    if aim.task == "multiclass":
        return several.losses("brier", outcomes, foretold)
    return np.asarray((foretold - outcomes) ** 2)


def quantile(metric: str) -> float | None:
    """Return the quantile that a metric of the gates asks for; None for any other.

    Examples
    --------
    >>> quantile("pinball@0.9"), quantile("rmse")
    (0.9, None)
    """
    return numbers.quantile_of(metric) if metric.startswith(PINBALL) else None


def bounded(
    foretold: Floats, outcomes: Floats, deviation: float, *, quantile: float | None = None
) -> Floats:
    """Return the bounded squared error, or pinball loss; 1 where an outcome is no number.

    Parameters
    ----------
    foretold, outcomes
        Shape ``(n,)``.
    deviation
        That errors are measured by, 0 or more.
    quantile
        Which one is foretold; None for the mean.

    Examples
    --------
    >>> bounded(np.array([1.0, 3.0]), np.array([2.0, 2.0]), 0.5, quantile=0.9).round(3)
    array([1.   , 0.111])
    """
    limit = LARGEST_ERROR * max(deviation, 1e-12)
    off = (outcomes - foretold) / limit
    if quantile is None:
        found = np.minimum(off**2, 1.0)
    else:
        cut = np.clip(off, -1.0, 1.0)
        found = np.maximum(quantile * cut, (quantile - 1) * cut) / max(quantile, 1 - quantile)
    return np.asarray(np.where(np.isnan(found), 1.0, found), dtype=np.float64)


def loss(foretold: Floats, outcomes: NDArray[Any], aim: Aim) -> float:
    """Return the mean of `losses`; of two classes summed in the order of rows."""
    if aim.task == "binary":
        return observing.brier(foretold, outcomes)
    return float(np.mean(losses(foretold, outcomes, aim)))


def wrong(rows: pl.DataFrame, outcomes: NDArray[Any], aim: Aim) -> tuple[float, Floats | None]:
    """Return how wrong the answers were that people got: what harm is judged by.

    Parameters
    ----------
    rows
        From `observing.labelled`, one or more.
    outcomes
        From `truth`.
    aim
        What is foretold.

    Returns
    -------
    tuple
        The share of wrong answers, or the mean bounded loss of a regression with that of each
        row.
    """
    if aim.task == "binary":
        return answered.share_wrong(rows, outcomes, aim.positive), None
    if aim.task == "multiclass":
        given, chosen = _chosen(rows, aim)
        return float(np.mean(chosen[given] != outcomes[given])), None
    each = bounded(_answered(rows), outcomes, aim.deviation, quantile=aim.quantile)
    return float(np.mean(each)), each


def sure(
    rows: pl.DataFrame, outcomes: NDArray[Any], aim: Aim
) -> sureness.Tally | msgspec.UnsetType:
    """Count answers of classes, and wrong ones, by how sure they were; unset for numbers.

    Parameters
    ----------
    rows, outcomes, aim
        As for `wrong`; the same rows are left out.
    """
    if aim.task == "binary":
        given, said_yes = answered.chosen(rows, aim.positive)
        told = np.where(said_yes, 1 - _decided(rows), _decided(rows))
        return sureness.tally(told[given], said_yes[given] != outcomes[given])
    if aim.task != "multiclass":
        return msgspec.UNSET
    given, chosen = _chosen(rows, aim)
    scores = said(rows, aim)
    known = chosen >= 0
    chance = np.zeros(len(chosen))
    chance[known] = scores[known, chosen[known]]
    missed = chosen != outcomes
    return sureness.tally(1 - chance[given], missed[given])


def uncorrected(
    rows: pl.DataFrame, outcomes: NDArray[Any], corrected: NDArray[np.bool_], aim: Aim
) -> sureness.Tally | msgspec.UnsetType:
    """Count as `sure` does what answers of two classes would have been without the corrector.

    An answer is turned where the corrector moved its score over the even chance. With another
    threshold, and where answers are corrected by other means too, that is not exact.

    Parameters
    ----------
    rows, outcomes, aim
        As for `wrong`.
    corrected
        Which rows got the corrector's answers.

    Returns
    -------
    Tally
        Unset where the corrector moved no score.
    """
    told = np.asarray(rows["score"].to_numpy(), dtype=np.float64)
    served = np.where(corrected, _decided(rows), told)
    if np.array_equal(told, served):
        return msgspec.UNSET
    given, said_yes = answered.chosen(rows, aim.positive)
    would = said_yes ^ ((told >= _EVEN) != (served >= _EVEN))
    doubt = np.where(would, 1 - told, told)
    return sureness.tally(doubt[given], would[given] != outcomes[given])


def _chosen(rows: pl.DataFrame, aim: Aim) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Return which rows were answered, and the place of the class of each answer."""
    answers = observing.as_text(rows["answer"])
    given = answers.ne_missing(ABSTAINED).to_numpy()
    places = {name: at for at, name in enumerate(aim.classes)}
    chosen = np.array([places.get(name, -2) for name in answers.to_list()], dtype=np.intp)
    if not given.any():
        given, chosen = ~given, said(rows, aim).argmax(axis=1)
    return given, chosen


def _decided(rows: pl.DataFrame) -> Floats:
    """Return the chances that answers of two classes were decided on."""
    scores = rows["score"]
    if "served_score" in rows.columns:
        scores = rows["served_score"].fill_nan(None).fill_null(scores)
    return np.asarray(scores.to_numpy(), dtype=np.float64)


def _answered(rows: pl.DataFrame) -> Floats:
    """Return the numbers people got; where a row was left to a person, what the model said."""
    answers = rows["answer"].cast(pl.Float64, strict=False).fill_nan(None)
    return np.asarray(answers.fill_null(rows["score"]).to_numpy(), dtype=np.float64)


def _logged(rows: pl.DataFrame) -> list[str]:
    return [
        name.removeprefix(segments.CHANCE)
        for name in rows.columns
        if name.startswith(segments.CHANCE)
    ]

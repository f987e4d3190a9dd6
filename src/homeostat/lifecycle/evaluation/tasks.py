"""Exams of classifiers of several classes and of regressions; called by the loop's gates.

`exam` is for two classes. The parts are the same: quality, comparison with the champion on the
same rows, slices. Fairness compares shares of a favourable one of two classes, so there is none
here; what can be asked of groups is the metric in each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import blake3
import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from homeostat.lifecycle.evaluation import compare, metrics, numbers, several, slices
from homeostat.lifecycle.evaluation.entities import Comparison, Estimate, Exam, is_loss
from homeostat.lifecycle.evaluation.exam import Columns, digested

Floats = NDArray[np.float64]
Task = Literal["multiclass", "regression"]

_KINDS: dict[Task, Any] = {"multiclass": several, "regression": numbers}
PAIRED = {
    "multiclass": ("brier", "accuracy", "log_loss"),
    "regression": ("mae", "rmse", "r2"),
}


def sit(
    task: Task,
    y: ArrayLike,
    foretold: ArrayLike,
    *,
    rows: str,
    metric: str,
    champion: ArrayLike | None = None,
    protected: Columns | None = None,
    slice_needed: float | None = None,
    named: slices.Named | None = None,
) -> Exam:
    """Return how a candidate does on rows it was not trained on.

    Parameters
    ----------
    task
        What is foretold.
    y
        Shape ``(n,)``: places of classes, -1 for one the model does not know; or numbers.
    foretold, champion
        Shape ``(n, k)`` of several classes, ``(n,)`` of numbers, by the candidate and by what
        is served now.
    rows
        Which rows these are, for people.
    metric
        Of the gates and slices.
    protected
        Name to n categories, for slices.
    slice_needed
        Value each slice is held against; the value on all rows when None.
    named
        Name to n truth values, for slices that have a name.

    Returns
    -------
    Exam
        Pure, with `task` and `estimates`, without `evaluation` and fairness.

    Raises
    ------
    ValueError
        When arrays differ in length, are empty, not finite or not in range.

    Examples
    --------
    >>> found = sit("regression", [1, 2, 4], [1, 2, 3], rows="three", metric="mae")
    >>> round(found.quality.value, 3), sorted(found.estimates)
    (0.333, ['mae', 'r2', 'rmse'])
    """
    kind = _KINDS[task]
    truth, found = kind.checked(y, foretold)
    old = None if champion is None else kind.checked(y, champion)[1]
    measured = _measure(task, metric, truth, found)
    whole = measured(np.ones(len(truth), dtype=np.bool_), 0.95)
    bound = slice_needed if slice_needed is not None else whole.value or 0.0
    columns = dict(protected or {})
    return Exam(
        rows=rows,
        rows_digest=_digest(truth, found, old, {**columns, **digested(named)}),
        metric=metric,
        quality=whole,
        evaluation=None,
        comparisons=()
        if old is None
        else tuple(
            compared(task, name, truth, old, found)
            for name in dict.fromkeys((metric, *PAIRED[task]))
        ),
        slices=slices.over(
            columns, len(truth), slices.How(metric, measured, bound), named=named
        ),
        task=task,
        estimates={**kind.evaluate(truth, found), metric: whole},
    )


def compared(  # noqa: PLR0917 - the same rows, three times
    task: Task, metric: str, truth: NDArray[np.generic], old: Floats, new: Floats
) -> Comparison:
    """Return how much better `new` is than `old` on the same rows; positive is better.

    Parameters
    ----------
    task, metric
        What is compared.
    truth, old, new
        As for `sit`.

    Notes
    -----
    A metric that is a mean over rows has the interval of the mean of the differences, any
    other a bootstrap of the difference over the same rows.
    """
    before, after = (_measure(task, metric, truth, one)(ALL, 0.95) for one in (old, new))
    kind = _KINDS[task]
    is_mean = task == "regression" or metric in several.MEANS
    gone = [kind.losses(metric, truth, one) for one in (old, new)] if is_mean else [None]
    if gone[0] is not None and gone[-1] is not None:
        gain = compare.mean_gain(gone[0] - gone[-1], 0.95)
    else:
        gain = _resampled_gain(task, metric, truth, old, new)
    return Comparison(metric=metric, champion=before.value, candidate=after.value, gain=gain)


def _resampled_gain(  # noqa: PLR0917 - as `compared`
    task: Task, metric: str, truth: NDArray[np.generic], old: Floats, new: Floats
) -> Estimate:
    kind = _KINDS[task]
    sign = -1.0 if is_loss(metric) else 1.0
    how = metrics.How(0.5, 0.95, 0)
    parts = [kind.statistic(metric, truth, one) for one in (old, new)]
    before, after = parts
    if before is None or after is None:
        return metrics.undefined(len(truth), how)
    return metrics.resampled(lambda rows: sign * (after(rows) - before(rows)), len(truth), how)


ALL = slice(None)


def _measure(
    task: Task, metric: str, truth: NDArray[np.generic], found: Floats
) -> Callable[[NDArray[np.bool_] | slice, float], Estimate]:
    kind = _KINDS[task]

    def measure(mask: NDArray[np.bool_] | slice, confidence: float) -> Estimate:
        seen: Estimate = kind.estimate(metric, truth[mask], found[mask], confidence=confidence)
        return seen

    return measure


def _digest(
    truth: NDArray[np.generic],
    found: Floats,
    old: Floats | None,
    columns: Columns,
) -> str:
    hasher = blake3.blake3()
    hasher.update(np.asarray(truth, dtype="<f8").tobytes())
    hasher.update(np.ascontiguousarray(found, dtype="<f8").tobytes())
    if old is not None:
        hasher.update(np.ascontiguousarray(old, dtype="<f8").tobytes())
    for column, values in sorted(columns.items()):
        hasher.update(msgspec.json.encode([column, [str(value) for value in values]]))
    return hasher.hexdigest()

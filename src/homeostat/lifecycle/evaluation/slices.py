"""The same metric on parts of the rows, with control for looking at many; called by `exam`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from homeostat.lifecycle.evaluation import metrics, scoring
from homeostat.lifecycle.evaluation.entities import Estimate, Metric, Slice, is_loss

MINIMUM_ROWS = 30
MINIMUM_PER_CLASS = 5
MISSING = "(missing)"
NAMED = "slice"
"""Column of slices that have a name instead of a category."""

Mask = NDArray[np.bool_]
Named = Mapping[str, Sequence[bool] | Mask]


def evaluate(
    y: ArrayLike,
    score: ArrayLike,
    columns: Mapping[str, Sequence[object] | NDArray[np.generic]],
    *,
    metric: Metric,
    needed: float | None = None,
    threshold: float = 0.5,
    confidence: float = 0.95,
    minimum_rows: int = MINIMUM_ROWS,
    named: Named | None = None,
) -> tuple[Slice, ...]:
    """Return `metric` on every category of every column, and on slices that have a name.

    Parameters
    ----------
    y, score
        Shape ``(n,)``, as for `metrics.evaluate`.
    columns
        Name to n categories; a missing one is a category of its own.
    metric
        One of `entities.METRICS`.
    needed
        Value each slice is held against; the value on all rows when None.
    threshold
        Rows at or above it are decided positive.
    confidence
        That none of the slices called worse than `needed` is in truth as good.
    minimum_rows
        Smaller slices are listed but not judged; for the AUC both classes also need
        `MINIMUM_PER_CLASS` rows.
    named
        Name to n truth values: which rows are in it.

    Returns
    -------
    tuple of Slice
        Worst first, then those not judged; of a named slice the column is ``slice``.

    Raises
    ------
    ValueError
        When a column has not n values.

    Notes
    -----
    Holm's step-down rule [1]_: the most suspicious of k slices gets an interval at level
    ``1 - alpha / k``, the next, only if that one was refuted, at ``1 - alpha / (k - 1)``, and
    so on; all after the first that stands share its level.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
       Journal of Statistics 6, 1979.
    """
    truth, chance = scoring.checked(y, score)

    def measure(mask: Mask, level: float) -> Estimate:
        return metrics.estimate(
            metric, truth[mask], chance[mask], threshold=threshold, confidence=level
        )

    bound = needed
    if bound is None:
        bound = measure(np.ones(len(truth), dtype=np.bool_), confidence).value
    how = How(metric, measure, bound or 0.0, confidence, minimum_rows, positive=truth)
    return over(columns, len(truth), how, named=named)


class How(NamedTuple):
    """What parts of the rows are judged by.

    Attributes
    ----------
    measure
        The metric of the rows of a mask, at a confidence.
    bound
        Value each slice is held against.
    positive
        Shape ``(n,)``, which rows are positive; None where no class is.
    """

    metric: str
    measure: Callable[[Mask, float], Estimate]
    bound: float
    confidence: float = 0.95
    minimum_rows: int = MINIMUM_ROWS
    positive: Mask | None = None


def over(
    columns: Mapping[str, Sequence[object] | NDArray[np.generic]],
    n_rows: int,
    how: How,
    *,
    named: Named | None = None,
) -> tuple[Slice, ...]:
    """Return a metric on every category of every column, whatever it measures.

    Parameters
    ----------
    columns, named
        As for `evaluate`.
    n_rows
        Of all.
    how
        The metric and what it is held against.

    Returns
    -------
    tuple of Slice
        As `evaluate`.
    """
    judged: list[tuple[Slice, Mask]] = []
    small: list[Slice] = []
    masks = [
        ((column, category), mask)
        for column, values in columns.items()
        for category, mask in _categories(column, values, n_rows)
    ]
    masks += [
        ((NAMED, name), _mask(name, inside, n_rows)) for name, inside in (named or {}).items()
    ]
    for whose, mask in masks:
        part = _slice(whose, mask, how)
        if _is_large(part, how):
            judged.append((part, mask))
        else:
            small.append(part)
    sign = -1.0 if is_loss(how.metric) else 1.0
    judged.sort(key=lambda pair: _suspicion(pair[0].estimate, how.bound, sign), reverse=True)
    found: list[Slice] = []
    n_refuted = 0
    for part, mask in judged:
        level = 1.0 - (1.0 - how.confidence) / (len(judged) - n_refuted)
        estimate = how.measure(mask, level)
        if n_refuted == len(found) and _is_refuted(estimate, how.bound, sign):
            n_refuted += 1
        found.append(_with(part, estimate))
    found.sort(key=lambda part: sign * (part.estimate.value or 0.0))
    return (*found, *small)


def _categories(
    column: str, values: Sequence[object] | NDArray[np.generic], n_rows: int
) -> list[tuple[str, NDArray[np.bool_]]]:
    if len(values) != n_rows:
        raise ValueError(f"column {column!r} has {len(values)} values for {n_rows} rows")
    names = np.array([MISSING if v is None or v != v else str(v) for v in values])  # noqa: PLR0124 - NaN
    return [(str(name), names == name) for name in np.unique(names)]


def _mask(name: str, inside: Sequence[bool] | Mask, n_rows: int) -> Mask:
    if len(inside) != n_rows:
        raise ValueError(f"slice {name!r} has {len(inside)} values for {n_rows} rows")
    return np.asarray(inside, dtype=np.bool_)


def _slice(name: tuple[str, str], mask: Mask, how: How) -> Slice:
    return Slice(
        column=name[0],
        category=name[1],
        n_rows=int(mask.sum()),
        n_positive=0 if how.positive is None else int(how.positive[mask].sum()),
        metric=how.metric,
        estimate=how.measure(mask, 0.95),
        is_judged=False,
    )


def _with(part: Slice, estimate: Estimate) -> Slice:
    return Slice(
        column=part.column,
        category=part.category,
        n_rows=part.n_rows,
        n_positive=part.n_positive,
        metric=part.metric,
        estimate=estimate,
        is_judged=True,
    )


def _is_large(part: Slice, how: How) -> bool:
    if part.estimate.value is None or part.n_rows < how.minimum_rows:
        return False
    if part.metric != "roc_auc" or how.positive is None:
        return part.estimate.n_rows >= min(how.minimum_rows, part.n_rows)
    return min(part.n_positive, part.n_rows - part.n_positive) >= MINIMUM_PER_CLASS


def _suspicion(estimate: Estimate, bound: float, sign: float) -> float:
    """Distance below the bound, in half-widths of the interval; larger is worse."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return 0.0
    half = max((estimate.high - estimate.low) / 2, 1e-12)
    return sign * (bound - estimate.value) / half


def _is_refuted(estimate: Estimate, bound: float, sign: float) -> bool:
    best = estimate.high if sign > 0 else estimate.low
    return best is not None and sign * best < sign * bound

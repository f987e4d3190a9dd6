"""Fits a recalibration to what the log's labels showed; called by the server, on a thread."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.foundation import errors
from homeostat.lifecycle.corrections import maps
from homeostat.lifecycle.corrections.entities import KNOTS_AT_MOST, Evidence, Recalibration
from homeostat.measures import intervals

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]
Method = Literal["isotonic", "platt"]

ROWS_AT_LEAST = 200
EACH_AT_LEAST = 20
FOLDS = 5
_NEAREST = 1e-15
_WEAK = 1e6  # inverse strength of the ridge: it only keeps separable data finite


def fit(
    scores: Floats,
    truth: Truths,
    *,
    method: Method,
    rows: tuple[int, int],
    versions: str = "",
) -> Recalibration:
    """Fit a map from score to probability, and say honestly what it gains.

    The gain is measured on contiguous fifths of the log, each scored by a map that was fitted
    on the other four: neighbours in time resemble each other, and shuffled folds would let the
    map see them.

    Parameters
    ----------
    scores
        As the members gave them, 0 to 1, in the order of the log; shape ``(n,)``.
    truth
        Whether the positive class came true; shape ``(n,)``.
    method
        ``isotonic`` [1]_ or ``platt`` [2]_.
    rows
        First row of the log and row after the last.
    versions
        The composite that gave the scores.

    Returns
    -------
    Recalibration
        Fitted on all rows, with the evidence.

    Raises
    ------
    InvalidInputError
        When there are fewer than 200 rows, fewer than 20 of either class, or the scores say
        nothing about the labels.

    References
    ----------
    .. [1] B. Zadrozny, C. Elkan, "Transforming classifier scores into accurate multiclass
       probability estimates", KDD 2002.
    .. [2] J. Platt, "Probabilistic outputs for support vector machines", 1999; on the logit of
       the score, as in M. Kull et al., "Beta calibration", AISTATS 2017, section 3.
    """
    n, n_positive = len(scores), int(np.count_nonzero(truth))
    if n < ROWS_AT_LEAST or min(n_positive, n - n_positive) < EACH_AT_LEAST:
        who = f" of version {versions}, which answers now," if versions else ""
        raise errors.InvalidInputError(
            f"to recalibrate needs {ROWS_AT_LEAST} labelled predictions{who} with "
            f"{EACH_AT_LEAST} of either class; seen {n} with {n_positive} positive",
            hint="wait for more labels",
        )
    turned = np.empty(n)
    for part in np.array_split(np.arange(n), FOLDS):
        others = np.ones(n, dtype=bool)
        others[part] = False
        body = _fitted(scores[others], truth[others], method=method)
        turned[part] = list(map(maps.mapped(body), scores[part].tolist()))
    before, after = np.square(scores - truth), np.square(turned - truth)
    gain = intervals.mean(before - after)
    evidence = Evidence(
        n_rows=n,
        n_positive=n_positive,
        first_row=rows[0],
        end_row=rows[1],
        folds=FOLDS,
        brier_before=float(np.mean(before)),
        brier_after=float(np.mean(after)),
        gain_low=gain.low,
        gain_high=gain.high,
    )
    return _fitted(scores, truth, method=method, versions=versions, evidence=evidence)


def _fitted(
    scores: Floats,
    truth: Truths,
    *,
    method: Method,
    versions: str = "",
    evidence: Evidence | None = None,
) -> Recalibration:
    if method == "isotonic":
        return Recalibration(
            method="isotonic", knots=_knots(scores, truth), versions=versions, evidence=evidence
        )
    slope, intercept = _line(scores, truth)
    return Recalibration(
        method="platt",
        slope=slope,
        intercept=intercept,
        versions=versions,
        evidence=evidence,
    )


def _knots(scores: Floats, truth: Truths) -> tuple[tuple[float, float], ...]:
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415 - only where it is fitted

    found = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    found.fit(scores, truth.astype(np.float64))
    xs, ys = found.X_thresholds_, found.y_thresholds_
    if len(xs) > KNOTS_AT_MOST:
        kept = np.unique(np.linspace(0, len(xs) - 1, KNOTS_AT_MOST).astype(np.int64))
        xs, ys = xs[kept], ys[kept]
    return tuple(zip(xs.tolist(), ys.tolist(), strict=True))


def _line(scores: Floats, truth: Truths) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - only where it is fitted

    near = np.clip(scores, _NEAREST, 1.0 - _NEAREST)
    logits = np.log(near / (1.0 - near)).reshape(-1, 1)
    found = LogisticRegression(C=_WEAK).fit(logits, truth)
    slope, intercept = float(found.coef_[0, 0]), float(found.intercept_[0])
    if slope <= 0:
        raise errors.InvalidInputError(
            f"the scores say nothing about the labels (slope {slope:.3g}); no map from score "
            "to probability can mend that",
            hint="train a model on what the labels say",
        )
    return slope, intercept

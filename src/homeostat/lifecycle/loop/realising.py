"""Checks what several classes and regressions answered, from the log; called by `checking`."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.evaluation import fairness
from homeostat.lifecycle.loop import aims, observing
from homeostat.lifecycle.monitoring import checks, realised
from homeostat.lifecycle.monitoring import outcomes as outcomes_of
from homeostat.lifecycle.predictions.entities import ABSTAINED
from homeostat.lifecycle.registry.entities import Description

Floats = NDArray[np.float64]
_NUMBERS = frozenset({"number", "integer"})


def run(
    described: Description,
    rows: pl.DataFrame,
    waiting: pl.DataFrame,
    *,
    level: float,
    deployment: str,
) -> list[checks.Check]:
    """Return what can be said of answers that are no choice between two classes.

    Parameters
    ----------
    described
        Of the version that answers.
    rows
        Labelled rows of the log, in order; may be none.
    waiting
        Rows without a label, whose scores are finite.
    level
        Chance of a false finding of each question.
    deployment
        For the commands.

    Returns
    -------
    list of Check
        Performance, calibration, the performance that is expected without labels, and how
        rightly the groups of protected columns are answered.
    """
    aim = aims.of([described], rows)
    outcomes = aims.truth(rows[observing.LABEL], aim) if rows.height else np.empty(0)
    said = aims.said(rows, aim) if rows.height else np.empty(0)
    if aim.task == "multiclass":
        if not rows.height:
            said = np.empty((0, len(aim.classes)))
        right = (said.argmax(axis=1) == outcomes).astype(np.float64)
        return [
            *realised.of_classes(
                said,
                outcomes.astype(np.intp),
                aim.classes,
                level=level,
                deployment=deployment,
            ),
            realised.classes_without_labels(
                waiting["score"].to_numpy(), said.max(axis=1), right, deployment=deployment
            ),
            *_groups(rows, deployment),
        ]
    known = np.isfinite(outcomes)
    said, outcomes, rows = said[known], outcomes[known], rows.filter(pl.Series(known))
    names = [one.name for one in described.schema.columns if one.kind in _NUMBERS]
    return [
        *realised.of_numbers(said, outcomes, level=level, deployment=deployment),
        realised.numbers_without_labels(
            _numbers(rows, names),
            np.abs(said - outcomes),
            _numbers(waiting, names),
            deployment=deployment,
        ),
        *_close_groups(rows, outcomes, deployment),
    ]


def _groups(rows: pl.DataFrame, deployment: str) -> list[checks.Check]:
    """Compare how often the groups of protected columns were answered rightly."""
    if not rows.height:
        return []
    text = observing.as_text(rows["answer"])
    given = text.ne_missing(ABSTAINED)
    right = text.eq_missing(observing.as_text(rows[observing.LABEL]))
    told = "answered rightly"
    return _compared(
        rows, right.to_numpy(), given.to_numpy(), treated=told, deployment=deployment
    )


def _close_groups(rows: pl.DataFrame, outcomes: Floats, deployment: str) -> list[checks.Check]:
    """Compare how often the groups of protected columns were answered within the usual error.

    That is the median of all rows: half of the rows of everybody are within it.
    """
    numbers = rows["answer"].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    error = np.abs(numbers - outcomes)
    given = np.isfinite(error)
    if not given.any():
        return []
    usual = float(np.median(error[given]))
    told = f"answered within the usual error ({usual:.3g})"
    return _compared(rows, error <= usual, given, treated=told, deployment=deployment)


def _compared(
    rows: pl.DataFrame,
    good: NDArray[np.bool_],
    given: NDArray[np.bool_],
    *,
    treated: str,
    deployment: str,
) -> list[checks.Check]:
    found: list[checks.Check] = []
    if not given.any():
        return found
    for column, values in observing.contexts(rows.filter(pl.Series(given))).items():
        groups = fairness.count(good[given], good[given], values, column=column)
        judged = fairness.evaluate(groups)
        found.append(outcomes_of.fairness(judged, deployment=deployment, treated=treated))
    return found


def _numbers(rows: pl.DataFrame, names: list[str]) -> Floats:
    """Return the answer and the features that are numbers, NaN where a value is missing."""
    wanted = [name for name in names if f"{observing.FEATURE}{name}" in rows.columns]
    columns = ["score", *(f"{observing.FEATURE}{name}" for name in wanted)]
    table = rows.select(pl.col(columns).cast(pl.Float64).fill_null(float("nan")))
    return np.asarray(table.to_numpy(), dtype=np.float64)

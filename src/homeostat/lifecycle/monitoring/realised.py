"""What can be said of the answers of several classes, and of a regression; beside `outcomes`.

Pure; called by `loop.checking`. Realised performance is told; an estimate without labels is
told too and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring.checks import Check, Number
from homeostat.measures import (
    calibration,
    direct,
    distributions,
    estimation,
    intervals,
    noise,
)

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

RECENT = 0.25
WITHOUT = "performance without labels"
_TENTHS = 10
_LEAST_BIAS = 0.1


def of_classes(
    chances: Floats,
    truth: Codes,
    names: Sequence[str],
    *,
    level: float,
    deployment: str = "",
) -> list[Check]:
    """Say how well each class is found, on labelled rows.

    Parameters
    ----------
    chances
        Shape ``(n, k)``: what was said of each class.
    truth
        Shape ``(n,)``: places of classes, -1 for one that nobody knows.
    names
        Of the k classes.
    level
        Chance of a false finding.
    deployment
        For the command.

    Returns
    -------
    list of Check
        Realised performance, with recall and precision of each class; and calibration: how
        often the answer was right against how sure it was.
    """
    query = _query(deployment)
    if not len(truth):
        return [_unknown("performance", "no labelled row", query)]
    told = chances.argmax(axis=1)
    right = told == truth
    numbers = {"accuracy": _share(int(right.sum()), len(truth))}
    for place, name in enumerate(names):
        hits = int((right & (truth == place)).sum())
        for what, rows in (("recall", truth == place), ("precision", told == place)):
            if rows.any():
                numbers[f"{what}, {name}"] = _share(hits, int(rows.sum()))
    worst = min(
        (one for one in numbers if one.startswith("recall")),
        key=lambda one: numbers[one].value,
        default="accuracy",
    )
    shown = Check(
        name="performance",
        verdict="told",
        sentence=f"{numbers['accuracy'].value:.1%} of {len(truth):,} labelled rows were "
        f"answered rightly; worst is {worst} with {numbers[worst].value:.1%}",
        numbers=numbers,
        query=query,
    )
    return [shown, _calibrated(chances.max(axis=1), right, level, query)]


def _calibrated(sure: Floats, right: NDArray[np.bool_], level: float, query: str) -> Check:
    name = "calibration"
    if len(sure) < calibration.LEAST_IN_TIME:
        needed = f"{len(sure):,} labelled rows; {calibration.LEAST_IN_TIME} are needed"
        return _unknown(name, needed, query)
    came = right.astype(np.float64)
    seen = calibration.check(sure, came, series=calibration.in_time(sure, came))
    gap = float(right.mean() - sure.mean())
    word = "less" if gap < 0 else "more"
    return Check(
        name=name,
        verdict="found" if seen.is_broken and seen.p_value < level else "fine",
        sentence=f"answers were right in {right.mean():.1%} and {sure.mean():.1%} sure: "
        f"{abs(gap):.1%} {word} often than said",
        numbers={
            "right": Number(float(right.mean())),
            "sure": Number(float(sure.mean())),
            "expected calibration error": Number(seen.error),
            "p": Number(seen.p_value),
        },
        query=query,
    )


def classes_without_labels(
    sure: Floats, known_sure: Floats, known_right: Floats, *, deployment: str = ""
) -> Check:
    """Estimate how many answers of several classes are right where labels have not come.

    Parameters
    ----------
    sure
        Shape ``(n,)``: probabilities of the answers, of rows without a label.
    known_sure, known_right
        Shape ``(m,)``: the same of labelled rows in their order, and 1 where right.
    deployment
        For the command.

    Returns
    -------
    Check
        Accuracy, by the calibrated probability that the answer is right; unknown where the
        calibration is broken or there is too little to fit it on.
    """
    query = _query(deployment)
    wrong = int(len(known_right) - known_right.sum())
    few = min(wrong, len(known_right) - wrong)
    if len(known_sure) < 2 * estimation.LEAST_LABELS or not few or not len(sure):
        told = (
            f"{len(known_sure):,} labelled rows, {wrong:,} of them answered wrongly; "
            f"{2 * estimation.LEAST_LABELS} with right and wrong answers are needed"
            if len(sure)
            else f"all {len(known_sure):,} rows have their label: nothing is to be estimated"
        )
        return _unknown(WITHOUT, told, query)
    split = int(len(known_sure) * (1 - RECENT))
    fitted = calibration.fit(known_sure[:split], known_right[:split])
    newest, came = fitted.apply(known_sure[split:]), known_right[split:]
    recent = calibration.check(newest, came, series=calibration.in_time(newest, came))
    found = estimation.estimate(sure, fitted, recent=recent)
    if found.verdict == "unknown":
        return _unknown(WITHOUT, found.reason, query)
    chance = fitted.apply(sure)
    error = float(np.sqrt(np.sum(chance * (1 - chance)))) / len(sure)
    value = float(chance.mean())
    return Check(
        name=WITHOUT,
        verdict="told",
        sentence=f"{len(sure):,} rows without a label should turn out with accuracy "
        f"{value:.3f}, if the outcome still follows the score; labels decide",
        numbers={"accuracy": Number(value, value - 1.96 * error, value + 1.96 * error)},
        query=query,
    )


def of_numbers(
    answered: Floats, truth: Floats, *, level: float, deployment: str = ""
) -> list[Check]:
    """Say how far the answers of a regression are off, on labelled rows.

    Parameters
    ----------
    answered, truth
        Shape ``(n,)``, in time order.
    level
        Chance of a false finding.
    deployment
        For the command.

    Returns
    -------
    list of Check
        Realised performance; and calibration: found where the answers are too high or too low
        on average by more than a tenth of the mean absolute error, and not by chance; unknown
        with fewer than 600 rows.

    Notes
    -----
    The mean over its error has Student's distribution; its variance is as many times that of
    independent rows as tenths of the errors vary together in time (`noise.design`).
    """
    query = _query(deployment)
    off = answered - truth
    if len(off) < direct.LEAST_ROWS:
        told = f"{len(off):,} labelled rows; {direct.LEAST_ROWS} are needed"
        return [_unknown("performance", told, query), _unknown("calibration", told, query)]
    size = np.abs(off)
    mae, bias = float(size.mean()), float(off.mean())
    series = noise.design(_tenths(off), n_groups=_TENTHS)
    each = (float(one.std(ddof=1)) / len(off) ** 0.5 for one in (size, off))
    half, error = (1.96 * one * series.largest**0.5 for one in each)
    whole = float(truth.var())
    numbers = {"mae": Number(mae, max(0.0, mae - half), mae + half)}
    numbers["rmse"] = Number(float(np.sqrt((off**2).mean())))
    if whole > 0:
        numbers["r2"] = Number(1 - float((off**2).mean()) / whole)
    shown = Check(
        name="performance",
        verdict="told",
        sentence=f"{len(off):,} labelled rows were wrong by {mae:.4g} on average",
        numbers=numbers,
        query=query,
    )
    if len(off) < calibration.LEAST_IN_TIME:
        told = f"{len(off):,} labelled rows; {calibration.LEAST_IN_TIME} are needed"
        return [shown, _unknown("calibration", told, query)]
    freedom = float((series.n_blocks or len(off)) - 1)
    far = 1.96 * abs(bias) / error if error > 0 else math.inf
    chance = distributions.beta_share(freedom / (freedom + far * far), freedom / 2, 0.5)
    is_found = bool(bias) and chance < level and abs(bias) > _LEAST_BIAS * mae
    word = "high" if bias > 0 else "low"
    calibrated = Check(
        name="calibration",
        verdict="found" if is_found else "fine",
        sentence=f"answers are too {word} by {abs(bias):.4g} on average",
        numbers={"bias": Number(bias, bias - error, bias + error), "p": Number(chance)},
        query=query,
    )
    return [shown, calibrated]


def _tenths(values: Floats) -> Codes:
    """Return which tenth of all values each is in."""
    cuts = np.quantile(values, np.linspace(0, 1, _TENTHS + 1)[1:-1])
    return np.searchsorted(cuts, values, side="right").astype(np.intp)


def numbers_without_labels(
    known: Floats, errors: Floats, waiting: Floats, *, deployment: str = ""
) -> Check:
    """Estimate the mean absolute error where labels have not come; see `direct.estimate`."""
    query = _query(deployment)
    found = direct.estimate(known, errors, waiting)
    if found.verdict == "unknown":
        return _unknown(WITHOUT, found.reason, query)
    half = 1.96 * found.standard_error
    return Check(
        name=WITHOUT,
        verdict="told",
        sentence=f"{found.n_rows:,} rows without a label should turn out wrong by "
        f"{found.mae:.4g} on average, if the outcome still follows the columns; labels decide",
        numbers={"mae": Number(found.mae, max(0.0, found.mae - half), found.mae + half)},
        query=query,
    )


def _share(n_hits: int, n_rows: int) -> Number:
    found = intervals.wilson(n_hits, n_rows)
    return Number(found.value, found.low, found.high)


def _unknown(name: str, told: str, query: str) -> Check:
    return Check(name=name, verdict="unknown", sentence=told, query=query)


def _query(deployment: str) -> str:
    return f"homeostat predictions export {deployment} log.parquet --labels"

"""What can be said of a deployment's answers: estimates without labels, groups, age.

Pure; called by `loop.checking`. An estimate without labels is told and decides nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.evaluation.entities import Fairness
from homeostat.lifecycle.monitoring.checks import Check, Number
from homeostat.measures import calibration, estimation, noise, prior

Floats = NDArray[np.float64]

REVIEW_DAYS: Final = {"high": 90, "medium": 180, "low": 365}
"""After how long a version of each tier is due for a review."""
LEAST_PRIOR_CHANGE = 0.05
GROUPS: Final = 10
LEAST_ROWS = 30
_SHOWN = ("accuracy", "roc_auc", "recall", "precision")
LEAST_IMPACT = 0.8
"""Four fifths: Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D, 1978."""
RECENT = 0.25
LEAST_LABELS = estimation.LEAST_LABELS
DAY_MS: Final = 86_400_000


def without_labels(
    scores: Floats,
    known_scores: Floats,
    known_truth: Floats,
    *,
    level: float,
    deployment: str = "",
) -> tuple[Check, Check]:
    """Estimate performance and the share of positives where labels have not come yet.

    Parameters
    ----------
    scores
        Shape ``(n,)``: of rows without a label, 0 to 1.
    known_scores, known_truth
        Shape ``(m,)``: of labelled rows in their order, and 1 where positive. The map from
        score to probability is fitted on the earlier three quarters and checked on the rest.
    level
        Chance of a false finding.
    deployment
        For the command.

    Returns
    -------
    tuple of Check
        Performance, never more than told; and prior shift. Both are unknown where the
        calibration is broken or there is too little to fit it on.
    """
    query = f"homeostat predictions export {deployment} log.parquet --labels"
    few = min(int(known_truth.sum()), int(len(known_truth) - known_truth.sum()))
    if len(known_scores) < 2 * LEAST_LABELS or not few or not len(scores):
        told = (
            f"{len(known_scores):,} labelled rows with {few:,} of the rarer class; "
            f"{2 * LEAST_LABELS} with both classes are needed"
            if len(scores)
            else f"all {len(known_scores):,} rows have their label: nothing is to be estimated"
        )
        both = ("performance without labels", "prior shift")
        first, second = (
            Check(name=name, verdict="unknown", sentence=told, query=query) for name in both
        )
        return first, second
    split = int(len(known_scores) * (1 - RECENT))
    fitted = calibration.fit(known_scores[:split], known_truth[:split])
    newest, happened = fitted.apply(known_scores[split:]), known_truth[split:]
    series = calibration.in_time(newest, happened)
    recent = calibration.check(newest, happened, series=series)
    found = estimation.estimate(scores, fitted, recent=recent)
    if found.verdict == "unknown":
        shift = Check(name="prior shift", verdict="unknown", sentence=found.reason, query=query)
        return _performance(found, query), shift
    series = max((_in_time(known_scores), _in_time(scores)), key=lambda one: one.largest)
    return _performance(found, query), _prior(
        scores, fitted, series=series, level=level, query=query
    )


def realised(
    metrics: dict[str, Number],
    scores: Floats,
    truth: Floats,
    *,
    level: float,
    deployment: str = "",
) -> tuple[Check, Check]:
    """Say how well rows were answered whose labels have come, and whether scores are chances.

    Parameters
    ----------
    metrics
        Of those rows.
    scores, truth
        Shape ``(n,)``: of the same rows, 0 to 1, and 1 where positive.
    level
        Chance of a false finding.
    deployment
        For the command.

    Returns
    -------
    tuple of Check
        Performance, which is told (harm is what an alarm says of it); and calibration, found
        where it is broken beyond chance.
    """
    query = f"homeostat monitor performance {deployment}"
    if len(scores) < LEAST_LABELS:
        lacking = f"{len(scores):,} labelled rows; {LEAST_LABELS} are needed"
        first, second = (
            Check(name=name, verdict="unknown", sentence=lacking, query=query)
            for name in ("performance", "calibration")
        )
        return first, second
    shown = ", ".join(
        f"{name} {one.value:.3f}" for name, one in metrics.items() if name in _SHOWN
    )
    told = Check(
        name="performance",
        verdict="told",
        sentence=f"{len(scores):,} labelled rows: {shown}",
        numbers=metrics,
        query=query,
    )
    if len(scores) < calibration.LEAST_IN_TIME:
        few = f"{len(scores):,} labelled rows; {calibration.LEAST_IN_TIME} are needed"
        return told, Check(name="calibration", verdict="unknown", sentence=few, query=query)
    seen = calibration.check(scores, truth, series=calibration.in_time(scores, truth))
    is_found = seen.is_broken and seen.p_value < level
    return (
        told,
        Check(
            name="calibration",
            verdict="found" if is_found else "fine",
            sentence=f"scores and outcomes are {seen.error:.1%} apart on average, where "
            f"{seen.noise:.1%} is chance: {truth.mean():.1%} were positive, "
            f"{scores.mean():.1%} were expected",
            numbers={
                "expected calibration error": Number(seen.error),
                "by chance": Number(seen.noise),
                "p": Number(seen.p_value),
            },
            query=query,
        ),
    )


def _performance(found: estimation.Performance, query: str) -> Check:
    name = "performance without labels"
    if found.verdict == "unknown":
        return Check(name=name, verdict="unknown", sentence=found.reason, query=query)
    numbers = {
        key: Number(
            one.value,
            max(0.0, one.value - 1.96 * one.standard_error),
            one.value + 1.96 * one.standard_error,
        )
        for key, one in found.metrics.items()
    }
    shown = ", ".join(
        f"{key} {numbers[key].value:.3f}" for key in ("auc", "accuracy") if key in numbers
    )
    sentence = (
        f"{found.n_rows:,} rows without a label should turn out with {shown}, if the outcome "
        f"still follows the score; labels decide"
    )
    return Check(name=name, verdict="told", sentence=sentence, numbers=numbers, query=query)


def _in_time(values: Floats) -> noise.Design:
    """Return how strongly values in time order depend on those before, in ten groups."""
    cuts = np.unique(np.quantile(values, np.linspace(0.1, 0.9, GROUPS - 1)))
    codes = np.searchsorted(cuts, values, side="right")
    return noise.design(codes, n_groups=len(cuts) + 1)


def _prior(
    scores: Floats,
    fitted: calibration.Calibration,
    *,
    series: noise.Design,
    level: float,
    query: str,
) -> Check:
    """Compare the share of positives that the scores tell of with that of the labelled rows."""
    before = fitted.n_positive / fitted.n_rows
    if len(scores) < LEAST_ROWS:
        told = (
            f"not enough data: {len(scores)} rows wait for a label, {LEAST_ROWS} are needed to "
            f"estimate how many of them are positive"
        )
        return Check(name="prior shift", verdict="unknown", sentence=told, query=query)
    seen = prior.estimate(
        fitted.apply(scores),
        np.array([1 - before, before]),
        n_reference=fitted.n_rows // 2,  # the slope of the map is theirs too
        series=series,
    )
    now, error = seen.current[1], seen.standard_errors[1]
    low, high = max(0.0, now - 1.96 * error), min(1.0, now + 1.96 * error)
    is_large = abs(now - before) > LEAST_PRIOR_CHANGE
    is_found = seen.p_value < level and is_large
    told = f"of {len(scores):,} rows without a label {now:.1%} [{low:.1%}, {high:.1%}] are"
    meant = "; that may be chance" if is_large and not is_found else ""
    return Check(
        name="prior shift",
        verdict="found" if is_found else "fine",
        sentence=f"{told} likely positive; {before:.1%} of the labelled ones were{meant}",
        numbers={
            "share of positives": Number(now, low, high),
            "before": Number(before),
            "p": Number(seen.p_value),
        },
        query=query,
    )


def fairness(found: Fairness, *, deployment: str = "", treated: str = "") -> Check:
    """Say how differently the groups of a protected column are treated.

    Parameters
    ----------
    found
        From `evaluation.fairness.evaluate` on labelled rows.
    deployment
        For the command.
    treated
        What a row counts as selected for (``answered rightly``); positive answers, which
        favour a person or not, when empty.

    Returns
    -------
    Check
        Found when even the upper end of the interval of the disparate impact is below four
        fifths; unknown with fewer than two groups that are large enough.
    """
    query = f"homeostat predictions export {deployment} log.parquet --labels"
    name = f"fairness by {found.column}"
    impact = found.disparate_impact
    if impact.value is None or found.demographic_parity_difference is None:
        told = f"fewer than two groups are large enough; {found.n_too_small} are too small"
        return Check(name=name, verdict="unknown", sentence=told, query=query)
    numbers = {"disparate impact": Number(impact.value, impact.low, impact.high)}
    for group in found.groups:
        rate = group.selection_rate
        if rate.value is not None:
            numbers[f"{treated or 'positive answers'}, {group.category}"] = Number(
                rate.value, rate.low, rate.high
            )
    is_found = impact.high is not None and impact.high < LEAST_IMPACT
    return Check(
        name=name,
        verdict="found" if is_found else "fine",
        sentence=f"{found.worst_category} is {treated or 'favoured'} {impact.value:.2f} times "
        f"as often as {found.best_category}; {LEAST_IMPACT:g} is needed",
        numbers=numbers,
        query=query,
    )


def staleness(*, tier: str, made_at: int, now: int, version: str) -> Check:
    """Say whether a version is due for a review by its age.

    Parameters
    ----------
    tier
        ``low``, ``medium`` or ``high``.
    made_at, now
        When the version was registered, and now; milliseconds UTC.
    version
        Reference, such as ``model:credit@3``.
    """
    age = max(0, now - made_at) / DAY_MS
    most = REVIEW_DAYS.get(tier, REVIEW_DAYS["medium"])
    return Check(
        name="staleness",
        verdict="found" if age > most else "fine",
        sentence=f"{version} is {age:.0f} days old; tier {tier!r} is reviewed after {most}",
        numbers={"days": Number(age), "review after": Number(float(most))},
        query=f"homeostat why --version {version.removeprefix('model:').replace('@', '/')}",
    )

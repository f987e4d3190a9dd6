"""Asks a deployment what its windows do not say: volume, silence, doubles, groups, estimates.

Called by the doors, and once an hour by the worker, which looks closer. It reads the newest
rows of the log and the stored windows, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from homeostat.foundation import access, clock, errors, log
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.alerting import watching
from homeostat.lifecycle.evaluation import fairness
from homeostat.lifecycle.loop import (
    aims,
    answered,
    looking,
    observing,
    performing,
    realising,
    scoring,
    summarising,
)
from homeostat.lifecycle.monitoring import checks, measurements, outcomes, stored, unusual
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import read
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import plan as plans
from homeostat.lifecycle.serving.entities import Deployment

NEWEST_ROWS = 10_000
LABELLED_ROWS = 50_000
HOURS_A_YEAR = 8766.0
BY_HOUR = 0.4
"""Of the yearly false alarms; half are of windows, a tenth of single decisions."""
QUESTIONS = 8
"""Tests that share that part: volume, prior, calibration, all rows, attribution, service."""
TWO = 2
CAUSES = {
    "volume": "feed",
    "freshness": "feed",
    "duplicates": "feed",
    "training-serving-skew": "skew",
    "multivariate-drift": "covariate-shift",
    "service-latency": "infrastructure",
    "service-errors": "infrastructure",
    "service-saturation": "infrastructure",
}
"""The cause that is named with an alert; unknown for the others."""
UNTOLD = ("performance-without-labels",)
"""Estimates: they open nothing."""
CHECK = "monitoring.check"
CLOCK = "23 * * * *"

_log = log.get(__name__)


class _Seen(NamedTuple):
    """What is read in one transaction."""

    deployment: Deployment
    version: Version
    how: adopted.Loadable
    policy: Policy
    kept: list[checks.Check]
    counts: list[tuple[int, int]]
    newest: pl.DataFrame
    of_day: pl.DataFrame
    labelled: pl.DataFrame
    at: int


def run(
    house: House,
    actor: access.Actor,
    deployment: str,
    *,
    is_closer: bool = False,
    project: str | None = None,
) -> list[checks.Check]:
    """Return every check of a deployment; those that found something first.

    Parameters
    ----------
    house, actor
        Needs ``monitoring.read`` and ``prediction.read``.
    deployment
        Its name.
    is_closer
        Whether models and data sets are opened for it, as the worker does once an hour;
        otherwise what was found then is returned.
    project
        Namespace.

    Returns
    -------
    list of Check
        Volume and freshness by the stored windows, duplicates in the newest 10,000 rows,
        estimates and fairness from the newest 50,000, staleness of the version that answers,
        and what `looking` found.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "monitoring.read")
    access.require(actor, "prediction.read")
    seen = house.read(lambda tx: _look(house, tx, actor, deployment), project=project)
    alarms = seen.policy.monitoring.false_alarms_per_year * BY_HOUR
    level = min(0.05, alarms / HOURS_A_YEAR / QUESTIONS)
    newest_at = seen.newest["served_at"].max() if seen.newest.height else None
    last_at = newest_at if isinstance(newest_at, int) else None
    found = [
        checks.volume(seen.counts, now=seen.at, level=level, deployment=deployment),
        checks.freshness(seen.counts, last_at=last_at, now=seen.at, deployment=deployment),
        checks.duplicates(_identities(seen.newest), deployment=deployment),
        *_outcomes(house, seen, deployment, level=level),
        outcomes.staleness(
            tier=seen.policy.model.tier,
            made_at=seen.version.created_at,
            now=seen.at,
            version=seen.version.reference,
        ),
        *_closer(house, actor, seen, level=level, is_closer=is_closer),
    ]
    return sorted(found, key=lambda check: check.verdict != "found")


def _closer(
    house: House, actor: access.Actor, seen: _Seen, *, level: float, is_closer: bool
) -> list[checks.Check]:
    if is_closer:
        subject = looking.Subject(
            seen.deployment,
            seen.version,
            seen.how,
            seen.newest,
            seen.of_day,
            seen.counts[0][0] if seen.counts else seen.at,
            seen.at,
        )
        return looking.closer(house, actor, subject, level=level)
    known = {one.name: one for one in seen.kept}
    told = "a worker looks once an hour, and when it is asked to"
    query = f"homeostat objectives measure {seen.deployment.name}"
    return [
        known.get(name)
        or checks.Check(name=name, verdict="unknown", sentence=told, query=query)
        for name in looking.NAMES
    ]


def rarest(
    house: House,
    actor: access.Actor,
    deployment: str,
    *,
    limit: int = 20,
    project: str | None = None,
) -> list[unusual.UnusualRow]:
    """Return the newest predictions that the baseline least expected, with their columns.

    Parameters
    ----------
    house, actor
        Needs ``prediction.read``.
    deployment
        Its name.
    limit
        At most this many, of the newest 10,000 rows.
    project
        Namespace.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    """
    access.require(actor, "prediction.read")

    def look(tx: Transaction) -> tuple[str, str, pl.DataFrame]:
        found = serving.get_deployment(tx, actor, deployment)
        end = predictions.get_log(tx, actor, deployment).n_rows
        rows = read.predictions(
            house, tx, deployment, first_row=max(0, end - NEWEST_ROWS), end_row=end
        )
        number = plans.champion(found.plan)
        return found.model, str(number), rows.filter(pl.col("answered"))

    model, version, rows = house.read(look, project=project)
    frozen = summarising.baseline_of(house, model, version, project=project)
    if frozen is None:
        return []
    asked = unusual.Baselined(frozen)
    return asked.rarest(rows, features=observing.features(rows), limit=limit)


class Hourly:
    """Checks deployments an hour apart, tells people what is found, and keeps it for pages.

    The first check is an hour after a deployment was first seen, or when somebody asks.

    Parameters
    ----------
    house, actor
        Open; a part of the system.
    """

    def __init__(self, house: House, actor: access.Actor) -> None:
        self._house = house
        self._actor = actor
        self._seen: dict[str, int] = {}

    def look(self, deployment: str, *, is_asked: bool = False) -> bool:
        """Check a deployment if its hour is over; what fails is noted and tried an hour later.

        Parameters
        ----------
        deployment
            Its name.
        is_asked
            Whether somebody wants it now.
        """
        now = clock.now_ms()
        is_over = now - self._seen.setdefault(deployment, now) >= checks.HOUR_MS
        if not (is_over or is_asked):
            return False
        self._seen[deployment] = now
        try:
            found = run(self._house, self._actor, deployment, is_closer=True)
            self._house.write(lambda tx: self._keep(tx, deployment, found))
        except errors.HomeostatError as error:
            _log.warning("a deployment cannot be checked", name=deployment, error=str(error))
        return True

    def _keep(self, tx: Transaction, deployment: str, found: Sequence[checks.Check]) -> None:
        measurements.keep_checks(tx, self._actor, deployment, found)
        tell(tx, self._actor, deployment, found)


def tell(
    tx: Transaction, actor: access.Actor, deployment: str, found: Sequence[checks.Check]
) -> None:
    """Open an alert for each check that found something; clear it where all is fine again.

    Parameters
    ----------
    tx, actor
        Needs ``alert.write``.
    deployment
        Its name.
    found
        From `run`. An estimate without labels opens nothing, nor does a closer look in the
        first two weeks, nor silence where the policy has an alert of its own.
    """
    has_own = watching.policy_of(tx, actor, deployment).no_data_after is not None
    for check in found:
        kind, _, column = check.name.partition(" by ")
        kind = kind.replace(" ", "-")
        if kind in UNTOLD or (kind == "freshness" and has_own) or _is_early(check):
            continue
        if check.verdict == "found":
            numbers = (f"{name}: {one.value:.6g}" for name, one in check.numbers.items())
            watching.open_alert(
                tx,
                actor,
                deployment=deployment,
                kind=kind,
                cause=CAUSES.get(kind, "unknown"),
                column=column or None,
                sentence=check.sentence,
                evidence=(*numbers, f"shown by: {check.query}"),
            )
        elif check.verdict == "fine":
            watching.clear(tx, actor, deployment=deployment, kind=kind, column=column or None)


def _is_early(check: checks.Check) -> bool:
    hours = check.numbers.get(looking.HOURS)
    return check.verdict == "found" and hours is not None and hours.value < looking.LEAST_HOURS


def _look(house: House, tx: Transaction, actor: access.Actor, deployment: str) -> _Seen:
    found = serving.get_deployment(tx, actor, deployment)
    version = registry.get_version(tx, actor, found.model, plans.champion(found.plan))
    end = predictions.get_log(tx, actor, deployment).n_rows
    since = tx.at - (checks.MOST_WEEKS * checks.WEEK + 1) * checks.HOUR_MS
    newest = read.predictions(
        house, tx, deployment, first_row=max(0, end - NEWEST_ROWS), end_row=end
    )
    counts = stored.counts(tx, deployment, since=since)
    labelled = observing.labelled(
        house, tx, deployment, rows=(max(0, end - LABELLED_ROWS), end)
    )
    return _Seen(
        deployment=found,
        kept=measurements.checks(tx, actor, deployment),
        version=version,
        how=adopted.loadable(tx, version),
        policy=policies.parse(found.policy, where=f"policy of {deployment}"),
        counts=counts,
        newest=newest.filter(pl.col("answered")),
        of_day=looking.of_day(house, tx, deployment, newest=newest, counts=counts).filter(
            pl.col("answered")
        ),
        labelled=labelled,
        at=tx.at,
    )


def _identities(rows: pl.DataFrame) -> pl.DataFrame:
    names = [name for name in rows.columns if name.startswith(observing.FEATURE)]
    return rows.select("key", *names)


def _outcomes(
    house: House, seen: _Seen, deployment: str, *, level: float
) -> list[checks.Check]:
    """Say what came of the answers, as far as it is known; groups of two classes."""
    described = scoring.Scorer(house).described(seen.how)
    rows = seen.labelled
    if described.task != "binary" or len(described.classes) != TWO:
        waiting = seen.newest.filter(
            ~pl.col("key").is_in(rows["key"].implode()), pl.col("score").is_finite()
        )
        if described.task == "binary":  # one of several classes, against the rest
            return []
        return realising.run(described, rows, waiting, level=level, deployment=deployment)
    truth = observing.positives(rows, scoring.positive_of(described)).astype(np.float64)
    old = performing.mature(rows, seen.policy, at=seen.at)
    happened = observing.positives(old, scoring.positive_of(described)).astype(np.float64)
    waiting = seen.newest.filter(~pl.col("key").is_in(rows["key"].implode()))
    waiting = waiting.filter(pl.col("score").is_finite())
    found = list(
        outcomes.without_labels(
            waiting["score"].to_numpy(),
            rows["score"].to_numpy(),
            truth,
            level=level,
            deployment=deployment,
        )
    )
    aim = aims.of([described])
    told = {} if old.is_empty() else performing.numbered(old, happened.astype(bool), aim)
    found += outcomes.realised(
        told, old["score"].to_numpy(), happened, level=level, deployment=deployment
    )
    if rows.is_empty():
        return found
    given, chosen = answered.told(rows, scoring.positive_of(described))
    if not given.any():
        return found
    for column, values in observing.contexts(rows.filter(pl.Series(given))).items():
        groups = fairness.count(truth[given], chosen[given], values, column=column)
        judged = fairness.evaluate(groups, favourable=seen.policy.model.favourable)
        found.append(outcomes.fairness(judged, deployment=deployment))
    return found

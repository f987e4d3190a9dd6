"""Asks a deployment what its windows do not say: volume, silence, doubles, groups, estimates.

Called by the doors. It reads the newest rows of the log and the stored windows, and decides
nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.evaluation import fairness
from homeostat.lifecycle.loop import observing, scoring
from homeostat.lifecycle.monitoring import checks, outcomes, stored
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import read
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import plan as plans

NEWEST_ROWS = 10_000
LABELLED_ROWS = 50_000
HOURS_A_YEAR = 8766.0
TWO = 2


class _Seen(NamedTuple):
    """What is read in one transaction."""

    version: Version
    how: adopted.Loadable
    policy: Policy
    counts: list[tuple[int, int]]
    newest: pl.DataFrame
    labelled: pl.DataFrame
    at: int


def run(
    house: House, actor: access.Actor, deployment: str, *, project: str | None = None
) -> list[checks.Check]:
    """Return every check of a deployment; those that found something first.

    Parameters
    ----------
    house, actor
        Needs ``monitoring.read`` and ``prediction.read``.
    deployment
        Its name.
    project
        Namespace.

    Returns
    -------
    list of Check
        Volume and freshness by the stored windows, duplicates in the newest 10,000 rows,
        estimates and fairness from the newest 50,000, staleness of the version that answers.

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
    level = min(0.05, seen.policy.monitoring.false_alarms_per_year / HOURS_A_YEAR)
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
    ]
    return sorted(found, key=lambda check: check.verdict != "found")


def _look(house: House, tx: Transaction, actor: access.Actor, deployment: str) -> _Seen:
    found = serving.get_deployment(tx, actor, deployment)
    version = registry.get_version(tx, actor, found.model, plans.champion(found.plan))
    log = predictions.get_log(tx, actor, deployment)
    since = tx.at - (checks.MOST_WEEKS * checks.WEEK + 1) * checks.HOUR_MS
    newest = read.predictions(
        house, tx, deployment, first_row=max(0, log.n_rows - NEWEST_ROWS), end_row=log.n_rows
    )
    labelled = observing.labelled(
        house, tx, deployment, rows=(max(0, log.n_rows - LABELLED_ROWS), log.n_rows)
    )
    return _Seen(
        version=version,
        how=adopted.loadable(tx, version),
        policy=policies.parse(found.policy, where=f"policy of {deployment}"),
        counts=stored.counts(tx, deployment, since=since),
        newest=newest.filter(pl.col("answered")),
        labelled=labelled,
        at=tx.at,
    )


def _identities(rows: pl.DataFrame) -> pl.DataFrame:
    names = [name for name in rows.columns if name.startswith(observing.FEATURE)]
    return rows.select("key", *names)


def _outcomes(
    house: House, seen: _Seen, deployment: str, *, level: float
) -> list[checks.Check]:
    """Estimates and groups, of a classifier of two classes."""
    described = scoring.Scorer(house).described(seen.how)
    if len(described.classes) != TWO:
        return []
    rows = seen.labelled
    truth = observing.positives(rows, scoring.positive_of(described)).astype(np.float64)
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
    if rows.is_empty():
        return found
    chosen = rows["score"].to_numpy() >= 0.5  # noqa: PLR2004 - the even chance
    for column, values in observing.contexts(rows).items():
        groups = fairness.count(truth, chosen, values, column=column)
        judged = fairness.evaluate(groups, favourable=seen.policy.model.favourable)
        found.append(outcomes.fairness(judged, deployment=deployment))
    return found

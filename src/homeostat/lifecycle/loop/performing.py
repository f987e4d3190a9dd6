"""How well a deployment has answered, as far as its late labels tell; for checks and doors.

Three times count: when a row was answered, when its label became known, and as of when one
asks. A row that is younger than its label takes is left out, labelled or not: labels that come
early are seldom of the usual kind.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.evaluation import metrics, numbers, several
from homeostat.lifecycle.evaluation import scoring as scoring_parts
from homeostat.lifecycle.evaluation.entities import Estimate
from homeostat.lifecycle.loop import aims, answered, observing, scoring
from homeostat.lifecycle.monitoring import checks
from homeostat.lifecycle.monitoring.checks import Number
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import read
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import plan as plans

MOST_ROWS: Final = 50_000
LEAST_ROWS: Final = 30
ANSWERS: Final = "accuracy of the answers"
_OF_TWO: Final = ("accuracy", "roc_auc", "recall", "precision", "brier", "log_loss")


def measure(
    house: House,
    actor: access.Actor,
    deployment: str,
    *,
    as_of: int | None = None,
    project: str | None = None,
) -> checks.Performance:
    """Measure what was answered, as it was known at an instant.

    Parameters
    ----------
    house, actor
        Needs ``prediction.read``.
    deployment
        Its name.
    as_of
        Milliseconds UTC; now when None.
    project
        Namespace.

    Returns
    -------
    Performance
        Of the newest 50,000 rows of the log, those kept out of learning included.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "prediction.read")

    def look(tx: Transaction) -> tuple[Policy, adopted.Loadable, pl.DataFrame, int, int]:
        found = serving.get_deployment(tx, actor, deployment)
        policy, at = serving.get_policy(found), tx.at if as_of is None else as_of
        version = registry.get_version(tx, actor, found.model, plans.champion(found.plan))
        end = predictions.get_log(tx, actor, deployment).n_rows
        span = (max(0, end - MOST_ROWS), end)
        asked = read.predictions(
            house,
            tx,
            deployment,
            first_row=span[0],
            end_row=span[1],
            columns=("row", "served_at", "answered"),
        )
        old = mature(asked.filter(pl.col("answered")), policy, at=at)
        known = read.labels(house, tx, deployment, as_of=at)
        rows = observing.labelled(house, tx, deployment, rows=span, known=known)
        rows = rows.join(old.select("row"), on="row", how="semi", maintain_order="left")
        return policy, adopted.loadable(tx, version), rows, old.height, at

    policy, how, rows, n_mature, at = house.read(look, project=project)
    told = f"{rows.height:,} of {n_mature:,} rows that are old enough have their label"
    measured: dict[str, Number] = {}
    if rows.height < LEAST_ROWS:
        told = f"not enough data: {told}, {LEAST_ROWS} are needed"
    else:
        described = scoring.Scorer(house).described(how)
        aim = aims.of([described], rows, metric=policy.gates.metric)
        measured = numbered(rows, aims.truth(rows[observing.LABEL], aim), aim)
    return checks.Performance(
        deployment=deployment,
        as_of=at,
        maturity=policy.data.label_delay,
        n_mature=n_mature,
        n_labelled=rows.height,
        metrics=measured,
        sentence=told,
    )


def mature(rows: pl.DataFrame, policy: Policy, *, at: int) -> pl.DataFrame:
    """Return rows whose label had time to come, by the policy's ``label_delay``.

    Parameters
    ----------
    rows
        Of the log, in order, with ``served_at``.
    policy
        Its delay is a time, or a number of rows that came since.
    at
        Milliseconds UTC.
    """
    rows = rows.filter(pl.col("served_at") <= at)
    span = policy.data.label_delay_span
    if span.rows:
        return rows[: max(0, rows.height - span.rows)]
    return rows.filter(pl.col("served_at") <= at - int((span.seconds or 0.0) * 1000))


def numbered(rows: pl.DataFrame, outcomes: NDArray[Any], aim: aims.Aim) -> dict[str, Number]:
    """Return every metric of labelled rows with its interval; those that are not defined not.

    Metrics are those of the scores. Where answers are others than the scores say, because of a
    correction, their own accuracy stands beside them.

    Parameters
    ----------
    rows, outcomes
        From `observing.labelled`, and `aims.truth` of them.
    aim
        What is foretold.
    """
    said = aims.said(rows, aim)
    found: dict[str, Estimate]
    if aim.task == "regression":
        found = numbers.evaluate(*numbers.checked(outcomes, said))
    elif aim.task == "multiclass":
        found = several.evaluate(*several.checked(outcomes, said))
    else:
        seen = metrics.evaluate(outcomes, said)
        found = {name: getattr(seen, name) for name in _OF_TWO}
        given, chosen = answered.told(rows, aim.positive)
        if (chosen != (said >= seen.threshold))[given].any():  # corrections changed some
            hits = int((chosen == outcomes)[given].sum())
            found[ANSWERS] = scoring_parts.share(hits, int(given.sum()), confidence=0.95)
    return {
        name: Number(one.value, one.low, one.high)
        for name, one in found.items()
        if one.value is not None
    }

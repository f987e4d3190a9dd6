"""Ranks what a deployment's losses come from when somebody asks; called by the doors.

The loop asks blame once, when it raises its alarm. This asks again, with all labels that came
since then, and where no harm is known says what the newest windows would be blamed for.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.loop import (
    actions,
    aims,
    blaming,
    entities,
    observing,
    scoring,
    summarising,
)
from homeostat.lifecycle.monitoring import blame
from homeostat.lifecycle.monitoring import entities as monitored
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import plan as plans

MOST_ROWS: Final = 5000
"""Of a harm, since it began."""
NEWEST_WINDOWS: Final = 3
"""Are asked where no harm is known."""
_DECISIONS: Final = 50


class _Seen(NamedTuple):
    """What is read in one transaction."""

    version: Version
    how: adopted.Loadable
    metric: str
    rows: pl.DataFrame
    accepted: float | None
    windows: list[monitored.Window]
    hints: blame.Hints


def rank(
    house: House, actor: access.Actor, deployment: str, *, project: str | None = None
) -> monitored.Blamed:
    """Rank all causes of what is wrong with a deployment.

    Parameters
    ----------
    house, actor
        Needs ``monitoring.read``, ``prediction.read`` and ``decision.read``.
    deployment
        Its name.
    project
        Namespace.

    Returns
    -------
    Blamed
        Of up to 5,000 labelled rows since the change while harm stands; else of the findings
        in the newest three windows.

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
    if seen.accepted is None:
        return _of_windows(seen, deployment)
    name, number = seen.version.model, str(seen.version.number)
    frozen = summarising.baseline_of(house, name, number, project=project)
    if frozen is None:
        raise errors.NotFoundError(f"{seen.version.reference} has no baseline")
    about = scoring.Scorer(house).described(seen.how)
    aim = aims.of([about], seen.rows, metric=seen.metric)
    share, _ = aims.wrong(seen.rows, aims.truth(seen.rows[observing.LABEL], aim), aim)
    harm = monitored.Harm(
        first_row=int(seen.rows["row"][0]),
        end_row=int(seen.rows["row"][-1]) + 1,
        accepted=seen.accepted,
        realised=share,
        n_rows=seen.rows.height,
        is_share=aim.task != "regression",
    )
    windows = [one for one in seen.windows if one.end_row > harm.first_row]
    found = blaming.ranked(windows, harm, seen.hints, rows=seen.rows, frozen=frozen, aim=aim)
    sentence = (
        f"the loss of {harm.n_rows:,} labelled rows since row {harm.first_row:,} is "
        f"{share:.4g} where {seen.accepted:.4g} is accepted"
    )
    return monitored.Blamed(deployment=deployment, sentence=sentence, harm=harm, causes=found)


def _of_windows(seen: _Seen, deployment: str) -> monitored.Blamed:
    found = blame.rank(seen.windows, hints=seen.hints)
    n = len(seen.windows)
    told = f"what the newest {n} windows show may become one" if found else "nothing to blame"
    sentence = f"no harm is known; {told}"
    return monitored.Blamed(deployment=deployment, sentence=sentence, causes=found)


def _look(house: House, tx: Transaction, actor: access.Actor, deployment: str) -> _Seen:
    found = serving.get_deployment(tx, actor, deployment)
    version = registry.get_version(tx, actor, found.model, plans.champion(found.plan))
    state = actions.find_state(tx, deployment)
    accepted = None if state is None else _accepted(tx, actor, deployment, state)
    rows = pl.DataFrame(schema={"served_at": pl.Int64})
    if state is not None and accepted is not None:
        since, end = state.change_row or 0, state.history[-1].end_row
        rows = observing.labelled(
            house,
            tx,
            deployment,
            rows=(since, end),
            without=state.quarantined,
            at_most=MOST_ROWS,
        )
    is_harm = accepted is not None and not rows.is_empty()
    windows, hints = blaming.told(
        tx,
        actor,
        deployment,
        rows=rows,
        end_row=int(rows["row"][-1]) + 1 if is_harm else None,
        limit=blaming.MOST_WINDOWS if is_harm else NEWEST_WINDOWS,
    )
    return _Seen(
        version=version,
        how=adopted.loadable(tx, version),
        metric=serving.get_policy(found).gates.metric,
        rows=rows,
        accepted=accepted if is_harm else None,
        windows=windows,
        hints=hints,
    )


def _accepted(
    tx: Transaction, actor: access.Actor, deployment: str, state: entities.LoopState
) -> float | None:
    """Return the loss that was accepted when the harm that stands was raised."""
    if not state.harm_alert or state.change_row is None or not state.history:
        return None
    made = actions.list_decisions(tx, actor, deployment=deployment, limit=_DECISIONS)
    told = (one.evidence for one in made if "change_row" in one.evidence)
    found = next((one["accepted"] for one in told if "accepted" in one), None)
    return float(found) if isinstance(found, int | float) else None

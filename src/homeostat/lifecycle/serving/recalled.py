"""A prediction of the log with all that explains it as it was scored then; called by the API.

The versions that scored it may answer nobody any more: their files are named as a prediction
server is told of them, and whoever explains fetches them.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.corrections import actions as corrections
from homeostat.lifecycle.corrections import decisive, stored
from homeostat.lifecycle.corrections.entities import Fallback
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.serving import actions, plan, residuals, telling
from homeostat.lifecycle.serving.entities import Plan, VersionFiles
from homeostat.measures import residual

_FEATURE, _CONTEXT = "x.", "c."


class Scorer(msgspec.Struct, frozen=True):
    """A version that scored the row, and its weight in what was answered."""

    version: VersionFiles
    weight: float


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction as it was logged, and what explains it.

    Attributes
    ----------
    id, key, served_at, generation, arm, version
        As in the log; the arm ``shadow`` answered nobody.
    score, served_score, answer
        What the members said; what was decided on; what was answered.
    corrections
        Marks of those that changed it.
    scorers
        Who scored it, with their weights under the plan of then.
    row
        The features as they were served; instants as ISO 8601.
    threshold
        Score of the members from which the answer was positive, by the corrections of then.
    explain, protected, favourable
        What the policy says today: what may be told is decided when it is told.
    corrector
        What went on from the members' mean; None for nothing.
    """

    deployment: str
    model: str
    id: str
    key: str
    served_at: int
    generation: int
    arm: str
    version: str
    score: float
    served_score: float
    answer: str
    corrections: tuple[str, ...]
    scorers: tuple[Scorer, ...]
    row: dict[str, str | int | float | bool | None]
    threshold: float
    explain: policies.Explain
    protected: tuple[str, ...]
    favourable: bool
    corrector: residual.Corrector | None = None


def recall(
    tx: Transaction,
    actor: access.Actor,
    house: residuals.Unsealing,
    *,
    deployment: str,
    row: dict[str, Any],
) -> Recalled:
    """Return a prediction with all that explains it.

    Parameters
    ----------
    tx, actor
        Needs ``prediction.read`` and what reads deployments, models and corrections.
    house
        What returns stored bytes.
    deployment
        Whose log it is in.
    row
        As `predictions.read` returns it.

    Returns
    -------
    Recalled
        As it was then; what the policy lets be told is that of today.

    Raises
    ------
    ConflictError
        When no model scored it.
    NotFoundError
        When a version is gone.
    """
    for needed in ("prediction.read", "correction.read"):
        access.require(actor, needed)
    found = actions.get_deployment(tx, actor, deployment)
    policy = actions.get_policy(found)
    history = actions.plan_history(
        tx, actor, deployment, before=int(row["generation"]) + 1, limit=1
    )
    then = history[0].plan if history else found.plan
    fired = corrections.of_prediction(tx, actor, row["corrections"] or "")
    weights, is_fallback = _weights(row, then, [one.body for one in fired])
    named = [registry.get_version(tx, actor, found.model, number) for number in weights]
    features = _named(row, _FEATURE)
    given = {**features, **_named(row, _CONTEXT)}
    working = stored.worked(tx, deployment, at=int(row["served_at"]))
    (threshold,) = decisive.thresholds(
        working,
        {name: [value] for name, value in given.items()},
        version=str(row["version"]),
        places=[0],
    )
    return Recalled(
        deployment=deployment,
        model=found.model,
        id=str(row["id"]),
        key=str(row["key"]),
        served_at=int(row["served_at"]),
        generation=int(row["generation"]),
        arm=str(row["arm"]),
        version=str(row["version"]),
        score=float(row["score"]),
        served_score=float(row["served_score"]),
        answer=str(row["answer"]),
        corrections=tuple(one.mark for one in fired),
        scorers=tuple(Scorer(telling.files(tx, one), weights[one.number]) for one in named),
        row=features,
        threshold=threshold,
        explain=policy.explain,
        protected=policy.data.protected,
        favourable=policy.model.favourable,
        corrector=None if is_fallback else _corrector(tx, house, found.model, then, row),
    )


def _weights(
    row: dict[str, Any], then: Plan, fired: list[Any]
) -> tuple[dict[int, float], bool]:
    """Return versions with their weights, and whether a fallback scored in their place."""
    for body in fired:
        if isinstance(body, Fallback):
            if body.version is None:
                raise errors.ConflictError(
                    f"no model scored the prediction {row['id']}: a fallback of score "
                    f"{body.score} answered",
                    hint="homeostat why tells which correction that was",
                )
            return {body.version: 1.0}, True
    known = {
        one.version: one.weight
        for arm in then.arms
        if arm.name == row["arm"]
        for one in arm.members
    }
    numbers = [int(one) for one in row["members"] or () if str(one).isdecimal()]
    if not numbers:
        raise errors.ConflictError(
            f"the prediction {row['id']} was scored elsewhere, by {row['version']}",
            hint="only versions of the registry can be explained",
        )
    return {number: known.get(number, 1.0) for number in sorted(numbers)}, False


def _corrector(  # noqa: PLR0917 - where it lies, and of which row
    tx: Transaction,
    house: residuals.Unsealing,
    model: str,
    then: Plan,
    row: dict[str, Any],
) -> residual.Corrector | None:
    named = then.corrector
    if named is None or not named.answers or row["arm"] == plan.SHADOW:
        return None
    return residuals.read(house, model, named.digest, project=tx.project)


def _named(row: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value.isoformat() if isinstance(value, dt.date) else value
        for name, value in row.items()
        if name.startswith(prefix)
    }

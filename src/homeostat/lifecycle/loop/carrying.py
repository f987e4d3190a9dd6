"""Carries out what was decided, in the decision's transaction; called by live and duties."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from homeostat.foundation import access, jobs
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.alerting import watching
from homeostat.lifecycle.loop import actions, barring, entities, news
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import plan as plans
from homeostat.lifecycle.serving.entities import Arm, Member

FIT = "loop.fit"
EXAM = "loop.exam"
CORRECTOR = "loop.corrector"


PREDICTION = "(prediction)"
"""How evidence names the score."""


def tell(  # noqa: PLR0917 - the contract of `actions.apply_event`
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    event: entities.Event,
    policy: Policy,
) -> tuple[entities.Decision, ...]:
    """Let the loop of a deployment decide on an event, and carry out what it decides.

    Parameters
    ----------
    tx, actor, deployment, event, policy
        As for `actions.apply_event`. Members that may not answer are barred before it.

    Returns
    -------
    tuple
        What was decided.
    """
    barred = barring.look(tx, actor, deployment, event)
    told: list[entities.Event] = [] if barred is None else [barred]
    if not (barred and isinstance(event, entities.Approved) and _is_of(barred, event)):
        told.append(event)
    made: tuple[entities.Decision, ...] = ()
    for one in told:
        decisions = actions.apply_event(tx, actor, deployment, one, policy)
        carry_out(tx, actor, deployment, decisions)
        made += decisions
    return made


def _is_of(barred: news.MembersBarred, event: entities.Approved) -> bool:
    """Say whether a version was approved that may not answer for all that."""
    return event.version in barred.barred or event.version in barred.gone


def carry_out(
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    decisions: Iterable[entities.Decision],
) -> None:
    """Do what decisions ask for.

    Parameters
    ----------
    tx, actor
        Opened for writing; a part of the system.
    deployment
        Whose decisions.
    decisions
        In their order.

    Raises
    ------
    GateClosedError
        When a plan names a version that may not answer.
    """
    for decision in decisions:
        for act in decision.acts:
            _do(tx, actor, decision, act, deployment=deployment)


def _do(
    tx: Transaction,
    actor: access.Actor,
    decision: entities.Decision,
    act: entities.Act,
    *,
    deployment: str,
) -> None:
    match act:
        case entities.StartFit():
            payload = {"deployment": deployment, "fit": msgspec.to_builtins(act.fit)}
            jobs.enqueue(tx, actor, FIT, payload=payload, key=f"{deployment}:{act.fit.id}")
        case entities.JudgeGates():
            payload = {"deployment": deployment, "label": act.version, "rows": list(act.rows)}
            jobs.enqueue(tx, actor, EXAM, payload=payload, key=f"{deployment}:{act.version}")
        case entities.Serve():
            _serve(tx, actor, decision, act, deployment=deployment)
        case entities.OpenAlert():
            _open(tx, actor, decision, act, deployment=deployment)
        case entities.ResolveAlert():
            watching.clear(tx, actor, deployment=deployment, kind=act.alert, column=act.column)
        case entities.FitCorrector():
            payload = {"deployment": deployment, "rows": list(act.rows)}
            key = f"{deployment}:corrector:{act.rows[1]}"
            jobs.enqueue(tx, actor, CORRECTOR, payload=payload, key=key)
        case entities.SwitchCorrector():
            _switch(tx, actor, decision, act, deployment=deployment)
        case entities.AskApproval():
            watching.open_alert(
                tx,
                actor,
                deployment=deployment,
                kind=watching.APPROVAL,
                cause=watching.APPROVAL,
                sentence=f"{decision.sentence}: homeostat model approve",
                evidence=_told(decision),
            )
        case entities.KeepOut() | entities.Retire():
            # The state itself remembers these; the event of the decision tells whoever waits.
            pass


def _open(
    tx: Transaction,
    actor: access.Actor,
    decision: entities.Decision,
    act: entities.OpenAlert,
    *,
    deployment: str,
) -> None:
    """Open an alert, or continue the one of its kind where the act names no cause."""
    cause, column = act.cause, act.column
    if cause is None:
        standing = watching.standing(tx, actor, deployment, act.alert)
        if standing is not None:
            cause, column = standing.cause, standing.column
    for kind, which in ((act.alert, column), *_drifting(decision, act)):
        watching.open_alert(
            tx,
            actor,
            deployment=deployment,
            kind=kind,
            cause=cause or "unknown",
            column=which,
            sentence=decision.sentence,
            evidence=_told(decision),
            is_proved=act.is_proved,
        )


def _drifting(
    decision: entities.Decision, act: entities.OpenAlert
) -> list[tuple[str, str | None]]:
    """Return what else moved in the window that is looked into: each is an alert."""
    if act.alert not in watching.DRIFT:
        return []
    moved = str(decision.evidence.get("columns") or "").split(", ")
    others = [one for one in moved if one and one != (act.column or PREDICTION)]
    return [
        ("prediction-drift", None) if one == PREDICTION else ("covariate-drift", one)
        for one in others
    ]


def _told(decision: entities.Decision) -> tuple[str, ...]:
    facts = (f"{name}: {value}" for name, value in decision.evidence.items())
    return (f"decision:{decision.id}", *facts)


def _serve(
    tx: Transaction,
    actor: access.Actor,
    decision: entities.Decision,
    act: entities.Serve,
    *,
    deployment: str,
) -> None:
    before = serving.get_deployment(tx, actor, deployment)
    arms = [Arm(plans.STABLE, 1.0 - act.share, _members(act.stable))]
    if act.canary:
        arms.append(Arm(plans.CANARY, act.share, _members(act.canary)))
    else:
        arms = [Arm(plans.STABLE, 1.0, _members(act.stable))]
    plan = plans.following(before.plan, arms)
    serving.set_plan(tx, actor, deployment, plan, reason=f"decision:{decision.id}")


def _switch(
    tx: Transaction,
    actor: access.Actor,
    decision: entities.Decision,
    act: entities.SwitchCorrector,
    *,
    deployment: str,
) -> None:
    """Give the answers of the corrector that the plan names, or give them no more."""
    before = serving.get_deployment(tx, actor, deployment).plan
    named = before.corrector
    if named is None or named.answers == act.answers:
        return
    named = msgspec.structs.replace(
        named, answers=act.answers, since=tx.at if act.answers else 0
    )
    plan = msgspec.structs.replace(before, generation=before.generation + 1, corrector=named)
    serving.set_plan(tx, actor, deployment, plan, reason=f"decision:{decision.id}")


def _members(weights: dict[str, float]) -> tuple[Member, ...]:
    return tuple(Member(int(version), weight) for version, weight in weights.items())

"""What an actor may do with deployments: deploy, change the plan, go back.

Called by the API and the loop. A change of plan is one commit: plan, alias, lineage and event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from homeostat.foundation import access, errors, events, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import approvals
from homeostat.lifecycle.serving import members, records, telling
from homeostat.lifecycle.serving import plan as plans
from homeostat.lifecycle.serving.entities import (
    Deployment,
    Kind,
    Plan,
    PlanChange,
    PlanDocument,
)

CHAMPION = "champion"
_LATEST = 2**62
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def deploy(
    tx: Transaction,
    actor: access.Actor,
    name: str,
    *,
    policy: str,
    number: int | None = None,
    alias: str | None = None,
) -> Deployment:
    """Serve a version under a name, alone and to everyone.

    Parameters
    ----------
    tx, actor
        Needs ``deployment.change``.
    name
        Letters, digits, ``.``, ``_``, ``-``.
    policy
        Text of its homeostat.toml; names the model.
    number, alias
        Which version; the newest when neither is given.

    Returns
    -------
    Deployment
        At generation 1.

    Raises
    ------
    InvalidInputError
        When the name is none, or the policy is not right.
    NotFoundError
        When there is no such version.
    GateClosedError
        When the version may not answer: a gate or an approval is missing.
    ConflictError
        When the name is taken.
    """
    access.require(actor, "deployment.change")
    need_free(tx, name)
    told = policies.parse(policy)
    model = told.model.name
    version = members.chosen(tx, actor, model, number=number, alias=alias)
    approvals.may_serve(tx, registry.get_version(tx, actor, model, version), told)
    made = begin(tx, actor, name, policy=policy, version=version)
    registry.set_alias(tx, actor, model, CHAMPION, number=version, reason=f"deployed as {name}")
    return made


def need_free(tx: Transaction, name: str) -> None:
    """Refuse what cannot name a new deployment: InvalidInputError, ConflictError when taken."""
    if not _NAME.fullmatch(name):
        raise errors.InvalidInputError(
            f"{name!r} cannot name a deployment",
            hint="use letters, digits, '.', '_' and '-', up to 100",
        )
    if tx.execute(records.FIND, _which(tx, name)).first() is not None:
        raise errors.ConflictError(
            f"deployment {name!r} exists already",
            hint="change its plan with --switch, its policy with homeostat loop policy, or "
            "choose another name with --name",
            name=name,
        )


def begin(
    tx: Transaction,
    actor: access.Actor,
    name: str,
    *,
    policy: str,
    version: int,
    kind: Kind = "served",
) -> Deployment:
    """Write down a new deployment, its log and lineage; called by `deploy` and `watching`.

    The caller has seen that the name is free and that the version may be there.
    """
    access.require(actor, "deployment.change")
    told = policies.parse(policy)
    first, digest = plans.single(version, salt=name), policies.digest(told)
    facts = {"model": told.model.name, "version": version, "policy_digest": digest}
    event = events.record(
        tx,
        actor,
        "deployment.created",
        subject=f"deployment:{name}",
        facts={**facts, "generation": 1, **({} if kind == "served" else {"kind": kind})},
    )
    made = Deployment(
        name=name,
        model=told.model.name,
        key=told.model.key or "",
        policy=policy,
        policy_digest=digest,
        plan=first,
        created_at=tx.at,
        created_by=actor.name,
        changed_at=tx.at,
        changed=event.seq,
        kind=kind,
    )
    row = {**msgspec.structs.asdict(made), "plan": _text(first), "generation": 1}
    tx.execute(records.INSERT, {"project": tx.project, **row})
    predictions.open_log(tx, actor, name)
    _note_plan(tx, actor, made, reason="deployed" if kind == "served" else "attached")
    _connect(tx, made, (version,))
    return made


def set_plan(
    tx: Transaction, actor: access.Actor, name: str, plan: Plan, *, reason: str
) -> Deployment:
    """Put the next generation of a plan in force.

    Parameters
    ----------
    tx, actor
        Needs ``deployment.change``.
    name
        A deployment.
    plan
        Its generation must be the present one plus 1.
    reason
        Why, for people; a reference to a decision where there is one.

    Returns
    -------
    Deployment
        With the new plan; alias ``champion`` is on the member that decides most.

    Raises
    ------
    NotFoundError
        When the deployment or a version does not exist.
    InvalidInputError
        When the plan cannot be served.
    GateClosedError
        When a version that is to answer may not; a shadow needs no permission.
    ConflictError
        When the plan changed since it was read.
    """
    access.require(actor, "deployment.change")
    before = get_deployment(tx, actor, name)
    plans.need_served(before)
    plans.check(plan)
    if plan.generation != before.plan.generation + 1:
        raise errors.ConflictError(
            f"deployment {name!r} is at generation {before.plan.generation}, so the next plan "
            f"must be {before.plan.generation + 1}; seen {plan.generation}",
            hint="read the plan again and decide anew",
            generation=before.plan.generation,
        )
    members.check(tx, actor, before, plan)
    event = events.record(
        tx,
        actor,
        "plan.changed",
        subject=before.reference,
        facts={
            "generation": plan.generation,
            "plan": msgspec.to_builtins(plan),
            "reason": reason,
        },
    )
    changed = tx.execute(
        records.SET_PLAN,
        {
            **_which(tx, name),
            "from_generation": before.plan.generation,
            "to_generation": plan.generation,
            "to_plan": _text(plan),
            "to_changed": event.seq,
            "to_at": tx.at,
        },
    )
    if changed.rowcount != 1:
        raise errors.ConflictError(
            f"the plan of deployment {name!r} changed meanwhile", hint="read it again"
        )
    after = msgspec.structs.replace(before, plan=plan, changed=event.seq, changed_at=tx.at)
    _note_plan(tx, actor, after, reason=reason)
    fresh = set(plans.versions(plan)) - set(plans.versions(before.plan))
    _connect(tx, after, tuple(sorted(fresh)))
    champion = plans.champion(plan)
    registry.set_alias(tx, actor, before.model, CHAMPION, number=champion, reason=reason)
    return after


def rollback_plan(
    tx: Transaction,
    actor: access.Actor,
    name: str,
    *,
    reason: str,
    generation: int | None = None,
) -> Deployment:
    """Put an earlier plan in force again, as a new generation.

    Parameters
    ----------
    tx, actor
        Needs ``deployment.change``.
    name
        A deployment.
    reason
        Why, for people.
    generation
        Which plan; the one before the present one when None.

    Returns
    -------
    Deployment
        With the arms, shadows and salt of that plan.

    Raises
    ------
    NotFoundError
        When the deployment or that generation does not exist.
    """
    now = get_deployment(tx, actor, name)
    wanted = now.plan.generation - 1 if generation is None else generation
    row = tx.execute(records.PLAN, {**_which(tx, name), "in_generation": wanted})
    found = row.mappings().first()
    if found is None or wanted == now.plan.generation:
        raise errors.NotFoundError(
            f"deployment {name!r} has no plan {wanted} to go back to",
            generation=now.plan.generation,
        )
    earlier = PlanChange(**_whole(found)).plan
    plan = msgspec.structs.replace(earlier, generation=now.plan.generation + 1)
    return set_plan(tx, actor, name, plan, reason=reason)


def set_policy(tx: Transaction, actor: access.Actor, name: str, policy: str) -> Deployment:
    """Let a deployment live under another policy from now on; its plan stays.

    Parameters
    ----------
    tx, actor, name
        Needs ``deployment.change``.
    policy
        Text of a homeostat.toml of the same model.

    Raises
    ------
    InvalidInputError
        When the policy is not right, or of another model.
    """
    access.require(actor, "deployment.change")
    before = get_deployment(tx, actor, name)
    told = policies.parse(policy)
    plans.need_watchable(before.kind, told)
    if told.model.name != before.model:
        raise errors.InvalidInputError(
            f"deployment {name!r} serves model {before.model!r}; "
            f"the policy is of {told.model.name!r}"
        )
    digest = policies.digest(told)
    facts = {"from": before.policy_digest, "to": digest}
    event = events.record(tx, actor, "policy.changed", subject=before.reference, facts=facts)
    values = {
        "to_policy": policy,
        "to_digest": digest,
        "to_key": told.model.key or "",
        "to_changed": event.seq,
        "to_at": tx.at,
    }
    tx.execute(records.SET_POLICY, {**_which(tx, name), **values})
    return get_deployment(tx, actor, name)


def get_deployment(tx: Transaction, actor: access.Actor, name: str) -> Deployment:
    """Return a deployment; NotFoundError when there is none of that name."""
    access.require(actor, "deployment.read")
    row = tx.execute(records.FIND, _which(tx, name)).mappings().first()
    if row is None:
        raise errors.NotFoundError(
            f"no deployment {name!r}", hint="see homeostat status", name=name
        )
    return Deployment(**_whole(row))


def list_deployments(
    tx: Transaction, actor: access.Actor, *, after: str = "", limit: int = 100
) -> list[Deployment]:
    """Return deployments by name, `limit` of them after the name `after`."""
    access.require(actor, "deployment.read")
    which = {"in_project": tx.project, "after": after, "n": limit}
    return [Deployment(**_whole(row)) for row in tx.execute(records.LIST, which).mappings()]


def plan_history(
    tx: Transaction,
    actor: access.Actor,
    name: str,
    *,
    before: int | None = None,
    limit: int = 100,
) -> list[PlanChange]:
    """Return a deployment's plans, newest first, those before generation `before`."""
    get_deployment(tx, actor, name)
    which = {**_which(tx, name), "before": before or _LATEST, "n": limit}
    return [PlanChange(**_whole(row)) for row in tx.execute(records.PLANS, which).mappings()]


def get_policy(deployment: Deployment) -> policies.Policy:
    """Return the policy that a deployment lives under, parsed."""
    return policies.parse(deployment.policy, where=f"policy of {deployment.name}")


def get_document(tx: Transaction, actor: access.Actor, name: str) -> PlanDocument:
    """Return what a prediction server must know of a deployment; NotFoundError without one."""
    found = get_deployment(tx, actor, name)
    plans.need_served(found)
    return telling.document(tx, actor, found)


def changed_documents(
    tx: Transaction, actor: access.Actor, *, after: int = 0, limit: int = 100
) -> list[PlanDocument]:
    """Return the documents of deployments that changed later than event `after`, in order."""
    access.require(actor, "deployment.read")
    which = {"in_project": tx.project, "after": after, "n": limit}
    rows = tx.execute(records.CHANGED, which).mappings().all()
    return [telling.document(tx, actor, Deployment(**_whole(row))) for row in rows]


def _note_plan(
    tx: Transaction, actor: access.Actor, deployment: Deployment, *, reason: str
) -> None:
    row = {
        "project": tx.project,
        "deployment": deployment.name,
        "generation": deployment.plan.generation,
        "plan": _text(deployment.plan),
        "reason": reason,
        "set_at": tx.at,
        "set_by": actor.name,
    }
    tx.execute(records.INSERT_PLAN, row)


def _connect(tx: Transaction, deployment: Deployment, versions: tuple[int, ...]) -> None:
    for number in versions:
        source = f"model:{deployment.model}@{number}"
        lineage.connect(tx, source=source, target=deployment.reference, kind="serves")


def _which(tx: Transaction, name: str) -> dict[str, Any]:
    return {"in_project": tx.project, "in_name": name}


def _text(plan: Plan) -> str:
    return msgspec.json.encode(plan).decode()


def _whole(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {**row, "plan": msgspec.json.decode(row["plan"], type=Plan)}

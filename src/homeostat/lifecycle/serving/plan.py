"""What a plan may be, and what follows from it; called by `actions` and the engine."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.policy import Policy
from homeostat.lifecycle.serving import entities, rules

STABLE = "stable"
CANARY = "canary"
SHADOW = "shadow"
_NEAR = 1e-6
_DIGEST = re.compile(r"[0-9a-f]{64}")


def single(version: int, *, generation: int = 1, salt: str = "") -> entities.Plan:
    """Return the plan in which one version answers everyone.

    Parameters
    ----------
    version
        A version of the deployment's model.
    generation
        The plan's generation, 1 or more.
    salt
        Decides which keys a later canary takes.

    Returns
    -------
    Plan
        One stable arm, one member.
    """
    arm = entities.Arm(STABLE, 1.0, (entities.Member(version, 1.0),))
    return entities.Plan(generation=generation, arms=(arm,), salt=salt)


def need_served(deployment: entities.Deployment) -> None:
    """Refuse to change or tell the plan of a deployment that another server answers.

    Raises
    ------
    ConflictError
        When it is watched.
    """
    if deployment.kind == "watched":
        raise errors.ConflictError(
            f"deployment {deployment.name!r} is watched: its model is served elsewhere, so it "
            f"has no plan to change or to serve",
            hint="deploy a version of your own with homeostat deploy",
            name=deployment.name,
        )


def need_watchable(kind: entities.Kind, policy: Policy) -> None:
    """Refuse a policy that asks of a watched deployment what only a served one can do.

    Raises
    ------
    InvalidInputError
        When it wants retraining.
    """
    if kind == "served":
        return
    if policy.retraining.on:
        raise errors.InvalidInputError(
            "a model served elsewhere is watched and never retrained; the policy says "
            f"retraining.on = {list(policy.retraining.on)}",
            hint='write "on = []" under [retraining]',
        )


def check(plan: entities.Plan) -> entities.Plan:
    """Refuse a plan that cannot be served.

    Parameters
    ----------
    plan
        Any plan.

    Returns
    -------
    Plan
        The same plan.

    Raises
    ------
    InvalidInputError
        When arms or members are missing, doubled or too many, or shares or weights do not add
        up to 1.
    """
    names = [arm.name for arm in plan.arms]
    if not names or names[0] != STABLE or len(set(names)) != len(names):
        raise _wrong(f"its arms must be distinct and the first be {STABLE!r}; seen {names}")
    if not all(0 <= arm.share <= 1 for arm in plan.arms):
        raise _wrong(
            f"every arm's share lies in 0 to 1; seen {[arm.share for arm in plan.arms]}"
        )
    _adds_up("the shares of its arms", [arm.share for arm in plan.arms])
    for arm in plan.arms:
        _check_members(arm)
    shadows = [one.version for one in plan.shadow]
    if len(set(shadows)) != len(shadows) or not all(0 < one.share <= 1 for one in plan.shadow):
        raise _wrong("its shadows must be distinct versions with shares above 0 and up to 1")
    if plan.generation < 1:
        raise _wrong(f"its generation must be 1 or more; seen {plan.generation}")
    rules.check(plan.rules, arms=names)
    if plan.override is not None and not all(map(_DIGEST.fullmatch, plan.override.tokens)):
        raise _wrong("a token of its override is named by its SHA-256, 64 hexadecimal digits")
    if plan.corrector is not None and not _DIGEST.fullmatch(plan.corrector.digest):
        raise _wrong("its corrector is named by the BLAKE3 of its file, 64 hexadecimal digits")
    return plan


def following(before: entities.Plan, arms: Iterable[entities.Arm]) -> entities.Plan:
    """Return the next plan, with other arms for those whom no rule sends elsewhere.

    Parameters
    ----------
    before
        The plan in force.
    arms
        The stable one first; their shares add up to 1.

    Returns
    -------
    Plan
        Of the next generation. Shadows, salt, override and corrector stay, as do arms that
        only rules reach; a rule to an arm that is gone goes too, and its rows are dealt as all
        others.
    """
    coming = tuple(arms)
    names = {arm.name for arm in coming}
    reached = {rule.arm for rule in before.rules}
    kept = [
        arm
        for arm in before.arms[1:]
        if arm.name in reached and arm.share == 0 and arm.name not in names
    ]
    names.update(arm.name for arm in kept)
    return msgspec.structs.replace(
        before,
        generation=before.generation + 1,
        arms=(*coming, *kept),
        rules=tuple(rule for rule in before.rules if rule.arm in names),
    )


def switched(before: entities.Plan, version: int, *, share: float = 1.0) -> entities.Plan:
    """Return the next plan, in which a version answers everyone, or a canary's share of them.

    Parameters
    ----------
    before
        The plan in force; going back to it is one more change, and needs no loading.
    version
        Of the deployment's model.
    share
        Of the keys, above 0; below 1 the stable arm stays and answers the others.

    Returns
    -------
    Plan
        As `following` says of all else.

    Raises
    ------
    InvalidInputError
        When the share is none.
    """
    if not 0 < share <= 1:
        raise _wrong(f"a canary answers a share above 0 and up to 1; seen {share}")
    coming = (entities.Member(version, 1.0),)
    if share == 1:
        return following(before, [entities.Arm(STABLE, 1.0, coming)])
    stable = msgspec.structs.replace(before.arms[0], share=1 - share)
    return following(before, [stable, entities.Arm(CANARY, share, coming)])


def ruled(before: entities.Plan, texts: Iterable[str]) -> entities.Plan:
    """Return the next plan, with these rules instead of its own.

    Parameters
    ----------
    before
        The plan in force.
    texts
        As `rules.parse` reads them. An arm is meant by its name or its label; a version that
        has none, as ``4`` or ``v4``, gets one that only rules reach.

    Returns
    -------
    Plan
        Without the arms that only its former rules reached.

    Raises
    ------
    InvalidInputError
        When a rule cannot be read.
    """
    told = [rules.parse(text) for text in texts]
    arms = {arm.name: arm for arm in before.arms}
    named = {**{label(arm): arm.name for arm in reversed(before.arms)}, **{n: n for n in arms}}
    found = []
    for rule in told:
        name = named.get(rule.arm)
        number = rule.arm.removeprefix("v")
        if name is None and number.isdecimal():
            name = f"v{number}"
            members = (entities.Member(int(number), 1.0),)
            arms.setdefault(name, entities.Arm(name, 0.0, members))
        found.append(msgspec.structs.replace(rule, arm=name or rule.arm))
    reached = {rule.arm for rule in found}
    kept = [one for one in arms.values() if one.share > 0 or one.name in {STABLE, *reached}]
    return msgspec.structs.replace(
        before, generation=before.generation + 1, arms=tuple(kept), rules=tuple(found)
    )


def label(arm: entities.Arm) -> str:
    """Name the composite of an arm.

    Parameters
    ----------
    arm
        An arm.

    Returns
    -------
    str
        Its versions in ascending order.

    Examples
    --------
    >>> label(entities.Arm("stable", 1.0, (entities.Member(4, 0.3), entities.Member(3, 0.7))))
    '3+4'
    """
    return "+".join(
        str(one.version) for one in sorted(arm.members, key=lambda one: one.version)
    )


def answering(plan: entities.Plan) -> tuple[int, ...]:
    """Return the versions whose scores reach a caller, ascending.

    Parameters
    ----------
    plan
        A plan.

    Returns
    -------
    tuple of int
        Members of arms with a share above 0 or a rule, and of all arms where callers may name
        the one that answers.
    """
    reached = {rule.arm for rule in plan.rules}
    arms = [
        arm
        for arm in plan.arms
        if arm.share > 0 or arm.name in reached or plan.override is not None
    ]
    return tuple(sorted({member.version for arm in arms for member in arm.members}))


def versions(plan: entities.Plan) -> tuple[int, ...]:
    """Return every version a plan names, shadows included, ascending.

    Parameters
    ----------
    plan
        A plan.

    Returns
    -------
    tuple of int
        What a prediction server must load.
    """
    named = {member.version for arm in plan.arms for member in arm.members}
    return tuple(sorted(named | {one.version for one in plan.shadow}))


def champion(plan: entities.Plan) -> int:
    """Return the version that decides most.

    Parameters
    ----------
    plan
        A plan.

    Returns
    -------
    int
        The member with the largest weight over all arms, each counted by its share; of equal
        ones the lowest.
    """
    total: dict[int, float] = {}
    for arm in plan.arms:
        for member in arm.members:
            total[member.version] = total.get(member.version, 0.0) + arm.share * member.weight
    return min(total, key=lambda version: (-total[version], version))


def _check_members(arm: entities.Arm) -> None:
    weights = [member.weight for member in arm.members]
    if not 1 <= len(weights) <= entities.MEMBERS_AT_MOST:
        raise _wrong(
            f"arm {arm.name!r} has {len(weights)} members; "
            f"1 to {entities.MEMBERS_AT_MOST} may answer together"
        )
    if len({member.version for member in arm.members}) != len(weights):
        raise _wrong(f"arm {arm.name!r} names a version twice")
    if not all(math.isfinite(one) and one > 0 for one in weights):
        raise _wrong(f"arm {arm.name!r} has weights {weights}; each must be above 0")
    _adds_up(f"the weights of arm {arm.name!r}", weights)


def _adds_up(what: str, values: list[float]) -> None:
    if not abs(math.fsum(values) - 1) <= _NEAR:
        raise _wrong(f"{what} must add up to 1; seen {values}")


def _wrong(why: str) -> errors.InvalidInputError:
    return errors.InvalidInputError(f"this plan cannot be served: {why}")

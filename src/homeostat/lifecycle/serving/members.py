"""Which versions a plan may have as members; called by `actions`."""

from __future__ import annotations

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import approvals
from homeostat.lifecycle.serving import plan as plans
from homeostat.lifecycle.serving import rules
from homeostat.lifecycle.serving.entities import Deployment, Plan


def chosen(
    tx: Transaction,
    actor: access.Actor,
    model: str,
    *,
    number: int | None,
    alias: str | None,
) -> int:
    """Return the number that is meant; the newest when neither is given.

    Raises
    ------
    NotFoundError
        When the model has no such version, or none.
    """
    if number is not None:
        return number
    if alias is not None:
        return registry.version_at(tx, actor, model, alias).number
    newest = registry.list_versions(tx, actor, model, limit=1)
    if not newest:
        raise errors.NotFoundError(
            f"model {model!r} has no version yet", hint="train one with homeostat run"
        )
    return newest[0].number


def check(tx: Transaction, actor: access.Actor, before: Deployment, plan: Plan) -> None:
    """Refuse versions that do not exist, and those that are new to answering and may not.

    Raises
    ------
    NotFoundError, GateClosedError, InvalidInputError
        Also where a rule names what is no column.
    """
    policy = policies.parse(before.policy, where=f"policy of {before.name}")
    if plan.rules:
        champion = registry.get_version(tx, actor, before.model, plans.champion(plan))
        kinds = {column.name: column.kind for column in champion.schema.columns}
        context = policy.data.protected
        rules.check_columns(plan.rules, kinds=kinds, context=context, key=before.key)
    answering = set(plans.answering(plan)) - set(plans.answering(before.plan))
    for number in plans.versions(plan):
        version = registry.get_version(tx, actor, before.model, number)
        if number in answering:
            approvals.may_serve(tx, version, policy)

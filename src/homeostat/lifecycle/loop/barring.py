"""Which members may not answer any more: the policy is stricter, trust or a version is gone.

Called by `carrying.tell` before whatever may weigh the pool anew, so that one member that may
not answer holds up no decision on the others. Who answers already goes on: a plan stays until
it is changed.
"""

from __future__ import annotations

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import actions, entities, news
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import approvals
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import plan as plans

_WEIGHING = (
    entities.BlockLabelled,
    entities.GateJudged,
    entities.Approved,
    entities.RolloutObserved,
)


def look(
    tx: Transaction, actor: access.Actor, deployment: str, event: entities.Event
) -> news.MembersBarred | None:
    """Return who may not answer though the pool would let them; None where there is nobody.

    Parameters
    ----------
    tx, actor
        A part of the system.
    deployment
        Its policy in force counts.
    event
        That is about to be decided on; a version that it approves is asked about too.
    """
    if not isinstance(event, _WEIGHING):
        return None
    found = serving.get_deployment(tx, actor, deployment)
    answering = {str(number) for number in plans.answering(found.plan)}
    asked = {
        member.version: member.standing == "admitted"
        for member in actions.state(tx, deployment).members
        if member.standing in {"admitted", "approval"} and member.version not in answering
    }
    if isinstance(event, entities.Approved):
        asked[event.version] = True
    if not asked or found.kind == "watched":
        return None
    policy, barred, gone = serving.get_policy(found), {}, []
    for label, would_answer in asked.items():
        try:
            version = registry.get_version(tx, actor, found.model, int(label))
            if would_answer:
                approvals.may_serve(tx, version, policy)
        except errors.NotFoundError:
            gone.append(label)
        except (errors.GateClosedError, errors.CorruptError) as error:
            barred[label] = error.message
    if not barred and not gone:
        return None
    return news.MembersBarred(barred=barred, gone=tuple(gone))

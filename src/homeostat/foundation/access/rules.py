"""Which role an action needs; asked first in every action and by the route tables."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from homeostat.foundation import errors
from homeostat.foundation.access import entities
from homeostat.foundation.access.entities import Role

RANK: Mapping[str, int] = MappingProxyType({role: rank for rank, role in enumerate(Role)})

# One line for each action; the least role that may do it.
ACTIONS: Mapping[str, Role] = MappingProxyType(
    {
        "access.read": Role.OWNER,
        "access.write": Role.OWNER,
        "alert.acknowledge": Role.OPERATOR,
        "alert.read": Role.VIEWER,
        "alert.silence": Role.OPERATOR,
        "alert.write": Role.OPERATOR,
        "audit.read": Role.REVIEWER,
        "audit.write": Role.OPERATOR,
        "correction.approve": Role.REVIEWER,
        "correction.propose": Role.CONTRIBUTOR,
        "correction.read": Role.VIEWER,
        "correction.withdraw": Role.REVIEWER,
        "data.read": Role.VIEWER,
        "data.write": Role.CONTRIBUTOR,
        "decision.read": Role.VIEWER,
        "decision.write": Role.OPERATOR,
        "deployment.change": Role.OPERATOR,
        "deployment.read": Role.VIEWER,
        "event.read": Role.VIEWER,
        "experiment.write": Role.CONTRIBUTOR,
        "job.read": Role.VIEWER,
        "job.write": Role.CONTRIBUTOR,
        "label.request": Role.CONTRIBUTOR,
        "label.write": Role.CONTRIBUTOR,
        "lineage.read": Role.VIEWER,
        "model.approve": Role.REVIEWER,
        "model.read": Role.VIEWER,
        "model.register": Role.CONTRIBUTOR,
        "model.trust": Role.REVIEWER,
        "model.write": Role.CONTRIBUTOR,
        "monitoring.read": Role.VIEWER,
        "monitoring.write": Role.OPERATOR,
        "prediction.read": Role.CONTRIBUTOR,
        "prediction.write": Role.OPERATOR,
        "report.read": Role.VIEWER,
        "report.write": Role.CONTRIBUTOR,
        "review.read": Role.CONTRIBUTOR,
        "review.write": Role.REVIEWER,
        "run.read": Role.VIEWER,
        "run.write": Role.CONTRIBUTOR,
        "server.read": Role.VIEWER,
    }
)


def least_role(action: str) -> Role:
    """Return the least role that may do an action.

    Parameters
    ----------
    action
        Such as ``"model.approve"``.

    Returns
    -------
    Role
        From the one table of rules.

    Raises
    ------
    LookupError
        When no rule names the action: a fault of the program, never of the user.

    Examples
    --------
    >>> least_role("model.approve").value
    'reviewer'
    """
    try:
        return ACTIONS[action]
    except KeyError:
        raise LookupError(f"no rule names the action {action!r}; add it to ACTIONS") from None


def may(actor: entities.Actor, action: str) -> bool:
    """Say whether an actor may do an action.

    Parameters
    ----------
    actor
        Who asks.
    action
        One of `ACTIONS`.

    Returns
    -------
    bool
        True when the actor's role is the least role needed, or above it.

    Raises
    ------
    LookupError
        When no rule names the action.
    """
    return RANK[actor.role] >= RANK[least_role(action)]


def require(actor: entities.Actor, action: str) -> None:
    """Refuse an actor who may not.

    Parameters
    ----------
    actor
        Who asks.
    action
        One of `ACTIONS`.

    Raises
    ------
    NotAllowedError
        When the actor's role is below the least one needed.
    LookupError
        When no rule names the action.
    """
    if may(actor, action):
        return
    needed = least_role(action)
    raise errors.NotAllowedError(
        f"{actor.name} is {str(actor.role)!r} here; {action} needs {needed.value!r}",
        hint="ask an owner of the project for the role",
        actor=actor.name,
        role=str(actor.role),
        needed=needed.value,
        action=action,
    )

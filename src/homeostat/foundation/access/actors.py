"""Actors that exist without sign-in: the local owner and the parts of the system."""

from __future__ import annotations

from homeostat.foundation.access.entities import Actor, Kind, Role


def system(part: str) -> Actor:
    """Return a part of the system as an actor.

    Parameters
    ----------
    part
        Such as ``"loop"``, ``"worker"`` or ``"serving"``.

    Returns
    -------
    Actor
        Named ``system:PART``; may do everything but count as a person.

    Examples
    --------
    >>> system("loop").name
    'system:loop'
    """
    return Actor(f"system:{part}", Role.OWNER, Kind.SYSTEM)


def local_owner(name: str) -> Actor:
    """Return the person at this machine, who owns everything until sign-in is configured.

    Parameters
    ----------
    name
        As `Settings.actor` says.

    Returns
    -------
    Actor
        With the role of owner.
    """
    return Actor(name, Role.OWNER, Kind.PERSON)

"""Who acts: the nouns of access."""

from __future__ import annotations

import enum

import msgspec


class Role(enum.StrEnum):
    """What an actor may do in a project; each may do all that the ones before it may."""

    VIEWER = "viewer"
    CONTRIBUTOR = "contributor"
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    OWNER = "owner"


class Kind(enum.StrEnum):
    """What an actor is."""

    PERSON = "person"
    TOKEN = "token"  # noqa: S105 - a kind of actor, not a secret
    SYSTEM = "system"


class Actor(msgspec.Struct, frozen=True):
    """Who does it; the second argument of every action.

    Parameters
    ----------
    name
        Written into events; people by their name, parts of the system as ``system:PART``.
    role
        What they may do in the project at hand.
    kind
        A person, a token of a person, or a part of the system.
    """

    name: str
    role: Role = Role.VIEWER
    kind: Kind = Kind.PERSON

"""Actors, their roles, and `require`: asked first by every action."""

from homeostat.foundation.access.actors import local_owner, system
from homeostat.foundation.access.entities import Actor, Kind, Role
from homeostat.foundation.access.rules import ACTIONS, least_role, may, require

LOCAL_OWNER = local_owner

__all__ = [
    "ACTIONS",
    "LOCAL_OWNER",
    "Actor",
    "Kind",
    "Role",
    "least_role",
    "local_owner",
    "may",
    "require",
    "system",
]

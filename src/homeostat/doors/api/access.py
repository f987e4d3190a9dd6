"""Access keys: made, listed and revoked by owners."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation import keyring
from homeostat.foundation.access import Kind, Role

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999."""


class CreateKey(msgspec.Struct, frozen=True, kw_only=True):
    """Whose key is to be made."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    role: Role
    kind: Kind = Kind.PERSON
    expires_at: Annotated[int, msgspec.Meta(ge=0, le=LATEST_MS)] | None = None


async def create(call: routing.Call) -> keyring.NewKey:
    """Make a key; its secret is in this answer and nowhere else."""
    asked: CreateKey = call.body
    return await call.write(
        lambda tx: keyring.create(
            tx,
            call.actor,
            asked.name,
            role=asked.role,
            kind=asked.kind,
            expires_at=asked.expires_at,
        )
    )


async def newest(call: routing.Call) -> list[keyring.AccessKey]:
    """Return all keys of the project, revoked ones too."""
    return await call.read(lambda tx: keyring.newest(tx, call.actor))


async def get(call: routing.Call) -> keyring.AccessKey:
    """Return one key."""
    return await call.read(lambda tx: keyring.get(tx, call.actor, call.path_params["id"]))


async def revoke(call: routing.Call) -> keyring.AccessKey:
    """Take a key back."""
    return await call.write(lambda tx: keyring.revoke(tx, call.actor, call.path_params["id"]))


ROUTES = (
    routing.Route(
        "POST",
        "/api/access/keys",
        "access.write",
        create,
        body=CreateKey,
        answer=keyring.NewKey,
        summary="Make an access key; its secret is shown once",
        status=201,
    ),
    routing.Route(
        "GET",
        "/api/access/keys",
        "access.read",
        newest,
        answer=list[keyring.AccessKey],
        summary="All access keys of the project, without secrets",
    ),
    routing.Route(
        "GET",
        "/api/access/keys/{id}",
        "access.read",
        get,
        answer=keyring.AccessKey,
        summary="One access key, without its secret",
    ),
    routing.Route(
        "POST",
        "/api/access/keys/{id}/revoke",
        "access.write",
        revoke,
        answer=keyring.AccessKey,
        summary="Take an access key back",
    ),
)

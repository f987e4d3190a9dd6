"""What an owner may do with access keys: make, list and revoke them."""

from __future__ import annotations

import re
import secrets

from homeostat.foundation import access, errors, events, ids
from homeostat.foundation.access import Actor, Kind, Role
from homeostat.foundation.database import Transaction
from homeostat.foundation.keyring import entities, lookup, records

# No colon: names such as system:loop are the system's own, and Basic ends a name with it.
NAME = re.compile(r"[^\W_][\w.@+ -]{0,99}")


def create(
    tx: Transaction,
    actor: Actor,
    name: str,
    *,
    role: Role,
    kind: Kind = Kind.PERSON,
    expires_at: int | None = None,
) -> entities.NewKey:
    """Make a key for a person or a program.

    Parameters
    ----------
    tx
        Opened for writing.
    actor
        Who makes it; an owner.
    name
        Whose it is; one person's keys carry one name.
    role
        What it may do.
    kind
        ``person`` or ``token``; ``system`` only for parts of the system.
    expires_at
        Milliseconds UTC in the future; None for never.

    Returns
    -------
    NewKey
        With the secret, which is kept nowhere.

    Raises
    ------
    NotAllowedError
        When the actor is no owner.
    InvalidInputError
        When the name cannot be one, the end is past, or a person asks for a system's key.
    """
    access.require(actor, "access.write")
    if kind is Kind.SYSTEM:
        raise errors.InvalidInputError("a key of kind 'system' is made by the system alone")
    if NAME.fullmatch(name) is None:
        raise errors.InvalidInputError(
            f"{name[:120]!r} cannot name a person or program",
            hint="use letters, digits, spaces and . @ + - _, at most 100, a letter first",
        )
    if expires_at is not None and expires_at <= tx.at:
        raise errors.InvalidInputError(
            f"the key would have expired at {expires_at}; now is {tx.at}",
            hint="name an instant in the future, in milliseconds UTC",
        )
    return _make(tx, actor, name, role=role, kind=kind, expires_at=expires_at)


def ensure(tx: Transaction, actor: Actor, *, secret: str) -> entities.NewKey:
    """Return the key by which a part of the system calls another process, made where needed.

    Parameters
    ----------
    tx
        Opened for writing.
    actor
        The part, such as ``system:serving``.
    secret
        What it had the last time; empty when it never had one.

    Returns
    -------
    NewKey
        The one of `secret` where that still opens, else a new one.

    Raises
    ------
    NotAllowedError
        When the actor is no part of the system.
    """
    if actor.kind is not Kind.SYSTEM:
        raise errors.NotAllowedError(f"{actor.name} is no part of the system")
    known = lookup.match(records.valid(tx), secret)
    if known is not None and known.project == tx.project and known.name == actor.name:
        return entities.NewKey(key=known, secret=secret)
    return _make(tx, actor, actor.name, role=Role.OPERATOR, kind=Kind.SYSTEM, expires_at=None)


def newest(tx: Transaction, actor: Actor) -> list[entities.AccessKey]:
    """Return all keys of the project, the newest first, revoked ones too.

    Parameters
    ----------
    tx
        Any transaction.
    actor
        Who asks; an owner.

    Returns
    -------
    list of AccessKey
        Without secrets.

    Raises
    ------
    NotAllowedError
        When the actor is no owner.
    """
    access.require(actor, "access.read")
    return records.newest_first(tx)


def get(tx: Transaction, actor: Actor, key_id: str) -> entities.AccessKey:
    """Return one key.

    Parameters
    ----------
    tx
        Any transaction.
    actor
        Who asks; an owner.
    key_id
        Of the key.

    Returns
    -------
    AccessKey
        Without its secret.

    Raises
    ------
    NotAllowedError
        When the actor is no owner.
    NotFoundError
        When the project has none of this id.
    """
    access.require(actor, "access.read")
    found = records.find(tx, key_id)
    if found is None:
        raise errors.NotFoundError(
            f"there is no key {key_id[:80]!r}", hint="see homeostat access list"
        )
    return found


def revoke(tx: Transaction, actor: Actor, key_id: str) -> entities.AccessKey:
    """Take a key back; within a second it opens nothing, at any server.

    Parameters
    ----------
    tx
        Opened for writing.
    actor
        Who takes it back; an owner.
    key_id
        Of the key; one that was taken back before stays as it is.

    Returns
    -------
    AccessKey
        As it is now.

    Raises
    ------
    NotAllowedError
        When the actor is no owner.
    NotFoundError
        When the project has none of this id.
    """
    access.require(actor, "access.write")
    found = get(tx, actor, key_id)
    if found.revoked_at is not None:
        return found
    records.revoke(tx, key_id)
    facts = {"name": found.name, "role": found.role.value}
    events.record(tx, actor, "key.revoked", subject=f"key:{key_id}", facts=facts)
    return get(tx, actor, key_id)


def _make(
    tx: Transaction,
    actor: Actor,
    name: str,
    *,
    role: Role,
    kind: Kind,
    expires_at: int | None,
) -> entities.NewKey:
    key = entities.AccessKey(
        id=ids.new_id(),
        name=name,
        role=role,
        kind=kind,
        created_at=tx.at,
        created_by=actor.name,
        expires_at=expires_at,
        project=tx.project,
    )
    secret = lookup.text(key.id, secrets.token_urlsafe(lookup.SECRET_BYTES))
    records.insert(tx, key, digest=lookup.digest(secret))
    facts = {
        "name": name,
        "role": role.value,
        "kind": kind.value,
        "expires_at": expires_at,
    }
    events.record(tx, actor, "key.created", subject=f"key:{key.id}", facts=facts)
    return entities.NewKey(key=key, secret=secret)

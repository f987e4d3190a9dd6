"""Adds to the log, in the transaction of the change itself; every writing action calls it."""

from __future__ import annotations

from typing import Any

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.foundation.events import chain, records
from homeostat.foundation.events.entities import Checkpoint, Event

CHECKPOINT_EVERY = 100


def record(
    tx: Transaction, actor: access.Actor, kind: str, *, subject: str, facts: dict[str, Any]
) -> Event:
    """Add one event to the chain of the transaction's project.

    Parameters
    ----------
    tx
        Of the change the event tells of, opened for writing.
    actor
        Who did it.
    kind
        Noun, dot, past participle, such as ``"alias.moved"``.
    subject
        Reference of what it happened to.
    facts
        Plain JSON with finite numbers; small, for high-rate facts belong in their own files.

    Returns
    -------
    Event
        With its place in the chain.

    Raises
    ------
    InvalidInputError
        When `facts` is not plain JSON, or not finite.
    """
    text = chain.canonical(facts)
    in_project = {"in_project": tx.project}
    head = tx.run(records.HEAD_NOW, in_project).fetchone()
    seq, previous = (head[0] + 1, head[1]) if head else (1, chain.FIRST)
    fields: dict[str, Any] = {
        "project": tx.project,
        "seq": seq,
        "at": tx.at,
        "actor": actor.name,
        "kind": kind,
        "subject": subject,
        "facts": facts,
        "previous": previous,
    }
    digest = chain.digest(fields)
    tx.run(records.INSERT_EVENT, {**fields, "facts": text, "digest": digest})
    if head:
        move = {**in_project, "to_seq": seq, "to_digest": digest}
        tx.run(records.MOVE_HEAD, move)
    else:
        first = {"project": tx.project, "seq": seq, "digest": digest}
        tx.execute(records.INSERT_HEAD, first)
    if tx.signer is not None and seq % CHECKPOINT_EVERY == 0:
        checkpoint(tx)
    return Event(**fields, digest=digest)


def checkpoint(tx: Transaction) -> Checkpoint | None:
    """Sign the chain as it is now.

    Parameters
    ----------
    tx
        Opened for writing, with a signer.

    Returns
    -------
    Checkpoint or None
        Of the newest event, the stored one where it was signed before; None while there are
        no events.

    Raises
    ------
    UnavailableError
        When the transaction has no signer.
    """
    if tx.signer is None:
        raise errors.UnavailableError("nothing can be signed: no signing key was loaded")
    head = tx.execute(records.HEAD, {"in_project": tx.project}).first()
    if head is None:
        return None
    which = {"in_project": tx.project, "in_seq": head.seq}
    known = tx.execute(records.CHECKPOINT_AT, which).mappings().first()
    if known is not None:
        return Checkpoint(**known)
    data = chain.statement(project=tx.project, seq=head.seq, at=tx.at, digest=head.digest)
    made = {
        "project": tx.project,
        "seq": head.seq,
        "at": tx.at,
        "digest": head.digest,
        "public_key": tx.signer.public_key.hex(),
        "signature": tx.signer.sign(data).hex(),
    }
    tx.execute(records.INSERT_CHECKPOINT, made)
    return Checkpoint(**made)

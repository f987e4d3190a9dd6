"""Adds to the log, in the transaction of the change itself; every writing action calls it."""

from __future__ import annotations

from typing import Any, Final

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.foundation.events import chain, records
from homeostat.foundation.events.entities import Checkpoint, Event

CHECKPOINT_EVERY = 100
_HEAD: Final = "head of the events"
_HEADS: Final = records.heads.name


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
    seq, previous = _head(tx)
    seq += 1
    made = (tx.project, seq, tx.at, actor.name, kind, subject, text, previous)
    digest = chain.digest_of(made)
    tx.insert_later(records.INSERT_EVENT, [(*made, digest)])
    tx.memo[_HEAD, tx.project] = (seq, digest)
    tx.put_off(_write_head)
    if tx.signer is not None and seq % CHECKPOINT_EVERY == 0:
        row = _signed(tx, seq, digest)
        tx.insert_later(records.INSERT_CHECKPOINT, [tuple(row.values())])
    return Event(
        seq=seq,
        at=tx.at,
        actor=actor.name,
        kind=kind,
        subject=subject,
        facts=facts,
        previous=previous,
        digest=digest,
        project=tx.project,
    )


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
    tx.settle()
    head = tx.execute(records.HEAD, {"in_project": tx.project}).first()
    if head is None:
        return None
    which = {"in_project": tx.project, "in_seq": head.seq}
    known = tx.execute(records.CHECKPOINT_AT, which).mappings().first()
    if known is not None:
        return Checkpoint(**known)
    made = _signed(tx, head.seq, head.digest)
    tx.run(records.INSERT_CHECKPOINT, made)
    return Checkpoint(**made)


def _signed(tx: Transaction, seq: int, digest: str) -> dict[str, Any]:
    """Return a new checkpoint as its row."""
    assert tx.signer is not None
    data = chain.statement(project=tx.project, seq=seq, at=tx.at, digest=digest)
    return {
        "project": tx.project,
        "seq": seq,
        "at": tx.at,
        "digest": digest,
        "public_key": tx.signer.public_key.hex(),
        "signature": tx.signer.sign(data).hex(),
    }


def _head(tx: Transaction) -> tuple[int, str]:
    """Return place and digest of the newest event; read once for all of a commit."""
    known: tuple[int, str] | None = tx.memo.get((_HEAD, tx.project))
    if known is None:
        known = tx.known.get(_HEADS, tx.project)
    if known is not None:
        return known
    row = tx.run(records.HEAD_NOW, {"in_project": tx.project}).fetchone()
    return (row[0], row[1]) if row else (0, chain.FIRST)


def _write_head(tx: Transaction) -> None:
    """Write the newest event's place once for all of a commit."""
    seq, digest = tx.memo[_HEAD, tx.project]
    tx.run(records.PUT_HEAD, {"project": tx.project, "seq": seq, "digest": digest})
    tx.known.put(_HEADS, tx.project, (seq, digest))

"""Checks that the log is what was written; called by `homeostat audit verify`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from homeostat.foundation.database import Transaction
from homeostat.foundation.events import chain, records, signing
from homeostat.foundation.events.entities import Verification

BATCH = 1000


class _BadError(Exception):
    """Ends the check at the first event that does not fit."""

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(reason)
        self.seq = seq
        self.reason = reason


def verify(tx: Transaction) -> Verification:
    """Check every event, every checkpoint and the head of the chain of a project.

    A changed byte in any column of any event breaks its digest or the link of the next one. A
    cut-off end is seen by the head and, where someone rewrote that too, by every checkpoint
    signed after the cut.

    Parameters
    ----------
    tx
        Any transaction; its signer's key is the one checkpoints must be signed with, any key
        will do where it has none.

    Returns
    -------
    Verification
        With the first event that does not fit.
    """
    n_events, n_checkpoints = 0, 0
    digests: dict[int, str] = {}
    previous = chain.FIRST
    try:
        signed = {row.seq: row for row in _rows(tx, records.CHECKPOINTS, {})}
        for row in _events(tx):
            previous = _checked(row, n_events + 1, previous)
            n_events += 1
            if row.seq in signed:
                digests[row.seq] = previous
        _check_head(tx, n_events, previous)
        for seq, row in sorted(signed.items()):
            _check_checkpoint(tx, row, digests.get(seq), n_events)
            n_checkpoints += 1
    except _BadError as bad:
        return Verification(
            ok=False,
            n_events=n_events,
            n_checkpoints=n_checkpoints,
            first_bad_seq=bad.seq,
            reason=bad.reason,
        )
    return Verification(ok=True, n_events=n_events, n_checkpoints=n_checkpoints)


def _events(tx: Transaction) -> Iterator[sa.Row[Any]]:
    after, size = 0, BATCH
    while True:
        try:
            rows = _rows(tx, records.OLDEST_AFTER, {"after": after, "n": size})
        except _BadError:
            # Bytes that are no text cannot even be read: go one by one to say which event.
            if size == 1:
                raise _BadError(after + 1, f"event {after + 1} cannot be read") from None
            size = 1
            continue
        yield from rows
        if len(rows) < size:
            return
        after = rows[-1].seq


def _rows(
    tx: Transaction, question: sa.Select[Any], values: dict[str, Any]
) -> list[sa.Row[Any]]:
    try:
        return list(tx.execute(question, {"in_project": tx.project, **values}))
    except (sa.exc.DBAPIError, UnicodeDecodeError) as error:
        raise _BadError(0, "the tables of the log cannot be read") from error


def _checked(row: sa.Row[Any], seq: int, previous: str) -> str:
    """Return the digest of an event that is as it was written."""
    if row.seq != seq:
        raise _BadError(seq, f"event {seq} is missing")
    if row.previous != previous:
        raise _BadError(row.seq, f"event {row.seq} does not follow the event before it")
    try:
        facts = json.loads(row.facts)
        fields = {name: getattr(row, name) for name in chain.FIELDS}
        is_same = chain.canonical(facts) == row.facts
        digest = chain.digest({**fields, "facts": facts}) if is_same else ""
    except Exception as error:
        # Whatever the bytes have become, this is the event that does not fit.
        raise _BadError(row.seq, f"event {row.seq} cannot be decoded") from error
    if digest != row.digest:
        raise _BadError(row.seq, f"event {row.seq} does not match its digest")
    return digest


def _check_head(tx: Transaction, n_events: int, digest: str) -> None:
    tx.settle()
    heads = _rows(tx, records.HEAD, {})
    if not heads and n_events == 0:
        return
    if not heads:
        raise _BadError(n_events, "the head of the log is missing")
    if heads[0].seq != n_events:
        seq = min(heads[0].seq, n_events) + 1
        raise _BadError(seq, f"the log ends at event {n_events}, its head says {heads[0].seq}")
    if heads[0].digest != digest:
        raise _BadError(n_events, f"the head of the log does not match event {n_events}")


def _check_checkpoint(
    tx: Transaction, row: sa.Row[Any], digest: str | None, n_events: int
) -> None:
    if digest is None:
        raise _BadError(
            n_events + 1, f"event {row.seq} was signed, but the log ends at event {n_events}"
        )
    if row.digest != digest:
        raise _BadError(row.seq, f"event {row.seq} is not the one that was signed")
    try:
        public_key, signature = bytes.fromhex(row.public_key), bytes.fromhex(row.signature)
    except ValueError:
        raise _BadError(row.seq, f"the checkpoint of event {row.seq} is damaged") from None
    if tx.signer is not None and public_key != tx.signer.public_key:
        raise _BadError(row.seq, f"the checkpoint of event {row.seq} is signed by another key")
    data = chain.statement(project=tx.project, seq=row.seq, at=row.at, digest=row.digest)
    if not signing.is_signed(data, signature=signature, public_key=public_key):
        raise _BadError(row.seq, f"the signature of event {row.seq} does not fit")

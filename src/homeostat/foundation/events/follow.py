"""Hands a reader what it has not seen, in order, at least once; for worker and feeds."""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.foundation.database import Transaction
from homeostat.foundation.events import records
from homeostat.foundation.events.entities import Event
from homeostat.foundation.events.read import read


def follow(
    tx: Transaction, reader: str, *, limit: int = 100, kinds: Sequence[str] | None = None
) -> list[Event]:
    """Return the next events a reader has not seen.

    The same events come again until `advance` is called, so do the work and advance in one
    transaction where the work must happen once.

    Parameters
    ----------
    tx
        Any transaction.
    reader
        Name under which the place is kept.
    limit
        At most so many.
    kinds
        Only these kinds; all when None.

    Returns
    -------
    list of Event
        Oldest first; empty when there is nothing new.
    """
    return read(tx, after=position(tx, reader), kinds=kinds, limit=limit)


def position(tx: Transaction, reader: str) -> int:
    """Return how far a reader has come.

    Parameters
    ----------
    tx
        Any transaction.
    reader
        Its name.

    Returns
    -------
    int
        `seq` of the last event it advanced to; 0 for a new reader.
    """
    found = tx.execute(records.CURSOR, {"in_project": tx.project, "in_reader": reader})
    return int(found.scalar() or 0)


def advance(tx: Transaction, reader: str, seq: int) -> None:
    """Note that a reader has seen everything up to `seq`; going back is ignored.

    Parameters
    ----------
    tx
        Opened for writing.
    reader
        Its name.
    seq
        Of the last event that was dealt with.
    """
    which = {"in_project": tx.project, "in_reader": reader}
    moved = tx.execute(records.MOVE_CURSOR, {**which, "to_seq": seq, "to_at": tx.at})
    if moved.rowcount or tx.execute(records.CURSOR, which).first() is not None:
        return
    first = {"project": tx.project, "reader": reader, "seq": seq, "at": tx.at}
    tx.execute(records.INSERT_CURSOR, first)

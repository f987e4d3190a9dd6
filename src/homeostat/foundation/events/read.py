"""Reads the log for people and pages; programs that must miss nothing use `follow`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from homeostat.foundation.database import Transaction
from homeostat.foundation.events import records
from homeostat.foundation.events.entities import Event


def read(
    tx: Transaction,
    *,
    after: int = 0,
    kinds: Sequence[str] | None = None,
    subject: str | None = None,
    at: int | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> list[Event]:
    """Return events of the transaction's project.

    Parameters
    ----------
    tx
        Any transaction.
    after
        Only events with a greater `seq`.
    kinds
        Only these kinds; all when None.
    subject
        Only what happened to this reference; anything when None.
    at
        Only of this instant; of any when None.
    limit
        At most so many, 1 or more.
    newest_first
        The newest `limit` events, newest first, instead of the oldest, oldest first.

    Returns
    -------
    list of Event
        In order of `seq`, or against it.
    """
    asked = (newest_first, kinds is not None, subject is not None, at is not None)
    question = records.QUESTIONS[asked]
    values: dict[str, Any] = {"in_project": tx.project, "after": after, "n": limit}
    if kinds is not None:
        values["kinds"] = list(kinds)
    if subject is not None:
        values["subject"] = subject
    if at is not None:
        values["at"] = at
    return [event(row) for row in tx.execute(question, values)]


def last_seq(tx: Transaction) -> int:
    """Return the place of the newest event.

    Parameters
    ----------
    tx
        Any transaction.

    Returns
    -------
    int
        0 while there are none.
    """
    return int(tx.execute(records.LAST_SEQ, {"in_project": tx.project}).scalar() or 0)


def event(row: sa.Row[Any]) -> Event:
    """Make an event of a row of the table.

    Parameters
    ----------
    row
        With all columns.

    Returns
    -------
    Event
        With `facts` decoded.
    """
    return Event(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        kind=row.kind,
        subject=row.subject,
        facts=json.loads(row.facts),
        previous=row.previous,
        digest=row.digest,
        project=row.project,
    )

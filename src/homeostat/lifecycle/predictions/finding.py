"""Finds predictions by key and by who made them, through what segments say of themselves.

Called by the door that tells why. By id see `read.find`: O(log segments) plus the segments
that were open in that millisecond, one for each deployment that was asked then. By key the
segments whose bounds hold the key are opened, the latest first: one or two where keys grow with
time, up to all of the deployment where they are random. By member the index is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import index, read, records
from homeostat.lifecycle.predictions.entities import Answered, Segment

UNCOUNTED_AT_MOST = 1000


def one(house: read.Unsealing, tx: Transaction, prediction: str) -> tuple[str, dict[str, Any]]:
    """Return a prediction by its id; what was answered where it was scored in a shadow, too.

    Parameters
    ----------
    house
        What returns stored bytes.
    tx
        Any transaction.
    prediction
        An id.

    Returns
    -------
    tuple
        The deployment and a row of `read.predictions`.

    Raises
    ------
    NotFoundError
        When no log has it, as far as they were handed over.
    """
    found = read.find(house, tx, prediction)
    if found is None:
        raise errors.NotFoundError(
            f"no prediction has the id {prediction[:80]!r}",
            hint="a prediction is found once its segment was handed over, seconds later; "
            "by its key it is found with --deployment",
        )
    name, rows = found
    answered = rows.filter(rows["answered"]) if rows["answered"].any() else rows
    return name, answered.row(0, named=True)


def newest(
    house: read.Unsealing, tx: Transaction, deployment: str, *, key: str
) -> dict[str, Any]:
    """Return the latest prediction of a key; an answer where there is one in its segment.

    Parameters
    ----------
    house
        What returns stored bytes.
    tx
        Any transaction.
    deployment
        Its name.
    key
        What labels join by.

    Returns
    -------
    dict
        A row of `read.predictions`.

    Raises
    ------
    NotFoundError
        When the deployment has predicted no such key, as far as its log was handed over.
    """
    which = {"in_project": tx.project, "in_deployment": deployment, "in_key": key}
    found = tx.execute(records.SEGMENTS_WITH_KEY, {**which, "before": read.END}).mappings()
    for segment in [Segment(**row) for row in found]:
        rows = read.rows_of(house, tx, segment, pl.col("key") == key)
        if len(rows):
            answers = rows.filter(rows["answered"])
            return (answers if len(answers) else rows).row(-1, named=True)
    raise errors.NotFoundError(
        f"deployment {deployment!r} has no prediction with the key {key[:80]!r}",
        hint="a prediction is found once its segment was handed over, seconds later",
    )


def counted(
    house: read.Unsealing, tx: Transaction, deployment: str, members: Sequence[str]
) -> list[Answered]:
    """Count what members scored.

    Parameters
    ----------
    house
        What returns stored bytes; only segments of an earlier release are opened, up to 1,000.
    tx
        Any transaction.
    deployment
        Its name.
    members
        Labels of versions, such as ``3``.

    Returns
    -------
    list of Answered
        By member; those that scored nothing are left out.
    """
    if not members:
        return []
    own = {"in_project": tx.project, "in_deployment": deployment}
    rows = tx.execute(records.COUNT_MEMBERS, {**own, "in_members": list(members)}).mappings()
    found = [Answered(**row) for row in rows]
    others = tx.execute(records.UNCOUNTED, {**own, "n": UNCOUNTED_AT_MOST}).mappings()
    for run in read.stored_together(Segment(**row) for row in others):
        columns = ("members", "answered", "served_at")
        table = read.load(house, run, tx.project, columns=columns)
        found += [one for one in index.members(table) if one.member in members]
    return _summed(found)


def _summed(found: Sequence[Answered]) -> list[Answered]:
    by_member: dict[str, list[Answered]] = {}
    for one in found:
        by_member.setdefault(one.member, []).append(one)
    return [
        Answered(
            member=member,
            n_answered=sum(int(one.n_answered) for one in parts),
            n_shadow=sum(int(one.n_shadow) for one in parts),
            first_served_at=min(one.first_served_at for one in parts),
            last_served_at=max(one.last_served_at for one in parts),
        )
        for member, parts in sorted(by_member.items())
    ]

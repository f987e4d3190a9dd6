"""Predictions that wait for a person: opened by the log, claimed, decided.

Called by `serving.correcting` when a segment with abstained rows is accepted, and by the doors.
What was served stays in the sealed log and is read from there: destroying the log's key erases
it from the queue as well.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.corrections import records, stored
from homeostat.lifecycle.corrections.entities import (
    Abstain,
    Case,
    CaseState,
    Correction,
    Value,
)
from homeostat.lifecycle.predictions import labelling, read, segments
from homeostat.lifecycle.predictions.entities import Held, Segment

WAITING: tuple[CaseState, ...] = ("open", "claimed")
_HOUR_MS = 3_600_000


def open_cases(
    tx: Transaction, actor: access.Actor, segment: Segment, held: Sequence[Held]
) -> int:
    """Put the rows of a segment that corrections left to a person into the queue.

    Parameters
    ----------
    tx, actor
        Of the segment's acceptance; needs ``prediction.write``.
    segment
        As it was accepted.
    held
        From `seal_segment`: rows without an answer that a correction touched.

    Returns
    -------
    int
        How many cases there are; a prediction that is in the queue already is left alone.
    """
    access.require(actor, "prediction.write")
    known = _abstains(tx, {mark for one in held for mark in one.fired})
    rows = []
    for one in held:
        mark = next((mark for mark in one.fired if mark in known), None)
        if mark is None:
            continue
        correction, due_h = known[mark]
        case = Case(
            id=one.id,
            deployment=segment.deployment,
            segment=segment.id,
            place=one.place,
            correction=mark,
            reason=correction.reason,
            score=one.score,
            served_at=one.served_at,
            due_at=one.served_at + round(due_h * _HOUR_MS),
            opened_at=tx.at,
        )
        row = msgspec.structs.asdict(case)
        del row["key"], row["features"]
        rows.append({"project": tx.project, **row})
    if rows:
        tx.run(records.OPEN_CASES, rows)
        facts = {"segment": segment.id, "n_cases": len(rows)}
        subject = f"deployment:{segment.deployment}"
        events.record(tx, actor, "case.opened", subject=subject, facts=facts)
    return len(rows)


def list_cases(
    tx: Transaction,
    actor: access.Actor,
    *,
    deployment: str = "",
    states: Sequence[CaseState] = WAITING,
    after: str = "",
    limit: int = 100,
) -> list[Case]:
    """Return cases, the one that is due first at the top.

    Parameters
    ----------
    tx, actor
        Needs ``review.read``.
    deployment
        Only of this one; of all when empty.
    states
        Only in these: ``open``, ``claimed``, ``decided``.
    after
        Id of the last case of the page before.
    limit
        At most this many, 1 to 1,000.

    Returns
    -------
    list of Case
        Without key and features.

    Raises
    ------
    NotFoundError
        When `after` is no case.
    """
    access.require(actor, "review.read")
    last = _stored(tx, after) if after else None
    which: dict[str, Any] = {
        "in_project": tx.project,
        "in_states": list(states),
        "after_due": last.due_at if last else -1,
        "after_id": after,
        "n": limit,
    }
    statement = records.CASES
    if deployment:
        statement = records.CASES_OF
        which["in_deployment"] = deployment
    return [Case(**row) for row in tx.execute(statement, which).mappings()]


def get_case(tx: Transaction, actor: access.Actor, house: read.Unsealing, case: str) -> Case:
    """Return one case with its key and the features as they were served.

    Parameters
    ----------
    tx, actor
        Needs ``review.read``.
    house
        What returns stored bytes.
    case
        Id of the prediction.

    Raises
    ------
    NotFoundError
        When there is no such case.
    """
    access.require(actor, "review.read")
    found = _stored(tx, case)
    logged = read.find(house, tx, case)
    rows = None if logged is None else logged[1].filter(pl.col("answered"))
    if rows is None or rows.is_empty():
        return found
    row = rows.row(0, named=True)
    features = {
        name.removeprefix(segments.FEATURE): _plain(value)
        for name, value in row.items()
        if name.startswith(segments.FEATURE)
    }
    return msgspec.structs.replace(found, key=row["key"], features=features)


def claim(tx: Transaction, actor: access.Actor, case: str) -> Case:
    """Say that you are looking at a case, so that nobody else does.

    Parameters
    ----------
    tx, actor
        Needs ``review.write``.
    case
        Its id.

    Returns
    -------
    Case
        Yours; claiming it again changes nothing.

    Raises
    ------
    NotFoundError
        When there is no such case.
    ConflictError
        When somebody else has it, or it is decided.
    """
    access.require(actor, "review.write")
    found = _stored(tx, case)
    if found.state == "claimed" and found.claimed_by == actor.name:
        return found
    _need_free(found, actor)
    taken = msgspec.structs.replace(
        found, state="claimed", claimed_by=actor.name, claimed_at=tx.at
    )
    _change(tx, found, taken)
    events.record(tx, actor, "case.claimed", subject=found.reference, facts={})
    return taken


def release(tx: Transaction, actor: access.Actor, case: str) -> Case:
    """Give a claimed case back to the queue; ConflictError unless you have it.

    Parameters
    ----------
    tx, actor
        Needs ``review.write``.
    case
        Its id.
    """
    access.require(actor, "review.write")
    found = _stored(tx, case)
    if found.state != "claimed" or found.claimed_by != actor.name:
        raise errors.ConflictError(f"{found.reference} is not claimed by {actor.name}")
    freed = msgspec.structs.replace(found, state="open", claimed_by="", claimed_at=None)
    _change(tx, found, freed)
    events.record(tx, actor, "case.released", subject=found.reference, facts={})
    return freed


def decide(
    tx: Transaction,
    actor: access.Actor,
    case: str,
    *,
    answer: str,
    classes: Sequence[str],
    note: str = "",
    is_label: bool = False,
) -> Case:
    """Answer in the model's place.

    Parameters
    ----------
    tx, actor
        Needs ``review.write``; a person.
    case
        Its id.
    answer
        One of the labels.
    classes
        What the model knows; empty takes any.
    note
        Why, for people.
    is_label
        Whether the answer is also what came true; the caller writes it into the log.

    Returns
    -------
    Case
        Decided, for good.

    Raises
    ------
    NotFoundError
        When there is no such case.
    InvalidInputError
        When the answer is none of the labels.
    NotAllowedError
        When no person decides.
    ConflictError
        When somebody else has claimed it, or it is decided.
    """
    access.require(actor, "review.write")
    if actor.kind is access.Kind.SYSTEM:
        raise errors.NotAllowedError(f"{actor.name} is no person and cannot decide a case")
    found = _stored(tx, case)
    if not (found.state == "claimed" and found.claimed_by == actor.name):
        _need_free(found, actor)
    meant = labelling.meant([answer], classes, deployment=found.deployment)[0]
    decided = msgspec.structs.replace(
        found,
        state="decided",
        decided_by=actor.name,
        decided_at=tx.at,
        answer=meant,
        note=note,
        is_label=is_label,
    )
    _change(tx, found, decided)
    facts = {
        "deployment": found.deployment,
        "answer": meant,
        "note": note,
        "is_label": is_label,
        "correction": found.correction,
    }
    events.record(tx, actor, "case.decided", subject=found.reference, facts=facts)
    return decided


def _abstains(tx: Transaction, marks: set[str]) -> dict[str, tuple[Correction, float]]:
    """Return which of the marks are of corrections that abstain, with their hours until due."""
    found = {}
    for mark in sorted(marks):
        name, _, version = mark.rpartition("@")
        with contextlib.suppress(errors.NotFoundError, ValueError):
            one = stored.one(tx, name, int(version))
            if isinstance(one.body, Abstain):
                found[mark] = one, one.body.due_h
    return found


def _stored(tx: Transaction, case: str) -> Case:
    which = {"in_project": tx.project, "in_id": case}
    row = tx.execute(records.CASE, which).mappings().first()
    if row is None:
        raise errors.NotFoundError(f"no case {case!r}", hint="see homeostat review list")
    return Case(**row)


def _need_free(found: Case, actor: access.Actor) -> None:
    if found.state == "open":
        return
    who, what = found.claimed_by, "claimed"
    if found.state == "decided":
        who, what = found.decided_by, "decided"
    raise errors.ConflictError(
        f"{found.reference} was {what} by {who}, so {actor.name} cannot",
        state=found.state,
    )


def _change(tx: Transaction, before: Case, after: Case) -> None:
    names = ("state", "claimed_by", "claimed_at", "decided_by", "decided_at", "answer")
    values: Mapping[str, Any] = {
        f"to_{name}": getattr(after, name) for name in (*names, "note", "is_label")
    }
    which = {"in_project": tx.project, "in_id": before.id, "from_state": before.state}
    if tx.execute(records.SET_CASE, {**which, **values}).rowcount != 1:
        raise errors.ConflictError(f"{before.reference} changed meanwhile")


def _plain(value: Any) -> Value | None:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)

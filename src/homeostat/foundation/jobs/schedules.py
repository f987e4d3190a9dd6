"""Schedules: work that comes again; a worker calls `enqueue_due` every few seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import cronsim
import msgspec

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Transaction
from homeostat.foundation.jobs import queue, records
from homeostat.foundation.jobs.entities import Job, Schedule


def next_time(cron: str, *, after_at: int) -> int:
    """Return when a cron expression is due next.

    Parameters
    ----------
    cron
        Five fields: minute, hour, day, month, weekday; in UTC.
    after_at
        Strictly later than this; milliseconds UTC.

    Returns
    -------
    int
        Milliseconds UTC, on a whole minute.

    Raises
    ------
    InvalidInputError
        When it is no cron expression, or is never due.

    Examples
    --------
    >>> next_time("0 3 * * *", after_at=0)
    10800000
    """
    try:
        start = datetime.fromtimestamp(after_at / 1000, tz=UTC)
        due = next(cronsim.CronSim(cron, start))
    except (cronsim.CronSimError, StopIteration) as error:
        raise errors.InvalidInputError(
            f"{cron!r} is no schedule: {str(error) or 'it is never due'}",
            hint="five fields: minute hour day month weekday, in UTC",
        ) from error
    return round(due.timestamp() * 1000)


def schedule(
    tx: Transaction,
    actor: access.Actor,
    name: str,
    *,
    cron: str,
    kind: str,
    payload: dict[str, Any],
) -> Schedule:
    """Set the schedule of a name; the same again changes nothing.

    Parameters
    ----------
    tx
        Opened for writing.
    actor
        Who sets it.
    name
        One schedule per name; the one before is replaced. The same again is due as before, but
        never later than it would be if it were new.
    cron
        Five fields, in UTC.
    kind, payload
        Of the jobs it makes.

    Returns
    -------
    Schedule
        With the next time it is due.

    Raises
    ------
    InvalidInputError
        When `cron` is no schedule or `payload` is not plain JSON.
    """
    text = records.encode(payload, what="payload")
    next_at = next_time(cron, after_at=tx.at)
    which = {"in_project": tx.project, "in_name": name}
    row = tx.execute(records.SCHEDULE, which).mappings().first()
    if row is not None:
        known = records.schedule(row)
        if (known.cron, known.kind, known.payload) == (cron, kind, payload):
            if known.next_at <= next_at:
                return known
            # A clock that was ahead has set it.
            tx.execute(records.MOVE_SCHEDULE, {**which, "to_at": next_at})
            return msgspec.structs.replace(known, next_at=next_at)
        tx.execute(records.DELETE_SCHEDULE, which)
    made = Schedule(
        name=name,
        cron=cron,
        kind=kind,
        payload=payload,
        next_at=next_at,
        created_by=actor.name,
    )
    row_made = {**msgspec.structs.asdict(made), "project": tx.project, "payload": text}
    tx.execute(records.INSERT_SCHEDULE, row_made)
    facts = {"cron": cron, "kind": kind}
    events.record(tx, actor, "schedule.set", subject=f"schedule:{name}", facts=facts)
    return made


def unschedule(tx: Transaction, actor: access.Actor, name: str) -> bool:
    """Remove the schedule of a name.

    Parameters
    ----------
    tx
        Opened for writing.
    actor
        Who removes it.
    name
        As it was set.

    Returns
    -------
    bool
        False when there was none.
    """
    which = {"in_project": tx.project, "in_name": name}
    if not tx.execute(records.DELETE_SCHEDULE, which).rowcount:
        return False
    events.record(tx, actor, "schedule.removed", subject=f"schedule:{name}", facts={})
    return True


def schedules(tx: Transaction) -> list[Schedule]:
    """Return all schedules, by name."""
    rows = tx.execute(records.SCHEDULES, {"in_project": tx.project}).mappings()
    return [records.schedule(row) for row in rows]


def enqueue_due(tx: Transaction) -> list[Job]:
    """Put the jobs of all schedules that are due into the queue.

    Times that were missed while nobody asked are made up for once, not once each.

    Parameters
    ----------
    tx
        Opened for writing.

    Returns
    -------
    list of Job
        One for each schedule that was due; the one that still waits where there is one.
    """
    asked = {"in_project": tx.project, "now": tx.at}
    made = []
    for row in tx.execute(records.DUE_SCHEDULES, asked).mappings().all():
        due = records.schedule(row)
        actor = access.system("schedule")
        key = f"schedule:{due.name}"
        made.append(queue.enqueue(tx, actor, due.kind, payload=due.payload, key=key))
        moved = {
            "in_project": tx.project,
            "in_name": due.name,
            "to_at": next_time(due.cron, after_at=tx.at),
        }
        tx.execute(records.MOVE_SCHEDULE, moved)
    return made

"""The queue: what actors put in, workers take under a lease, finish or give back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from homeostat.foundation import access, errors, events, ids
from homeostat.foundation.database import Transaction
from homeostat.foundation.jobs import records
from homeostat.foundation.jobs.entities import Job, State

FIRST_WAIT_MS = 1_000
LONGEST_WAIT_MS = 300_000

_HOUR_MS = 3_600_000


def enqueue(
    tx: Transaction,
    actor: access.Actor,
    kind: str,
    *,
    payload: dict[str, Any],
    key: str | None = None,
    run_after_at: int = 0,
    max_attempts: int = 5,
) -> Job:
    """Put work into the queue.

    Parameters
    ----------
    tx
        Opened for writing; the work exists only if it commits.
    actor
        Who wants it.
    kind
        What to do; workers ask for kinds.
    payload
        With what; plain JSON.
    key
        While a job of this kind and key waits, it is returned and none is added; one that
        waits for longer than asked here, as after a failure, waits no longer than that.
    run_after_at
        Not before this instant; milliseconds UTC.
    max_attempts
        How often it may be begun, 1 or more.

    Returns
    -------
    Job
        The new one, or the one that waits.

    Raises
    ------
    InvalidInputError
        When `payload` is not plain JSON or `max_attempts` is below 1.
    """
    if max_attempts < 1:
        raise errors.InvalidInputError(f"max_attempts is {max_attempts}, needs 1 or more")
    text = records.encode(payload, what="payload")
    if key is not None:
        which = {"in_project": tx.project, "in_kind": kind, "in_key": key}
        waiting = tx.execute(records.QUEUED_WITH_KEY, which).mappings().first()
        if waiting is not None:
            sooner = max(run_after_at, tx.at)
            if waiting["run_after_at"] > sooner:
                which = {"in_project": tx.project, "in_id": waiting["id"]}
                tx.execute(records.PULL_FORWARD, {**which, "sooner": sooner})
            return get(tx, waiting["id"])
    made = Job(
        id=ids.new_id(),
        kind=kind,
        payload=payload,
        state=State.QUEUED,
        key=key,
        max_attempts=max_attempts,
        run_after_at=run_after_at,
        created_at=tx.at,
        created_by=actor.name,
    )
    tx.execute(
        records.INSERT,
        {
            "project": tx.project,
            "id": made.id,
            "kind": kind,
            "state": made.state.value,
            "payload": text,
            "key": key,
            "attempts": 0,
            "max_attempts": max_attempts,
            "run_after_at": run_after_at,
            "created_at": tx.at,
            "created_by": actor.name,
        },
    )
    facts = {"kind": kind, "key": key}
    events.record(tx, actor, "job.enqueued", subject=f"job:{made.id}", facts=facts)
    return made


def lease(tx: Transaction, worker: str, *, kinds: Sequence[str], lease_s: float) -> Job | None:
    """Take the next job that is due; nobody else gets it while the lease lasts.

    Jobs whose worker went silent come back first. One that was begun `max_attempts` times and
    never ended is failed instead, so that a job that kills its worker cannot do so for ever.

    Parameters
    ----------
    tx
        Opened for writing.
    worker
        Name of who takes it, unique among those that run.
    kinds
        What the worker can do.
    lease_s
        Seconds until others may take it, unless extended.

    Returns
    -------
    Job or None
        None when nothing is due.
    """
    asked = _asked(tx, kinds)
    found: sa.RowMapping | None = None
    for row in tx.execute(records.LEFT_BEHIND, asked).mappings().all():
        if row["attempts"] < row["max_attempts"]:
            found = row
            break
        sentence = f"its worker went silent {row['attempts']} times"
        _end(tx, records.job(row), records.FAIL, {"sentence": sentence})
    if found is None:
        found = tx.execute(records.DUE, asked).mappings().first()
    if found is None:
        return None
    until = tx.at + round(lease_s * 1000)
    which = {"in_project": tx.project, "in_id": found["id"]}
    tx.execute(records.TAKE, {**which, "by": worker, "until": until})
    return get(tx, found["id"])


def is_due(tx: Transaction, *, kinds: Sequence[str]) -> bool:
    """Tell whether `lease` would find something to do, without writing.

    Parameters
    ----------
    tx
        Any transaction.
    kinds
        What the worker can do.
    """
    asked = _asked(tx, kinds)
    return any(
        tx.execute(statement, asked).first() is not None
        for statement in (records.DUE, records.LEFT_BEHIND)
    )


def _asked(tx: Transaction, kinds: Sequence[str]) -> dict[str, Any]:
    too_late = tx.at + records.LONGEST_LEASE_MS
    return {"in_project": tx.project, "now": tx.at, "kinds": list(kinds), "too_late": too_late}


def extend(tx: Transaction, job: Job, *, lease_s: float) -> Job:
    """Keep a job for longer.

    Parameters
    ----------
    tx
        Opened for writing.
    job
        As `lease` gave it.
    lease_s
        Seconds from now.

    Returns
    -------
    Job
        With the new end of the lease.

    Raises
    ------
    ConflictError
        When the lease was lost: stop working on it.
    """
    until = tx.at + round(lease_s * 1000)
    _held(tx, job, records.EXTEND, {"until": until})
    return get(tx, job.id)


def complete(tx: Transaction, job: Job, result: Any = None) -> Job:
    """Say that the work is done, in the transaction of what it changed.

    Parameters
    ----------
    tx
        Opened for writing.
    job
        As `lease` gave it.
    result
        Plain JSON.

    Returns
    -------
    Job
        In state ``done``.

    Raises
    ------
    ConflictError
        When the lease was lost: whoever has it now will do the work, so nothing of `tx` counts.
    InvalidInputError
        When `result` is not plain JSON.
    """
    outcome = records.encode(result, what="result")
    return _end(tx, job, records.COMPLETE, {"outcome": outcome})


def fail(tx: Transaction, job: Job, error: str, *, retry: bool = True) -> Job:
    """Say that the work failed; it comes again later where attempts are left.

    Parameters
    ----------
    tx
        Opened for writing.
    job
        As `lease` gave it.
    error
        One sentence.
    retry
        False when it would fail again in the same way.

    Returns
    -------
    Job
        ``queued`` again after 1 s, 2 s, 4 s ... up to 5 min, or ``failed``.

    Raises
    ------
    ConflictError
        When the lease was lost.
    """
    if not retry or job.attempts >= job.max_attempts:
        return _end(tx, job, records.FAIL, {"sentence": error})
    wait = min(FIRST_WAIT_MS * 2 ** (job.attempts - 1), LONGEST_WAIT_MS)
    _held(tx, job, records.RETRY, {"sentence": error, "later": tx.at + wait})
    return get(tx, job.id)


def get(tx: Transaction, job_id: str) -> Job:
    """Return one job.

    Parameters
    ----------
    tx
        Any transaction.
    job_id
        Its id.

    Returns
    -------
    Job
        As it is now.

    Raises
    ------
    NotFoundError
        When there is none.
    """
    which = {"in_project": tx.project, "in_id": job_id}
    row = tx.execute(records.GET, which).mappings().first()
    if row is None:
        raise errors.NotFoundError(f"there is no job {job_id}", id=job_id)
    return records.job(row)


def pending(tx: Transaction) -> int:
    """Return how many jobs wait or are being done; not those due in more than an hour."""
    which = {"in_project": tx.project, "soon": tx.at + _HOUR_MS}
    return int(tx.execute(records.PENDING, which).scalar() or 0)


def overdue_ms(tx: Transaction) -> int:
    """Return for how long the oldest job that is due has been waiting; 0 without one."""
    since = tx.execute(records.OLDEST_DUE, {"in_project": tx.project, "now": tx.at}).scalar()
    return 0 if since is None else max(0, tx.at - int(since))


def newest(tx: Transaction, *, limit: int = 100) -> list[Job]:
    """Return the newest jobs, newest first.

    Parameters
    ----------
    tx
        Any transaction.
    limit
        At most so many.

    Returns
    -------
    list of Job
        In any state.
    """
    rows = tx.execute(records.NEWEST, {"in_project": tx.project, "n": limit}).mappings()
    return [records.job(row) for row in rows]


def _held(tx: Transaction, job: Job, statement: sa.Update, values: dict[str, Any]) -> None:
    which = {
        "in_project": tx.project,
        "in_id": job.id,
        "in_worker": job.worker,
        "in_attempts": job.attempts,
    }
    if tx.execute(statement, {**which, **values}).rowcount != 1:
        raise errors.ConflictError(
            f"{job.worker} no longer has job {job.id}: its lease ran out or it is over",
            hint="stop working on it",
            id=job.id,
        )


def _end(tx: Transaction, job: Job, statement: sa.Update, values: dict[str, Any]) -> Job:
    _held(tx, job, statement, {**values, "now": tx.at})
    ended = get(tx, job.id)
    facts = {"kind": job.kind, "attempts": job.attempts, "error": ended.error}
    worker = access.system(f"worker {job.worker}")
    what = "job.completed" if ended.state is State.DONE else "job.failed"
    events.record(tx, worker, what, subject=f"job:{job.id}", facts=facts)
    return ended

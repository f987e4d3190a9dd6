"""Work to do later."""

from __future__ import annotations

import enum
from typing import Any

import msgspec


class State(enum.StrEnum):
    """Where a job is: waiting, in the hands of a worker, or over."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work.

    Parameters
    ----------
    id, kind, payload
        Its name, what to do, and with what (plain JSON).
    state
        Where it is.
    key
        At most one job of a kind waits per key; None never collides.
    attempts, max_attempts
        How often it was begun, and how often it may be.
    run_after_at
        Not before this instant; milliseconds UTC.
    worker, lease_until_at
        Who has it, and until when nobody else may; None while it waits.
    result, error
        What came of it: plain JSON, or a sentence.
    created_at, created_by, ended_at
        When, by which actor, and when it was over.
    """

    id: str
    kind: str
    payload: dict[str, Any]
    state: State
    key: str | None = None
    attempts: int = 0
    max_attempts: int = 5
    run_after_at: int = 0
    worker: str | None = None
    lease_until_at: int | None = None
    result: Any = None
    error: str | None = None
    created_at: int
    created_by: str
    ended_at: int | None = None


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Work that comes again.

    Parameters
    ----------
    name
        One schedule per name; also the key of the jobs it makes, so they never pile up.
    cron
        Five fields, in UTC.
    kind, payload
        Of the jobs it makes.
    next_at
        When the next one is due; milliseconds UTC.
    created_by
        Name of the actor who set it.
    """

    name: str
    cron: str
    kind: str
    payload: dict[str, Any]
    next_at: int
    created_by: str

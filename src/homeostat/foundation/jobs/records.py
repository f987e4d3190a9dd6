"""The tables of jobs and schedules and the SQL on them; only files of jobs call it."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from homeostat.foundation import errors
from homeostat.foundation.database.metadata import metadata
from homeostat.foundation.jobs.entities import Job, Schedule, State

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("max_attempts", sa.Integer, nullable=False),
    sa.Column("run_after_at", sa.BigInteger, nullable=False),
    sa.Column("worker", sa.Text, nullable=True),
    sa.Column("lease_until_at", sa.BigInteger, nullable=True),
    sa.Column("result", sa.Text, nullable=True),
    sa.Column("error", sa.Text, nullable=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("ended_at", sa.BigInteger, nullable=True),
    sa.Index("jobs_due", "project", "state", "run_after_at"),
    sa.Index("jobs_key", "project", "kind", "key"),
)
schedules = sa.Table(
    "job_schedules",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("cron", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
)

IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
NOW: sa.BindParameter[int] = sa.bindparam("now")

INSERT = jobs.insert()
GET = sa.select(jobs).where(jobs.c.project == IN_PROJECT, jobs.c.id == sa.bindparam("in_id"))
QUEUED_WITH_KEY = sa.select(jobs).where(
    jobs.c.project == IN_PROJECT,
    jobs.c.kind == sa.bindparam("in_kind"),
    jobs.c.key == sa.bindparam("in_key"),
    jobs.c.state == State.QUEUED.value,
)
PENDING = sa.select(sa.func.count()).where(
    jobs.c.project == IN_PROJECT,
    jobs.c.state.in_([State.QUEUED.value, State.RUNNING.value]),
    jobs.c.run_after_at <= sa.bindparam("soon"),
)
_ASKED_AT = sa.case(
    (jobs.c.created_at > jobs.c.run_after_at, jobs.c.created_at), else_=jobs.c.run_after_at
)
OLDEST_DUE = sa.select(sa.func.min(_ASKED_AT)).where(
    jobs.c.project == IN_PROJECT,
    jobs.c.state == State.QUEUED.value,
    jobs.c.run_after_at <= NOW,
)
NEWEST = (
    sa.select(jobs)
    .where(jobs.c.project == IN_PROJECT)
    .order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
    .limit(sa.bindparam("n"))
)

OF_KINDS = jobs.c.kind.in_(sa.bindparam("kinds", expanding=True))
DUE = (
    sa.select(jobs)
    .where(
        jobs.c.project == IN_PROJECT,
        jobs.c.state == State.QUEUED.value,
        jobs.c.run_after_at <= NOW,
        OF_KINDS,
    )
    .order_by(jobs.c.run_after_at, jobs.c.created_at, jobs.c.id)
    .limit(1)
)
LONGEST_LEASE_MS = 3_600_000
"""Leases are a minute, and extended; one that ends later is of a clock set back since."""
# Its worker went silent: the lease ran out.
LEFT_BEHIND = (
    sa.select(jobs)
    .where(
        jobs.c.project == IN_PROJECT,
        jobs.c.state == State.RUNNING.value,
        sa.or_(
            jobs.c.lease_until_at < NOW,
            jobs.c.lease_until_at > sa.bindparam("too_late", type_=sa.BigInteger),
        ),
        OF_KINDS,
    )
    .order_by(jobs.c.lease_until_at, jobs.c.id)
)

PULL_FORWARD = (
    jobs.update()
    .where(jobs.c.project == IN_PROJECT, jobs.c.id == sa.bindparam("in_id"))
    .values(run_after_at=sa.bindparam("sooner"))
)

# Who writes must still hold the lease: same worker, same attempt.
HELD = (
    jobs.c.project == IN_PROJECT,
    jobs.c.id == sa.bindparam("in_id"),
    jobs.c.state == State.RUNNING.value,
    jobs.c.worker == sa.bindparam("in_worker"),
    jobs.c.attempts == sa.bindparam("in_attempts"),
)
TAKE = (
    jobs.update()
    .where(jobs.c.project == IN_PROJECT, jobs.c.id == sa.bindparam("in_id"))
    .values(
        state=State.RUNNING.value,
        worker=sa.bindparam("by"),
        lease_until_at=sa.bindparam("until"),
        attempts=jobs.c.attempts + 1,
    )
)
EXTEND = jobs.update().where(*HELD).values(lease_until_at=sa.bindparam("until"))
COMPLETE = (
    jobs.update()
    .where(*HELD)
    .values(
        state=State.DONE.value,
        result=sa.bindparam("outcome"),
        error=None,
        ended_at=NOW,
        lease_until_at=None,
    )
)
FAIL = (
    jobs.update()
    .where(*HELD)
    .values(
        state=State.FAILED.value,
        error=sa.bindparam("sentence"),
        ended_at=NOW,
        lease_until_at=None,
    )
)
RETRY = (
    jobs.update()
    .where(*HELD)
    .values(
        state=State.QUEUED.value,
        error=sa.bindparam("sentence"),
        run_after_at=sa.bindparam("later"),
        worker=None,
        lease_until_at=None,
    )
)

SCHEDULE = sa.select(schedules).where(
    schedules.c.project == IN_PROJECT, schedules.c.name == sa.bindparam("in_name")
)
SCHEDULES = (
    sa.select(schedules).where(schedules.c.project == IN_PROJECT).order_by(schedules.c.name)
)
DUE_SCHEDULES = SCHEDULES.where(schedules.c.next_at <= NOW)
INSERT_SCHEDULE = schedules.insert()
DELETE_SCHEDULE = schedules.delete().where(
    schedules.c.project == IN_PROJECT, schedules.c.name == sa.bindparam("in_name")
)
MOVE_SCHEDULE = (
    schedules.update()
    .where(schedules.c.project == IN_PROJECT, schedules.c.name == sa.bindparam("in_name"))
    .values(next_at=sa.bindparam("to_at"))
)


def job(row: sa.RowMapping) -> Job:
    """Make a job of a row."""
    values = {name: value for name, value in row.items() if name != "project"}
    values["payload"] = json.loads(row["payload"])
    values["result"] = None if row["result"] is None else json.loads(row["result"])
    values["state"] = State(row["state"])
    return Job(**values)


def schedule(row: sa.RowMapping) -> Schedule:
    """Make a schedule of a row."""
    values = {name: value for name, value in row.items() if name != "project"}
    values["payload"] = json.loads(row["payload"])
    return Schedule(**values)


def encode(value: Any, *, what: str) -> str:
    """Write plain JSON; InvalidInputError when it is none."""
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        message = f"the {what} of a job must be plain JSON with finite numbers: {error}"
        raise errors.InvalidInputError(message) from error

"""Work to do later: a queue with leases and retries, and cron schedules that fill it."""

from homeostat.foundation.jobs.entities import Job, Schedule, State
from homeostat.foundation.jobs.queue import (
    complete,
    enqueue,
    extend,
    fail,
    get,
    is_due,
    lease,
    newest,
    overdue_ms,
    pending,
)
from homeostat.foundation.jobs.schedules import (
    enqueue_due,
    next_time,
    schedule,
    schedules,
    unschedule,
)

__all__ = [
    "Job",
    "Schedule",
    "State",
    "complete",
    "enqueue",
    "enqueue_due",
    "extend",
    "fail",
    "get",
    "is_due",
    "lease",
    "newest",
    "next_time",
    "overdue_ms",
    "pending",
    "schedule",
    "schedules",
    "unschedule",
]

"""The only place that reads the wall clock; called wherever an instant is recorded."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Return the current instant.

    Returns
    -------
    int
        Milliseconds since 1970-01-01 UTC.
    """
    return time.time_ns() // 1_000_000


def iso(at: int) -> str:
    """Write an instant for people.

    Parameters
    ----------
    at
        Milliseconds since 1970-01-01 UTC.

    Returns
    -------
    str
        ISO 8601 in UTC, to the millisecond.

    Examples
    --------
    >>> iso(0)
    '1970-01-01T00:00:00.000Z'
    """
    instant = datetime.fromtimestamp(at / 1000, tz=UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")

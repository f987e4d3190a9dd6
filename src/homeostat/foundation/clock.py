"""The only place that reads the wall clock; called wherever an instant is recorded."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TO_SECONDS: Final = 19


def now_ms() -> int:
    """Return the current instant.

    Returns
    -------
    int
        Milliseconds since 1970-01-01 UTC.
    """
    return now_ns() // 1_000_000


def now_ns() -> int:
    """Return the current instant as finely as the machine tells it.

    Returns
    -------
    int
        Nanoseconds since 1970-01-01 UTC.
    """
    return time.time_ns()


def has_date(at: int) -> bool:
    """Say whether an instant lies in the years 1 to 9999.

    Clients give instants of their own, such as nanoseconds by mistake; those are kept as they
    came.

    Parameters
    ----------
    at
        Milliseconds since 1970-01-01 UTC, any integer.

    Examples
    --------
    >>> has_date(0), has_date(2**63 - 1)
    (True, False)
    """
    return _date(at) is not None


def iso(at: int) -> str:
    """Write an instant for people.

    Parameters
    ----------
    at
        Milliseconds since 1970-01-01 UTC, any integer.

    Returns
    -------
    str
        ISO 8601 in UTC, to the millisecond; the number where no calendar has a date for it.

    Examples
    --------
    >>> iso(0)
    '1970-01-01T00:00:00.000Z'
    >>> iso(2**63 - 1)
    '9223372036854775807'
    """
    instant = _date(at)
    if instant is None:
        return str(at)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short(at: int) -> str:
    """Write an instant for a table.

    Parameters
    ----------
    at
        Milliseconds since 1970-01-01 UTC, any integer.

    Returns
    -------
    str
        Date and time of day in UTC, to the second; the number where there is no date.

    Examples
    --------
    >>> short(0), short(-(2**63))
    ('1970-01-01 00:00:00', '-9223372036854775808')
    """
    return iso(at)[:_TO_SECONDS].replace("T", " ") if has_date(at) else str(at)


def _date(at: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(milliseconds=at)
    except OverflowError:
        return None

"""Time-ordered identifiers (UUID version 7); called by every subject that makes rows."""

from __future__ import annotations

import os
from typing import Final

from homeostat.foundation import clock

_RANDOM_BYTES: Final = 8
_AT_ONCE: Final = 64
_TIME: Final = (1 << 48) - 1
_FIXED: Final = 0x7 << 76 | 0b10 << 62
_RANDOM: Final = (1 << 62) - 1
_MS: Final = 1_000_000  # nanoseconds


def new_id() -> str:
    """Return a fresh identifier.

    Returns
    -------
    str
        32 hexadecimal digits; those of one machine sort as they were made, to a quarter of a
        microsecond, unless its clock is set back.

    Notes
    -----
    The twelve bits behind the milliseconds are their fraction, so what one request makes stands
    in the order it was made in; 62 bits are random.

    References
    ----------
    .. [1] RFC 9562, *Universally Unique IDentifiers*, 2024, sections 5.7 and 6.2, method 3.

    Examples
    --------
    >>> len(new_id()), new_id()[12]
    (32, '7')
    """
    try:
        value = _drawn.pop()
    except IndexError:
        value = _draw()
    ms, rest = divmod(clock.now_ns(), _MS)
    return f"{value | (rest << 12) // _MS << 64 | (ms & _TIME) << 80 | _FIXED:032x}"


def new_ids(n: int) -> list[str]:
    """Return fresh identifiers that follow each other.

    Parameters
    ----------
    n
        How many, 0 or more.

    Returns
    -------
    list of str
        The first as `new_id` makes it, each of the others one more than the one before.
    """
    first = new_id()
    if n == 1:
        return [first]
    start = int(first, 16)
    return [f"{start + at:032x}" for at in range(n)]


def _draw() -> int:
    """Draw for many at once: asking the system costs as much as all the rest."""
    data = os.urandom(_RANDOM_BYTES * _AT_ONCE)
    found = [
        int.from_bytes(data[at : at + _RANDOM_BYTES]) & _RANDOM
        for at in range(0, len(data), _RANDOM_BYTES)
    ]
    first = found.pop()
    _drawn.extend(found)
    return first


_drawn: list[int] = []
if hasattr(os, "register_at_fork"):
    # Two processes must not go on from the same draw.
    os.register_at_fork(after_in_child=_drawn.clear)

"""Time-ordered identifiers (UUID version 7); called by every subject that makes rows."""

from __future__ import annotations

import secrets

from homeostat.foundation import clock


def new_id() -> str:
    """Return a fresh identifier.

    Returns
    -------
    str
        32 hexadecimal digits; later ones sort after earlier ones to the millisecond.

    References
    ----------
    .. [1] RFC 9562, *Universally Unique IDentifiers*, 2024, section 5.7.

    Examples
    --------
    >>> len(new_id()), new_id()[12]
    (32, '7')
    """
    value = (clock.now_ms() & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    value |= secrets.randbits(12) << 64
    value |= 0b10 << 62
    value |= secrets.randbits(62)
    return f"{value:032x}"

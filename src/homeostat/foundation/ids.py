"""Time-ordered identifiers (UUID version 7); called by every subject that makes rows."""

from __future__ import annotations

import os
from typing import Final

from homeostat.foundation import clock

_RANDOM_BYTES: Final = 10
_TIME: Final = (1 << 48) - 1
_FIXED: Final = 0x7 << 76 | 0b10 << 62
_RANDOM: Final = ((1 << 80) - 1) & ~(0xF << 76) & ~(0b11 << 62)


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
    # One draw; its two fixed fields are cut out and set.
    value = int.from_bytes(os.urandom(_RANDOM_BYTES)) & _RANDOM
    value |= (clock.now_ms() & _TIME) << 80 | _FIXED
    return f"{value:032x}"

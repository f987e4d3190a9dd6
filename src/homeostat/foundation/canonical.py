"""The one way to write structs and dicts as the JSON that digests and signatures are made of.

Called for decisions and gate reports. The chain of events writes plain JSON by the rules of
its own module, which any language can follow; both sort all keys and leave no spaces.
"""

from __future__ import annotations

from typing import Any

import blake3
import msgspec


def encode(value: Any) -> bytes:
    """Write a value with all keys sorted, no spaces, and every field, defaults too.

    Parameters
    ----------
    value
        A struct, a dict, or anything else that msgspec writes.

    Returns
    -------
    bytes
        The same for equal values.

    Examples
    --------
    >>> encode({"b": 1, "a": [1.5, None]})
    b'{"a":[1.5,null],"b":1}'
    """
    return msgspec.json.encode(value, order="sorted")


def digest(data: bytes) -> str:
    """Return what identifies recorded bytes.

    Parameters
    ----------
    data
        As `encode` wrote them, in this release or an earlier one.

    Returns
    -------
    str
        BLAKE3, 64 hexadecimal digits.

    Examples
    --------
    >>> digest(b"{}")[:8]
    '6e46dd10'
    """
    return blake3.blake3(data).hexdigest()

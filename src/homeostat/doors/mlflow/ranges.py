"""Which part of a file a request asks for, and whether it needs sending at all (RFC 9110).

Called by the endpoints that send artifacts. One range is served; a request for several gets
the whole file, as the RFC allows.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from typing import Final

_ONE_RANGE: Final = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*")


def asked(
    headers: Mapping[str, str], size_bytes: int, *, etag: str, modified: str
) -> tuple[int, int] | None:
    """Return the range to send, None for the whole file.

    Parameters
    ----------
    headers
        Of the request, by name in small letters.
    size_bytes
        Of the file.
    etag, modified
        Its headers of these names; a range goes with the file it was begun of only.

    Returns
    -------
    tuple of int, int, or None
        First byte and the one behind the last; equal when the range lies behind the file's
        end, which is answered 416.

    Examples
    --------
    >>> asked({"range": "bytes=2-"}, 10, etag="", modified="")
    (2, 10)
    >>> asked({"range": "bytes=-3"}, 10, etag="", modified="")
    (7, 10)
    >>> asked({"range": "bytes=10-"}, 10, etag="", modified="")
    (10, 10)
    """
    found = _ONE_RANGE.fullmatch(headers.get("range", ""))
    if found is None or headers.get("if-range", etag) not in {etag, modified}:
        return None
    first, last = found.groups()
    if not first:
        if not last:
            return None
        return max(0, size_bytes - int(last)), size_bytes
    if last and int(last) < int(first):
        return None
    start = min(int(first), size_bytes)
    return start, min(int(last) + 1, size_bytes) if last else size_bytes


def is_known(headers: Mapping[str, str], etag: str) -> bool:
    """Say whether the caller has this very file already.

    Examples
    --------
    >>> is_known({"if-none-match": '"a", W/"b"'}, '"b"')
    True
    """
    known = headers.get("if-none-match", "")
    return known.strip() == "*" or etag in re.findall(r'"[^"]*"', known)


def date(at: int) -> str:
    """Return an instant, ms UTC, as HTTP writes it.

    Examples
    --------
    >>> date(0)
    'Thu, 01 Jan 1970 00:00:00 GMT'
    """
    return email.utils.formatdate(at // 1000, usegmt=True)

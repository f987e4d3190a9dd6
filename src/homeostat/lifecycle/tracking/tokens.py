"""Page tokens: the place behind the last row shown, for the same question only.

Called by every search that is read page by page. A token is opaque to clients.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from homeostat.foundation import errors


def make(question: Any, place: Sequence[float | str | None]) -> str:
    """Write the token of the page that begins behind a row.

    Parameters
    ----------
    question
        All that decides which rows there are and in what order; anything msgspec writes.
    place
        The values the last row is ordered by, ending with one that is unique.

    Returns
    -------
    str
        For the client to give back.

    Examples
    --------
    >>> read(make(["auc > 0"], [0.5, "a"]), ["auc > 0"])
    [0.5, 'a']
    """
    held = msgspec.json.encode([_digest(question), list(place)])
    return base64.urlsafe_b64encode(held).decode()


def read(token: str, question: Any) -> list[Any] | None:
    """Return the place that a token holds.

    Parameters
    ----------
    token
        As `make` wrote it; empty for the first page.
    question
        The same as then.

    Returns
    -------
    list or None
        The values of the row that was shown last; None for the first page.

    Raises
    ------
    InvalidInputError
        When it is no token, or one of another question.
    """
    if not token:
        return None
    try:
        held = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        digest, place = msgspec.json.decode(
            held, type=tuple[str, list[float | int | str | None]]
        )
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise errors.InvalidInputError(
            f"Invalid page token {token[:40]!r}", hint="use the token of the page before"
        ) from None
    if digest != _digest(question):
        raise errors.InvalidInputError(
            "Invalid page token: it belongs to a search with another filter or order",
            hint="begin with the first page",
        )
    return place


def _digest(question: Any) -> str:
    written = msgspec.json.encode(question, order="sorted")
    return hashlib.blake2b(written, digest_size=9).hexdigest()

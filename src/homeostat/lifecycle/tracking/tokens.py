"""Page tokens: the place behind the last row shown, for the same question only.

Called by every search that is read page by page. A token is opaque to clients.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from homeostat.foundation import errors

T = TypeVar("T")
W = TypeVar("W")
_LARGEST_WHOLE: Final = 2**63 - 1


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


def placed(place: Sequence[Any] | None, kinds: Sequence[type]) -> list[Any] | None:
    """Return the place a token held, or refuse one that does not fit the order.

    Parameters
    ----------
    place
        As `read` gave it.
    kinds
        Of the values of a place: int, float or str.

    Returns
    -------
    list or None
        None for the first page.

    Raises
    ------
    InvalidInputError
        When the values are of other kinds, which no token of this server holds.

    Examples
    --------
    >>> placed([3, 0.5, "a"], [int, float, str])
    [3, 0.5, 'a']
    """
    if place is None:
        return None
    if len(place) != len(kinds) or not all(map(_fits, place, kinds)):
        raise errors.InvalidInputError(
            "Invalid page token: it holds no place of this order",
            hint="use the token of the page before",
        )
    return list(place)


def behind(
    order: Sequence[T],
    place: Sequence[Any],
    *,
    either: Callable[[W, W], W],
    both: Callable[[W, W], W],
    beyond: Callable[[T, Any], W],
    same: Callable[[T, Any], W],
) -> W:
    """Return the condition of the rows that come behind a place in an order.

    Parameters
    ----------
    order
        Terms; the last one is unique.
    place
        A value for each of them.
    either, both
        Join two conditions.
    beyond, same
        Return the condition that a term stands beyond a value, or has it.

    Returns
    -------
    object
        A condition, in the words of those functions.

    Examples
    --------
    >>> def joined(sign):
    ...     return lambda one, other: f"({one} {sign} {other})"
    >>> def told(sign):
    ...     return lambda term, value: f"{term} {sign} {value}"
    >>> words = {"either": joined("or"), "both": joined("and"), "same": told("=")}
    >>> behind("ab", [1, 2], beyond=told(">"), **words)
    '(a > 1 or (a = 1 and b > 2))'
    """
    found = beyond(order[-1], place[-1])
    for term, value in zip(order[-2::-1], place[-2::-1], strict=True):
        found = either(beyond(term, value), both(same(term, value), found))
    return found


def _fits(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    if kind is int:
        return type(value) is int and abs(value) <= _LARGEST_WHOLE
    return isinstance(value, str) and "\0" not in value


def _digest(question: Any) -> str:
    written = msgspec.json.encode(question, order="sorted")
    return hashlib.blake2b(written, digest_size=9).hexdigest()

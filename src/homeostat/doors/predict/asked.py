"""What every protocol is translated into before the engine sees it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.predictions.entities import LONGEST_KEY

T = TypeVar("T")


class Asked(NamedTuple):
    """Rows to score, what their labels will be joined by, and the caller's own name for it."""

    rows: list[dict[str, Any]]
    keys: list[str | None] | None = None
    request_id: str = ""


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Read a body as one form of JSON.

    Parameters
    ----------
    decoder
        Of the form.
    body
        As it came.

    Returns
    -------
    object
        What the decoder makes of it.

    Raises
    ------
    InvalidInputError
        When it is no JSON or of another form; names the path.
    """
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        said, _, at = str(error).partition(" - at ")
        path = re.sub(r"^\$\.?", "", at.strip("`"))
        said = said.replace("`", "")
        where = path or "the body"
        raise errors.InvalidInputError(f"{where}: {lowered(said)}", path=path) from None


def keys_of(given: Any, *, n_rows: int, header: str | None) -> list[str | None] | None:
    """Return one key per row from what a request said.

    Parameters
    ----------
    given
        A list of keys, one key, or None; numbers are keys too.
    n_rows
        Rows in the request.
    header
        The header's key, for a request of one row.

    Returns
    -------
    list or None
        None when nothing was said.

    Raises
    ------
    InvalidInputError
        When there are not as many keys as rows, or a key is no text or number.
    """
    if given is None:
        given = header
    if given is None:
        return None
    listed = given if isinstance(given, list) else [given]
    if len(listed) != n_rows:
        raise errors.InvalidInputError(f"keys: {len(listed)} keys for {n_rows} rows")
    return [_key(one, at) for at, one in enumerate(listed)]


def rows_of(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Turn columns of one length into rows."""
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _key(value: Any, at: int) -> str | None:
    if value is None:
        return None
    if isinstance(value, str | int) and not isinstance(value, bool):
        return key_text(value, where=f"keys[{at}]")
    raise errors.InvalidInputError(f"keys[{at}]: expected a text or a whole number")


def key_text(value: str | int, *, where: str) -> str:
    """Return a key as text.

    Parameters
    ----------
    value
        As it was given.
    where
        The place in the request, for the message.

    Raises
    ------
    InvalidInputError
        When it is empty, which would join strangers, or longer than 1000 characters.
    """
    text = str(value)
    if not 0 < len(text) <= LONGEST_KEY:
        raise errors.InvalidInputError(
            f"{where}: a key has 1 to {LONGEST_KEY} characters; seen {len(text)}"
        )
    return text


def lowered(said: str) -> str:
    """Begin a sentence of msgspec in lower case, unless it begins with a name."""
    return said if said[:2].isupper() else said[:1].lower() + said[1:]

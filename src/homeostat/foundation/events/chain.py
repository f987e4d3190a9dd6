"""How an event becomes a digest; called by `record` to link and by `verify` to check."""

from __future__ import annotations

import json
from typing import Any

import blake3

from homeostat.foundation import errors

FIRST = "0" * 64
FIELDS = ("project", "seq", "at", "actor", "kind", "subject", "facts", "previous")


def canonical(value: Any) -> str:
    """Write JSON in the one way that digests are made of.

    Parameters
    ----------
    value
        Plain JSON: str keys, finite numbers.

    Returns
    -------
    str
        Keys sorted, no spaces, characters as they are.

    Raises
    ------
    InvalidInputError
        When something in it is not plain JSON, or not finite.

    Examples
    --------
    >>> canonical({"b": 1, "a": [1.5, None]})
    '{"a":[1.5,null],"b":1}'
    """
    try:
        return json.dumps(
            value, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":")
        )
    except (TypeError, ValueError) as error:
        raise errors.InvalidInputError(
            f"facts of an event must be plain JSON with finite numbers: {error}"
        ) from error


def digest(fields: dict[str, Any]) -> str:
    """Return the digest that links an event to all before it.

    Parameters
    ----------
    fields
        Exactly `FIELDS`, `facts` as a dict.

    Returns
    -------
    str
        BLAKE3 of their canonical JSON; 64 hexadecimal digits.
    """
    text = canonical(fields)
    return blake3.blake3(text.encode("utf-8", "surrogatepass")).hexdigest()


def statement(*, project: str, seq: int, at: int, digest: str) -> bytes:
    """Return the bytes a checkpoint signs.

    Parameters
    ----------
    project, seq, digest
        Of the event it vouches for.
    at
        When it is signed; milliseconds UTC.

    Returns
    -------
    bytes
        Canonical JSON that also says what it is, so that no other signature fits.
    """
    facts = {"at": at, "digest": digest, "is": "checkpoint", "project": project, "seq": seq}
    return canonical(facts).encode()

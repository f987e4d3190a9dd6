"""How an event becomes a digest; called by `record` to link and by `verify` to check."""

from __future__ import annotations

import json
from typing import Any, Final

import blake3
import msgspec

from homeostat.foundation import errors

FIRST = "0" * 64
FIELDS = ("project", "seq", "at", "actor", "kind", "subject", "facts", "previous")
_text: Final = json.encoder.encode_basestring
_ENCODER: Final = json.JSONEncoder(
    sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":")
)
# Writes what is in `_PLAIN` as the other does, where it can.
_QUICK: Final = msgspec.json.Encoder(order="sorted")
_PLAIN: Final = frozenset({str, int, bool, type(None)})


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
        # Most facts are flat; the other encoder would take ten times as long.
        return _QUICK.encode(value).decode() if _is_flat(value) else _ENCODER.encode(value)
    except (UnicodeEncodeError, OverflowError):
        # Half of a surrogate pair, or a number of more than 64 bits, which only the quick one
        # cannot write.
        return _ENCODER.encode(value)
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
    written = {**fields, "facts": canonical(fields["facts"])}
    return digest_of(tuple(written[name] for name in FIELDS))


def digest_of(values: tuple[Any, ...]) -> str:
    """Return the digest of an event whose facts were written as canonical JSON before.

    Parameters
    ----------
    values
        In the order of `FIELDS`; the facts as ``canonical`` wrote them.

    Returns
    -------
    str
        As `digest`.

    Examples
    --------
    >>> fields = dict.fromkeys(FIELDS, "x") | {"seq": 1, "at": 2, "facts": {"b": 1}}
    >>> same = blake3.blake3(canonical(fields).encode()).hexdigest()
    >>> digest_of(("x", 1, 2, "x", "x", "x", '{"b":1}', "x")) == same
    True
    """
    project, seq, at, actor, kind, subject, facts, previous = values
    # Canonical JSON of a dict with these keys, whose one nested value is known.
    text = (
        f'{{"actor":{_text(actor)},"at":{at},"facts":{facts},'
        f'"kind":{_text(kind)},"previous":"{previous}",'
        f'"project":{_text(project)},"seq":{seq},'
        f'"subject":{_text(subject)}}}'
    )
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


def _is_flat(value: Any) -> bool:
    """Say whether a value is a dict of plain values, by their very types."""
    if type(value) is not dict:
        return False
    for name, item in value.items():
        if type(name) is not str or type(item) not in _PLAIN:
            return False
    return True

"""What every protocol is translated into before the engine sees it; used by all of them."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.predictions import keys
from homeostat.lifecycle.serving import answered, asking, engine, served

JSON = ("application/json",)
LARGE_BYTES = 256 * 1024
OBJECTS_AT_MOST = 10 * served.ROWS_AT_MOST
LISTS_AT_MOST = 2_000_000
key_text = keys.text
_NO_NUMBER = re.compile(rb"[\[:,]\s*-?(NaN|Infinity)\b")
_NO_ROWS: Sequence[dict[str, Any]] = ()

T = TypeVar("T")


class Call(NamedTuple):
    """A request to predict, as every protocol finds it.

    Attributes
    ----------
    now
        What answers.
    headers, body
        As they came; names of headers in small letters.
    key
        What the header says a row is known by.
    version, token
        Which version is asked for, and what shows that the caller may; None for the plan's.
    """

    engine: engine.Engine
    now: served.Served
    headers: Mapping[bytes, bytes]
    body: bytes
    key: str | None = None
    version: str | None = None
    token: str | None = None

    @property
    def media(self) -> str:
        """Type of the body in small letters, without parameters; empty when not said."""
        return media_type(self.headers)


class Asked(NamedTuple):
    """What is to be scored: columns by name, or rows that do not all have the same ones.

    `keys` are what labels will be joined by, `request_id` the caller's own name for it.
    """

    names: Sequence[str]
    columns: Sequence[Sequence[Any]]
    n_rows: int
    keys: list[str | None] | None = None
    request_id: str = ""
    rows: Sequence[dict[str, Any]] = _NO_ROWS


async def predict(call: Call, asked: Asked) -> engine.Prediction:
    """Score what is asked for, by the version that is asked for.

    Parameters
    ----------
    call
        The request.
    asked
        What its protocol made of it.

    Returns
    -------
    Prediction
        In the order of the rows; every one is in the log.

    Raises
    ------
    InvalidInputError
        When a row does not fit the schema; names its path.
    NotAllowedError, NotFoundError
        When the version may not be chosen, or there is none.
    UserCodeError, UnavailableError
        As the engine says.
    """
    request = admitted(call, asked)
    waiter: asyncio.Future[engine.Prediction | BaseException]
    waiter = asyncio.get_running_loop().create_future()
    call.engine.begin(call.now, request, done=functools.partial(answered.tell, waiter))
    told = await waiter
    if isinstance(told, BaseException):
        raise told
    return told


def admitted(call: Call, asked: Asked) -> asking.Request:
    """Check what is asked for against the schema, and who is to answer it.

    Parameters
    ----------
    call, asked
        As for `predict`.

    Returns
    -------
    Request
        For `engine.Engine.begin`, or to be explained.

    Raises
    ------
    InvalidInputError, TooLargeError
        When a row does not fit the schema; names its path.
    NotAllowedError, NotFoundError
        When the version may not be chosen, or there is none.
    """
    now = call.now
    if asked.rows:
        request = now.admit_rows(asked.rows, asked.keys)
    else:
        request = now.admit(asked.names, asked.columns, n_rows=asked.n_rows, keys=asked.keys)
    if call.version is not None:
        now.ask_for(request, call.version, token=call.token)
    return request


def decode(
    decoder: msgspec.json.Decoder[T], body: bytes, *, most_objects: int = OBJECTS_AT_MOST
) -> T:
    """Read a body as one form of JSON.

    Parameters
    ----------
    decoder
        Of the form.
    body
        As it came.
    most_objects
        A large body with more of them is not even read: each takes far more memory than its
        bytes.

    Returns
    -------
    object
        What the decoder makes of it.

    Raises
    ------
    InvalidInputError
        When it is no JSON, of another form, or nested too deeply; names the path.
    TooLargeError
        When it holds too many objects or lists.
    """
    if len(body) > LARGE_BYTES:
        _refuse_crowd(body, most_objects)
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        said, _, at = str(error).partition(" - at ")
        path = re.sub(r"^\$\.?", "", at.strip("`"))
        said = said.replace("`", "")
        where = path or "the body"
        raise errors.InvalidInputError(
            f"{where}: {lowered(said)}", path=path, hint=_hint(body, said)
        ) from None
    except RecursionError:
        raise errors.InvalidInputError("the body: is nested too deeply") from None
    except UnicodeDecodeError:
        raise errors.InvalidInputError("the body: is no UTF-8") from None


def _hint(body: bytes, said: str) -> str:
    """Say what to send where a program wrote a number as JSON has none."""
    if "malformed" in said and _NO_NUMBER.search(body):
        return "NaN and Infinity are no JSON; send null where a value is missing"
    return ""


def _refuse_crowd(body: bytes, most_objects: int) -> None:
    for what, sign, most in (("objects", b"{", most_objects), ("lists", b"[", LISTS_AT_MOST)):
        seen = body.count(sign)
        if seen > most:
            raise errors.TooLargeError(
                f"the body holds {seen} {what}; one request may hold {most}",
                hint="send them in parts",
            )


def media_type(headers: Mapping[bytes, bytes]) -> str:
    """Return the type of a body in small letters, without parameters; empty when not said.

    Parameters
    ----------
    headers
        Of the request.
    """
    value = headers.get(b"content-type", b"")
    return value.partition(b";")[0].strip().lower().decode("latin-1")


def need_media(headers: Mapping[bytes, bytes], taken: Sequence[str]) -> str:
    """Refuse a body of a type that is not taken; one that is not said passes.

    Parameters
    ----------
    headers
        Of the request.
    taken
        Types in small letters, the usual one first; kinds of JSON such as
        ``application/merge-patch+json`` are JSON.

    Returns
    -------
    str
        Which of `taken` it is.

    Raises
    ------
    WrongMediaError
        Naming the type seen and those taken, for a coding as well.
    """
    coding = headers.get(b"content-encoding", b"identity").decode("latin-1").lower()
    if coding != "identity":
        raise errors.WrongMediaError(
            f"a body coded as {coding[:40]!r} cannot be read", hint="send it as it is"
        )
    seen = media_type(headers)
    if not seen:
        return taken[0]
    if seen.startswith("application/") and seen.endswith("+json"):
        seen = JSON[0]
    if seen not in taken:
        raise errors.WrongMediaError(
            f"a body of type {seen[:80]!r} cannot be read",
            hint=f"send Content-Type: {' or '.join(taken)}",
        )
    return seen


def keys_of(given: Any, *, n_rows: int, header: str | None) -> list[str | None] | None:
    """Return one key per row from what a request said.

    Parameters
    ----------
    given
        A list of keys, one key, or None; whole numbers are keys too.
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


def _key(value: Any, at: int) -> str | None:
    if value is None:
        return None
    return key_text(value, where=f"keys[{at}]")


def lowered(said: str) -> str:
    """Begin a sentence of msgspec in lower case, unless it begins with a name."""
    return said if said[:2].isupper() else said[:1].lower() + said[1:]

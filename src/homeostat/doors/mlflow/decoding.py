"""Reading requests as MLflow's server does: strict in types, blind to fields it does not know.

The door calls it for every request; endpoints use `whole` and `number` for the numbers that
clients may send as text.
"""

from __future__ import annotations

import functools
import json
import math
import re
from typing import Annotated, Any, Final, NoReturn
from urllib.parse import parse_qs

import msgspec

from homeostat.foundation import errors

SEE = " See the API docs for more information about request parameters."
LARGEST_WHOLE: Final = 2**63 - 1
LARGEST_NUMBER: Final = 1.7976931348623157e308
_LONGEST_SPELLED: Final = 4096
_SPELLED: Final = re.compile(rb'"[a-z]+[A-Z][A-Za-z]*"\s*:')
_BOOLEANS: Final = {"true": True, "false": False}

Int = int | str
Number = float | str
Text = Annotated[str, msgspec.Meta(min_length=1)]
"""A required text: what is empty counts as not given."""


def body(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    """Return the fields of a JSON body.

    Parameters
    ----------
    decoder
        Of the request's struct.
    raw
        The body; an empty one counts as an empty object.

    Returns
    -------
    msgspec.Struct
        Of the decoder's type.

    Raises
    ------
    InvalidInputError
        In MLflow's words: what is missing, or which value is wrong at which place.
    """
    # Rare are those behind this: slower, they take all that protobuf's JSON takes.
    is_plain = len(raw) > _LONGEST_SPELLED or raw.islower() or _SPELLED.search(raw) is None
    if is_plain:
        try:
            return decoder.decode(raw or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    return _lenient(decoder.type, raw)


def _lenient(kind: Any, raw: bytes) -> Any:
    """Read a body as protobuf does: null is unset, 1e3 an integer, NaN may stand bare."""
    try:
        given = json.loads(raw)
        if b"\\ud" in raw.lower():  # half of a surrogate pair is no text
            json.dumps(given, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise errors.InvalidInputError(f"the body is no JSON object: {why}") from None
    if not isinstance(given, dict):
        raise errors.InvalidInputError(
            f"the body is no JSON object with fields, but {_shown(given)}"
        )
    _respell(given, kind)
    try:
        return msgspec.convert(_proper(given), kind)
    except msgspec.ValidationError as error:
        _refuse(error, given)


def _proper(value: Any) -> Any:
    """Return a value without nulls, whole floats as integers."""
    if isinstance(value, dict):
        return {name: _proper(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_proper(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE:
        return int(value)
    return value


def _respell(given: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """Take optional fields in their other spelling, `runName` for `run_name`."""
    for field in msgspec.structs.fields(kind):
        first, *rest = field.name.split("_")
        other = first + "".join(word.capitalize() for word in rest)
        if other == field.name or other not in given:
            continue
        if field.name in given:
            raise errors.InvalidInputError(
                f"Request specifies both '{field.name}' and '{other}'; "
                "provide only one of them."
            )
        if not field.required:
            given[field.name] = given.pop(other)


def query(kind: type[msgspec.Struct], text: str) -> Any:
    """Return the fields of a query string; parameters and errors as for `body`."""
    given = parse_qs(text, keep_blank_values=True) if text else {}
    fields: dict[str, Any] = {}
    for name, is_list, is_flag in _fields(kind):
        if name in given:
            values = given[name]
            fields[name] = values if is_list else _flag(values[0]) if is_flag else values[0]
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        _refuse(error, fields)


def whole(value: Int, field: str) -> int:
    """Return an integer that may have come as text.

    Parameters
    ----------
    value
        As sent.
    field
        Its name, for the refusal.

    Raises
    ------
    InvalidInputError
        When it is none, or beyond 64 bits.

    Examples
    --------
    >>> whole("17", "timestamp"), whole(-3, "step")
    (17, -3)
    """
    found = value
    if isinstance(value, str):
        if re.fullmatch(r"[+-]?[0-9]{1,19}", value) is None:
            _wrong(field, value)
        found = int(value)
    assert isinstance(found, int)
    if not -LARGEST_WHOLE - 1 <= found <= LARGEST_WHOLE:
        _wrong(field, value)
    return found


def number(value: Number, field: str) -> float:
    """Return a double that may have come as text; infinities become the largest numbers.

    Parameters
    ----------
    value
        As sent; ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` are texts.
    field
        Its name, for the refusal.

    Raises
    ------
    InvalidInputError
        When it is no number.

    Examples
    --------
    >>> number("-Infinity", "value"), number("0.5", "value")
    (-1.7976931348623157e+308, 0.5)
    """
    found: float
    if isinstance(value, str):
        try:
            found = float(value)
        except ValueError:
            _wrong(field, value)
    else:
        found = value
    if math.isinf(found):
        return math.copysign(LARGEST_NUMBER, found)
    return found


def _wrong(field: str, value: object) -> NoReturn:
    raise errors.InvalidInputError(
        f"Invalid value {_shown(value)} for parameter '{field}' supplied:  "
        f"Hint: Value was of type '{type(value).__name__}'.{SEE}"
    )


def _missing(field: str) -> NoReturn:
    raise errors.InvalidInputError(f"Missing value for required parameter '{field}'.{SEE}")


def _refuse(error: msgspec.ValidationError, given: Any) -> NoReturn:
    """Say in MLflow's words what msgspec found."""
    said, _, at = str(error).partition(" - at ")
    at = re.sub(r"^\$\.?", "", at.strip("`"))
    lacking = re.search(r"missing required field `(.+?)`", said)
    if lacking is not None:
        _missing(f"{at}.{lacking[1]}" if at else lacking[1])
    if not at:
        raise errors.InvalidInputError(f"the body is no JSON object with fields: {said}")
    value = _value_at(given, at)
    if value == "" or value is None:
        _missing(at)
    _wrong(at, value)


def _value_at(given: Any, path: str) -> Any:
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        try:
            given = given[int(index)] if index else given[name]
        except (KeyError, IndexError, TypeError):
            return given
    return given


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 500 else f"{text[:500]}..."  # noqa: PLR2004 - a line or two


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, bool, bool], ...]:
    """Return the name of each field, and whether it is a list or a flag."""
    return tuple(
        (field.name, _is_list(field.type), field.type is bool)
        for field in msgspec.structs.fields(kind)
    )


def _is_list(kind: Any) -> bool:
    return str(getattr(kind, "__origin__", kind)).startswith(("<class 'tuple", "<class 'list"))


def _flag(text: str) -> bool:
    known = _BOOLEANS.get(text.lower())
    if known is None:
        raise errors.InvalidInputError(
            f"Invalid boolean value: {text[:80]}, must be 'true' or 'false'."
        )
    return known

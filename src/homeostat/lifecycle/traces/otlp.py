"""Reading spans as OpenTelemetry's exporters send them, without its libraries.

The door calls `read_spans` with the body of a request. Only the messages a trace consists of
are known here; what else stands in the body is skipped, as the format wants it.

References
----------
.. [1] *Protocol Buffers: Encoding*, protobuf.dev, 2024.
.. [2] *OpenTelemetry Protocol Specification 1.5*, messages of `trace/v1/trace.proto`, 2025.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from homeostat.foundation import errors
from homeostat.lifecycle.traces import entities

MOST_SPANS: Final = 10_000
_DEEPEST: Final = 64
_STATUS: Final = {0: "STATUS_CODE_UNSET", 1: "STATUS_CODE_OK", 2: "STATUS_CODE_ERROR"}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Field = tuple[str, int, Callable[[Any, int], Any], bool]
"""Name, wire type, reader of the raw value, and whether it comes many times."""
Message = Mapping[int, Field]


def _text(raw: bytes, _depth: int) -> str:
    return raw.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _base64(raw: bytes, _depth: int) -> str:
    return base64.b64encode(raw).decode("ascii")


def _number(raw: int, _depth: int) -> int:
    return raw


def _signed(raw: int, _depth: int) -> int:
    return raw - (1 << 64) if raw >> 63 else raw


def _double(raw: int, _depth: int) -> float | str:
    value: float = struct.unpack("<d", raw.to_bytes(8, "little"))[0]
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _boolean(raw: int, _depth: int) -> bool:
    return raw != 0


def _code(raw: int, _depth: int) -> str:
    return _STATUS.get(raw, _STATUS[0])


def _message(known: Message) -> Callable[[bytes, int], dict[str, Any]]:
    return lambda raw, depth: _fields(raw, known, depth + 1)


_ANY: dict[int, Field] = {}
_KEY_VALUE: Final[Message] = {
    1: ("key", _BYTES, _text, False),
    2: ("value", _BYTES, _message(_ANY), False),
}
_ANY |= {
    1: ("string_value", _BYTES, _text, False),
    2: ("bool_value", _VARINT, _boolean, False),
    3: ("int_value", _VARINT, _signed, False),
    4: ("double_value", _FIXED64, _double, False),
    5: ("array_value", _BYTES, _message({1: ("values", _BYTES, _message(_ANY), True)}), False),
    6: (
        "kvlist_value",
        _BYTES,
        _message({1: ("values", _BYTES, _message(_KEY_VALUE), True)}),
        False,
    ),
    7: ("bytes_value", _BYTES, _base64, False),
}
_ATTRIBUTES: Final = ("attributes", _BYTES, _message(_KEY_VALUE), True)
_EVENT: Final[Message] = {
    1: ("time_unix_nano", _FIXED64, _number, False),
    2: ("name", _BYTES, _text, False),
    3: _ATTRIBUTES,
}
_LINK: Final[Message] = {
    1: ("trace_id", _BYTES, _base64, False),
    2: ("span_id", _BYTES, _base64, False),
    3: ("trace_state", _BYTES, _text, False),
    4: _ATTRIBUTES,
}
_STATUS_OF_SPAN: Final[Message] = {
    2: ("message", _BYTES, _text, False),
    3: ("code", _VARINT, _code, False),
}
_SPAN: Final[Message] = {
    1: ("trace_id", _BYTES, _base64, False),
    2: ("span_id", _BYTES, _base64, False),
    3: ("trace_state", _BYTES, _text, False),
    4: ("parent_span_id", _BYTES, _base64, False),
    5: ("name", _BYTES, _text, False),
    7: ("start_time_unix_nano", _FIXED64, _number, False),
    8: ("end_time_unix_nano", _FIXED64, _number, False),
    9: _ATTRIBUTES,
    11: ("events", _BYTES, _message(_EVENT), True),
    13: ("links", _BYTES, _message(_LINK), True),
    15: ("status", _BYTES, _message(_STATUS_OF_SPAN), False),
}


def read_spans(body: bytes) -> list[entities.Span]:
    """Return the spans of an export request.

    Parameters
    ----------
    body
        An `ExportTraceServiceRequest` in the binary encoding.

    Returns
    -------
    list of Span
        In the order they were sent; at most 10,000.

    Raises
    ------
    InvalidInputError
        When the bytes are no such message, it has no spans or too many, or a span has no id.
    """
    try:
        found = [
            entities.Span.of(_fields(span, _SPAN, 0))
            for of_resource in _nested(body, 1)
            for of_scope in _nested(of_resource, 2)
            for span in _nested(of_scope, 2)
        ]
    except (ValueError, IndexError, struct.error) as error:
        raise errors.InvalidInputError(f"Invalid OpenTelemetry format: {error}") from None
    if not found:
        raise errors.InvalidInputError("Invalid OpenTelemetry format - no spans found")
    if len(found) > MOST_SPANS:
        raise errors.InvalidInputError(
            f"{len(found)} spans in one request; at most {MOST_SPANS} are taken"
        )
    return found


def _nested(raw: bytes, wanted: int) -> list[bytes]:
    return [value for n, wire, value in _values(raw) if n == wanted and wire == _BYTES]


def _fields(raw: bytes, known: Message, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise ValueError(f"values nested deeper than {_DEEPEST}")
    found: dict[str, Any] = {}
    for number, wire, value in _values(raw):
        field = known.get(number)
        if field is None or field[1] != wire:
            continue
        name, _, read, is_many = field
        if is_many:
            found.setdefault(name, []).append(read(value, depth))
        else:
            found[name] = read(value, depth)
    return found


def _values(raw: bytes) -> Iterator[tuple[int, int, Any]]:
    """Yield field number, wire type and raw value of each field of a message."""
    place = 0
    while place < len(raw):
        tag, place = _varint(raw, place)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, place = _varint(raw, place)
            yield number, wire, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire, -1)
        if wire == _BYTES:
            size, place = _varint(raw, place)
        if size < 0 or place + size > len(raw):
            raise ValueError(f"a field of wire type {wire} does not end within the body")
        piece = raw[place : place + size]
        place += size
        yield number, wire, piece if wire == _BYTES else int.from_bytes(piece, "little")


def _varint(raw: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = raw[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return value & (1 << 64) - 1, place
    raise ValueError("a number longer than ten bytes")

"""The nouns of traces: what one call of a program did, step by step."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, Literal

import msgspec

State = Literal["STATE_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS"]
PREFIX: Final = "tr-"
NAME_TAG: Final = "mlflow.traceName"
LOCATION_TAG: Final = "mlflow.artifactLocation"
SPANS_TAG: Final = "mlflow.trace.spansLocation"
SPANS_ARE_HERE: Final = "TRACKING_STORE"
RUN_KEY: Final = "mlflow.sourceRun"
_TRACE_BYTES, _SPAN_BYTES = 16, 8


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a program that says what it does.

    Parameters
    ----------
    id
        Chosen by the client, ``tr-`` and 32 hexadecimal digits as a rule.
    experiment_id
        Decimal digits.
    state
        OK, ERROR, IN_PROGRESS or STATE_UNSPECIFIED.
    requested_at
        When the call began, ms UTC.
    duration_ms
        None while it is not known.
    client_request_id
        Of the caller, or None.
    run_id
        The run it was made in, or empty.
    request_preview, response_preview
        The beginning of what went in and came out, or None.
    metadata, tags
        Text by key; metadata stays, tags change.
    """

    id: str
    experiment_id: str
    state: State = "STATE_UNSPECIFIED"
    requested_at: int
    duration_ms: int | None = None
    client_request_id: str | None = None
    run_id: str = ""
    request_preview: str | None = None
    response_preview: str | None = None
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a trace.

    Parameters
    ----------
    trace_id
        ``tr-`` and 32 hexadecimal digits.
    id
        16 hexadecimal digits.
    parent_id
        The same, or empty for the outermost step.
    name
        Of the step.
    started_ns, ended_ns
        Since 1970 UTC; 0 while it has not ended.
    state
        OK or ERROR.
    body
        JSON of the whole step as the client sent it.
    """

    trace_id: str
    id: str
    parent_id: str
    name: str
    started_ns: int
    ended_ns: int
    state: State
    body: bytes

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Span:
        """Make a span of the fields of an OpenTelemetry span, ids in base64.

        Raises
        ------
        ValueError
            When an id is missing or not as long as it must be.
        """
        status = fields.setdefault("status", {"code": "STATUS_CODE_UNSET"}).get("code")
        parent = fields.get("parent_span_id", "")
        if not parent:
            fields.pop("parent_span_id", None)
        return cls(
            trace_id=PREFIX + _hex("trace_id", fields.get("trace_id", ""), _TRACE_BYTES),
            id=_hex("span_id", fields.get("span_id", ""), _SPAN_BYTES),
            parent_id=_hex("parent_span_id", parent, _SPAN_BYTES) if parent else "",
            name=fields.get("name", ""),
            started_ns=fields.get("start_time_unix_nano", 0),
            ended_ns=fields.get("end_time_unix_nano", 0),
            state="ERROR" if status == "STATUS_CODE_ERROR" else "OK",
            body=msgspec.json.encode(fields),
        )


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some traces.

    Parameters
    ----------
    traces
        In the order asked for.
    next
        Give it as `after`, with the same question, to get the page behind; empty on the last.
    """

    traces: tuple[Trace, ...]
    next: str = ""


def _hex(name: str, text: str, n_bytes: int) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{name} of a span is no base64") from error
    if len(raw) != n_bytes:
        raise ValueError(f"{name} of a span has {len(raw)} bytes; it needs {n_bytes}")
    return raw.hex()

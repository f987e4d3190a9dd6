"""Traces: what `@mlflow.trace` sends, and what looks into it reads.

A client sends what a call was about as JSON and its steps in OpenTelemetry's encoding; clients
before 3.4 send the steps as a file. Assessments and metrics of traces are not served.
"""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from homeostat.doors.mlflow import decoding, routing, trace_pages
from homeostat.foundation import clock, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.traces import actions, entities, look, otlp, search

LARGEST_BODY: Final = 16 * 1024 * 1024
PROTOBUF: Final = (("content-type", "application/x-protobuf"),)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?s")
_STATES: Final[dict[str, entities.State]] = {
    "STATE_UNSPECIFIED": "STATE_UNSPECIFIED",
    "OK": "OK",
    "ERROR": "ERROR",
    "IN_PROGRESS": "IN_PROGRESS",
}


class InExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment as a place of traces."""

    experiment_id: str = ""


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where traces are."""

    type: str | int = ""
    mlflow_experiment: InExperiment | None = None


class TraceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a call was about."""

    trace_id: decoding.Text
    trace_location: Location
    request_time: str = ""
    execution_duration: str = ""
    state: str | int = "STATE_UNSPECIFIED"
    client_request_id: str | None = None
    request_preview: str | None = None
    response_preview: str | None = None
    trace_metadata: dict[str, str] = {}
    tags: dict[str, str] = {}


class InfoOf(msgspec.Struct, frozen=True, kw_only=True):
    """A trace without its steps."""

    trace_info: TraceInfo


class StartTrace(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of POST 3.0 traces."""

    trace: InfoOf


class GetTrace(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of GET traces/get."""

    trace_id: decoding.Text


class ManyTraces(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of traces/batchGet and traces/batchGetInfos."""

    trace_ids: list[str]


class SearchTraces(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of POST 3.0 traces/search."""

    locations: list[Location]
    filter: str = ""
    max_results: decoding.Int = search.PAGE
    order_by: list[str] = []
    page_token: str = ""


class SetTag(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of PATCH traces/<id>/tags."""

    key: decoding.Text
    value: str = ""


class DeleteTag(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of DELETE traces/<id>/tags."""

    key: decoding.Text


class DeleteTraces(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of traces/delete-traces."""

    experiment_id: decoding.Text
    max_timestamp_millis: decoding.Int | None = None
    max_traces: decoding.Int | None = None
    request_ids: list[str] = []


class LinkToRun(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of traces/link-to-run."""

    trace_ids: list[str]
    run_id: decoding.Text


async def start(call: routing.Call) -> dict[str, Any]:
    """Keep what a call was about."""
    given: TraceInfo = call.body.trace.trace_info
    place = given.trace_location.mlflow_experiment
    if place is None or not place.experiment_id:
        raise errors.InvalidInputError(
            "Missing value for required parameter "
            f"'trace.trace_info.trace_location.mlflow_experiment.experiment_id'.{decoding.SEE}"
        )
    trace = entities.Trace(
        id=given.trace_id,
        experiment_id=place.experiment_id,
        state=_state(given.state),
        requested_at=_instant(given.request_time),
        duration_ms=_duration(given.execution_duration),
        client_request_id=given.client_request_id,
        request_preview=given.request_preview,
        response_preview=given.response_preview,
        metadata=given.trace_metadata,
        tags=given.tags,
    )
    kept = await call.write(lambda tx: actions.keep_trace(tx, call.actor, trace))
    return {"trace": {"trace_info": info(kept)}}


async def export(call: routing.Call) -> routing.Answer:
    """Keep the steps of calls, as OpenTelemetry's exporters send them."""
    headers = call.headers
    experiment_id = headers.get("x-mlflow-experiment-id", "")
    if not experiment_id:
        raise errors.InvalidInputError("the header x-mlflow-experiment-id is missing")
    kind = headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-protobuf":
        raise errors.InvalidInputError(
            f"Invalid Content-Type: {kind[:80]!r}. Expected: application/x-protobuf"
        )
    body = await _whole(call)
    encoding = headers.get("content-encoding", "")
    spans = await call.work(lambda: otlp.read_spans(_plain(body, encoding)))
    await call.write(lambda tx: actions.keep_spans(tx, call.actor, experiment_id, spans=spans))
    return routing.Answer(200, PROTOBUF)


async def get_info(call: routing.Call) -> dict[str, Any]:
    """Return what a call was about."""
    trace_id = call.path_params["trace_id"]
    found = await call.read(lambda tx: look.get_trace(tx, call.actor, trace_id))
    return {"trace": {"trace_info": info(found)}}


async def get(call: routing.Call) -> dict[str, Any]:
    """Return a trace with its steps."""
    trace_id: str = call.body.trace_id

    def read(tx: Transaction) -> dict[str, Any]:
        return _with_spans(tx, call, look.get_trace(tx, call.actor, trace_id))

    return {"trace": await call.read(read)}


async def get_many(call: routing.Call) -> dict[str, Any]:
    """Return those of some traces that exist, with their steps."""
    asked: ManyTraces = call.body

    def read(tx: Transaction) -> list[dict[str, Any]]:
        found = look.find_traces(tx, call.actor, asked.trace_ids)
        return [_with_spans(tx, call, trace) for trace in found]

    found = await call.read(read)
    return {"traces": found} if found else {}


async def get_infos(call: routing.Call) -> dict[str, Any]:
    """Return those of some traces that exist, without their steps."""
    asked: ManyTraces = call.body
    found = await call.read(lambda tx: look.find_traces(tx, call.actor, asked.trace_ids))
    return {"trace_infos": [info(trace) for trace in found]} if found else {}


async def find(call: routing.Call) -> dict[str, Any]:
    """Find traces, page by page."""
    asked: SearchTraces = call.body
    places = [place.mlflow_experiment for place in asked.locations]
    ids = [place.experiment_id for place in places if place is not None]
    if not ids:
        raise errors.InvalidInputError(
            f"Missing value for required parameter 'locations'.{decoding.SEE}"
        )
    return await trace_pages.found(call, ids, shown=info)


async def set_tag(call: routing.Call) -> None:
    """Write a tag of a trace."""
    asked: SetTag = call.body
    trace_id, values = call.path_params["trace_id"], {asked.key: asked.value}
    await call.write(lambda tx: actions.set_tags(tx, call.actor, trace_id, values=values))


async def delete_tag(call: routing.Call) -> None:
    """Take a tag off a trace."""
    trace_id, key = call.path_params["trace_id"], call.body.key
    await call.write(lambda tx: actions.delete_tag(tx, call.actor, trace_id, key=key))


async def delete(call: routing.Call) -> dict[str, int]:
    """Delete traces of an experiment."""
    asked: DeleteTraces = call.body
    until, most = asked.max_timestamp_millis, asked.max_traces
    gone = await call.write(
        lambda tx: actions.delete_traces(
            tx,
            call.actor,
            asked.experiment_id,
            trace_ids=asked.request_ids,
            until=None if until is None else decoding.whole(until, "max_timestamp_millis"),
            most=None if most is None else decoding.whole(most, "max_traces"),
        )
    )
    return {"traces_deleted": gone}


async def link_to_run(call: routing.Call) -> None:
    """Say that traces belong to a run."""
    asked: LinkToRun = call.body
    await call.write(
        lambda tx: actions.link_to_run(tx, call.actor, asked.run_id, trace_ids=asked.trace_ids)
    )


def info(trace: entities.Trace) -> dict[str, Any]:
    """Return what a call was about as MLflow 3 shows it."""
    place = {"experiment_id": trace.experiment_id}
    shown: dict[str, Any] = {
        "trace_id": trace.id,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": place},
        "request_time": clock.iso(trace.requested_at),
        "state": trace.state,
    }
    if trace.duration_ms is not None:
        seconds, rest_ms = divmod(trace.duration_ms, 1000)
        shown["execution_duration"] = f"{seconds}.{rest_ms:03}s" if rest_ms else f"{seconds}s"
    optional = {
        "client_request_id": trace.client_request_id,
        "request_preview": trace.request_preview,
        "response_preview": trace.response_preview,
        "trace_metadata": trace.metadata or None,
        "tags": trace.tags or None,
    }
    return shown | {name: value for name, value in optional.items() if value is not None}


def _with_spans(tx: Transaction, call: routing.Call, trace: entities.Trace) -> dict[str, Any]:
    spans = look.list_spans(tx, call.actor, trace.id)
    answer: dict[str, Any] = {"trace_info": info(trace)}
    if spans:
        answer["spans"] = [msgspec.Raw(span) for span in spans]
    return answer


async def _whole(call: routing.Call) -> bytes:
    parts, size_bytes = [], 0
    async for piece in call.stream():
        parts.append(piece)
        size_bytes += len(piece)
        _check_size(size_bytes)
    return b"".join(parts)


def _plain(body: bytes, encoding: str) -> bytes:
    """Return a body as it was before the client packed it."""
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "deflate"}:
        raise errors.InvalidInputError(f"Unsupported Content-Encoding: {encoding[:80]!r}")
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32 if encoding == "gzip" else 15)
    try:
        plain = unpacking.decompress(body, LARGEST_BODY + 1)
    except zlib.error as error:
        raise errors.InvalidInputError(f"the body is no {encoding}: {error}") from None
    _check_size(len(plain))
    return plain


def _check_size(size_bytes: int) -> None:
    if size_bytes > LARGEST_BODY:
        raise errors.TooLargeError(
            f"the body has {size_bytes} bytes or more; this address takes {LARGEST_BODY}",
            hint="export fewer spans at a time",
        )


def _state(given: str | int) -> entities.State:
    names = tuple(_STATES)
    if isinstance(given, int) and 0 <= given < len(names):
        given = names[given]
    known = _STATES.get(str(given))
    if known is None:
        raise errors.InvalidInputError(
            f"Invalid value {str(given)[:80]!r} for parameter 'state' supplied: "
            f"it is one of {', '.join(_STATES)}"
        )
    return known


def _instant(text: str) -> int:
    """Return ms UTC of a time in MLflow's JSON; now where none was sent."""
    if not text:
        return clock.now_ms()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise errors.InvalidInputError(
            f"Invalid value {text[:80]!r} for parameter 'request_time' supplied: "
            "it is written as in 2026-01-31T12:00:00.123Z"
        ) from None
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


def _duration(text: str) -> int | None:
    """Return the ms of a duration in MLflow's JSON."""
    if not text:
        return None
    found = _DURATION.fullmatch(text)
    if found is None:
        raise errors.InvalidInputError(
            f"Invalid value {text[:80]!r} for parameter 'execution_duration' supplied: "
            "it is written as in 1.250s"
        )
    return int(found[1]) * 1000 + int((found[2] or "0").ljust(3, "0")[:3])


def _route(
    method: str, path: str, endpoint: routing.Endpoint, body: type[msgspec.Struct] | None
) -> routing.Route:
    reading = (get_info, get, get_many, get_infos, find)
    action = "run.read" if endpoint in reading else "run.write"
    return routing.Route(method, path, action, endpoint, body, LARGEST_BODY)


_V2: Final = "/2.0/mlflow/traces"
_V3: Final = "/3.0/mlflow/traces"

ROUTES = (
    _route("POST", _V3, start, StartTrace),
    _route("POST", "=/v1/traces", export, None),
    _route("GET", f"{_V3}/get", get, GetTrace),
    _route("GET", f"{_V3}/batchGet", get_many, ManyTraces),
    _route("POST", f"{_V3}/batchGetInfos", get_infos, ManyTraces),
    _route("POST", f"{_V3}/search", find, SearchTraces),
    _route("GET", f"{_V3}/{{trace_id}}", get_info, None),
    *(_route("PATCH", f"{v}/{{trace_id}}/tags", set_tag, SetTag) for v in (_V2, _V3)),
    *(_route("DELETE", f"{v}/{{trace_id}}/tags", delete_tag, DeleteTag) for v in (_V2, _V3)),
    *(_route("POST", f"{v}/delete-traces", delete, DeleteTraces) for v in (_V2, _V3)),
    _route("POST", f"{_V2}/link-to-run", link_to_run, LinkToRun),
)

"""Traces as clients of MLflow 2 tell of them: begun, then ended; their steps are a file."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from homeostat.doors.mlflow import decoding, routing, trace_pages
from homeostat.foundation import errors, ids
from homeostat.lifecycle.traces import actions, entities, look, search

_STATES: Final[dict[str, entities.State]] = {
    "TRACE_STATUS_UNSPECIFIED": "STATE_UNSPECIFIED",
    "OK": "OK",
    "ERROR": "ERROR",
    "IN_PROGRESS": "IN_PROGRESS",
}
_SHOWN: Final = {state: name for name, state in _STATES.items()}


class Pair(msgspec.Struct, frozen=True):
    """A tag, or an item of metadata."""

    key: str = ""
    value: str = ""


class StartTrace(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of POST 2.0 traces."""

    experiment_id: decoding.Text
    timestamp_ms: decoding.Int = 0
    request_metadata: list[Pair] = []
    tags: list[Pair] = []


class EndTrace(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of PATCH 2.0 traces/<id>."""

    timestamp_ms: decoding.Int
    status: str = "TRACE_STATUS_UNSPECIFIED"
    request_metadata: list[Pair] = []
    tags: list[Pair] = []


class SearchTraces(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of GET 2.0 traces."""

    experiment_ids: list[str]
    filter: str = ""
    max_results: decoding.Int = search.PAGE
    order_by: list[str] = []
    page_token: str = ""


async def start(call: routing.Call) -> dict[str, Any]:
    """Begin a trace under an id of ours."""
    asked: StartTrace = call.body
    begun = entities.Trace(
        id=entities.PREFIX + ids.new_id(),
        experiment_id=asked.experiment_id,
        state="IN_PROGRESS",
        requested_at=decoding.whole(asked.timestamp_ms, "timestamp_ms"),
        metadata=_values(asked.request_metadata),
        tags=_values(asked.tags),
    )
    kept = await call.write(
        lambda tx: actions.keep_trace(tx, call.actor, begun, is_final=False)
    )
    return {"trace_info": info(kept)}


async def end(call: routing.Call) -> dict[str, Any]:
    """End a trace that was begun."""
    asked: EndTrace = call.body
    state = _STATES.get(asked.status)
    if state is None:
        raise errors.InvalidInputError(
            f"Invalid value {asked.status[:80]!r} for parameter 'status' supplied: "
            f"it is one of {', '.join(_STATES)}"
        )
    kept = await call.write(
        lambda tx: actions.finish_trace(
            tx,
            call.actor,
            call.path_params["trace_id"],
            ended_at=decoding.whole(asked.timestamp_ms, "timestamp_ms"),
            state=state,
            metadata=_values(asked.request_metadata),
            tags=_values(asked.tags),
        )
    )
    return {"trace_info": info(kept)}


async def get_info(call: routing.Call) -> dict[str, Any]:
    """Return what a call was about."""
    trace_id = call.path_params["trace_id"]
    found = await call.read(lambda tx: look.get_trace(tx, call.actor, trace_id))
    return {"trace_info": info(found)}


async def find(call: routing.Call) -> dict[str, Any]:
    """Find traces, page by page."""
    asked: SearchTraces = call.body
    return await trace_pages.found(call, asked.experiment_ids, shown=info)


def info(trace: entities.Trace) -> dict[str, Any]:
    """Return what a call was about as MLflow 2 shows it."""
    shown: dict[str, Any] = {
        "request_id": trace.id,
        "experiment_id": trace.experiment_id,
        "timestamp_ms": trace.requested_at,
        "status": _SHOWN[trace.state],
    }
    if trace.duration_ms is not None:
        shown["execution_time_ms"] = trace.duration_ms
    for name, values in (("request_metadata", trace.metadata), ("tags", trace.tags)):
        if values:
            shown[name] = [{"key": key, "value": value} for key, value in values.items()]
    return shown


def _values(pairs: list[Pair]) -> dict[str, str]:
    return {pair.key: pair.value for pair in pairs}


Route = routing.Route
_TRACES: Final = "/2.0/mlflow/traces"

ROUTES = (
    Route("POST", _TRACES, "run.write", start, StartTrace),
    Route("GET", _TRACES, "run.read", find, SearchTraces),
    Route("PATCH", f"{_TRACES}/{{trace_id}}", "run.write", end, EndTrace),
    Route("GET", f"{_TRACES}/{{trace_id}}/info", "run.read", get_info),
)

"""The prediction log over HTTP: rows as Arrow, Parquet or lines of JSON, of any size."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Annotated

import msgspec
import polars as pl
from starlette.responses import Response, StreamingResponse

from homeostat.doors.api import routing
from homeostat.foundation.blobs import flow
from homeostat.lifecycle.loop import selecting
from homeostat.lifecycle.predictions import scan

Instant = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
MEDIA = {
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/x-ndjson",
}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows and columns of a log, and how they are written."""

    format: scan.Format = "arrow"
    as_of: Annotated[
        Instant | None, msgspec.Meta(description="milliseconds UTC; what was known then")
    ] = None
    since: Annotated[Instant | None, msgspec.Meta(description="served from then on")] = None
    until: Annotated[Instant | None, msgspec.Meta(description="served before then")] = None
    versions: Annotated[
        tuple[str, ...], msgspec.Meta(description="members such as 3, composites such as 3+4")
    ] = ()
    columns: Annotated[tuple[str, ...], msgspec.Meta(description="only these")] = ()
    with_labels: bool = False
    answered: Annotated[
        bool | None, msgspec.Meta(description="only answers, or only shadows; both")
    ] = None
    after_row: Annotated[
        int, msgspec.Meta(ge=-1, le=2**53, description="for a page: rows behind this one")
    ] = -1
    limit: Annotated[
        Limit | None, msgspec.Meta(description="for a page: at most so many rows")
    ] = None


async def read(call: routing.Call) -> Response:
    """Return rows of a deployment's log, in its order, piece by piece."""
    asked: Asked = call.query
    wanted = scan.Wanted(
        as_of=asked.as_of,
        since=asked.since,
        until=asked.until,
        versions=asked.versions,
        columns=asked.columns,
        with_labels=asked.with_labels,
        answered=asked.answered,
        after_row=asked.after_row,
        limit=asked.limit,
    )
    name = str(call.path_params["name"])
    found = await call.read(
        lambda tx: scan.prepare(tx, call.actor, call.house, deployment=name, wanted=wanted)
    )
    if asked.limit is not None:
        page = await call.work(lambda: found.page(call.house))
        frames, schema = iter([page]), page.schema
    else:
        schema = await call.work(lambda: found.schema(call.house))
        frames = found.batches(call.house, schema)
    if asked.with_labels and not asked.columns:
        frames, schema = _with_chances(call, frames), _and_chance(schema)
    pieces = scan.written(frames, schema, form=asked.format)
    kind = MEDIA[asked.format]
    data = await flow.give(pieces, on_thread=call.work)
    if isinstance(data, bytes):
        return Response(data, media_type=kind)
    return StreamingResponse(data, media_type=kind)


def _with_chances(call: routing.Call, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Say beside each label with which chance the row got its answer; see `selecting`."""
    for frame in frames:
        look = functools.partial(selecting.drawn, rows=frame)
        yield call.house.read(look, project=call.project)


def _and_chance(schema: pl.Schema) -> pl.Schema:
    return pl.Schema({**schema, selecting.CHANCE: pl.Float64()})


ROUTES = (
    routing.Route(
        "GET",
        "/api/deployments/{name}/predictions",
        "prediction.read",
        read,
        answer=bytes,
        query=Asked,
        summary="Rows of the log: as of an instant, by version and time, with labels",
    ),
)

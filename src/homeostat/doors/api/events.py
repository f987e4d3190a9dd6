"""The event log as a list, a long poll and a stream; read by pages, SDK and predictor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from starlette.responses import StreamingResponse

from homeostat.doors.api import routing
from homeostat.foundation import errors, events
from homeostat.foundation.database import Transaction

HEARTBEAT_S = 15.0
BATCH = 200
LONGEST_WAIT_S = 55.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are asked for."""

    after: Annotated[int, msgspec.Meta(ge=0, description="last seq that was seen")] = 0
    kind: Annotated[tuple[str, ...], msgspec.Meta(description="only these kinds")] = ()
    subject: Annotated[str, msgspec.Meta(description="only this reference")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="events a page")] = 100
    newest_first: Annotated[bool, msgspec.Meta(description="latest first")] = False
    wait_s: Annotated[
        float,
        msgspec.Meta(ge=0, le=LONGEST_WAIT_S, description="seconds to wait for the first one"),
    ] = 0.0


class Streamed(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are streamed."""

    after: Annotated[
        int | None,
        msgspec.Meta(description="last seq that was seen; from now on when not given"),
    ] = None
    kind: Annotated[tuple[str, ...], msgspec.Meta(description="only these kinds")] = ()
    subject: Annotated[str, msgspec.Meta(description="only this reference")] = ""


async def read(call: routing.Call) -> list[events.Event]:
    """Return events in order, waiting for the first one where that is asked."""
    wanted: Wanted = call.query

    def fetch(tx: Transaction) -> list[events.Event]:
        return events.read(
            tx,
            after=wanted.after,
            kinds=wanted.kind or None,
            subject=wanted.subject or None,
            limit=wanted.limit,
            newest_first=wanted.newest_first,
        )

    return await call.read_until(fetch, bool, timeout_s=wanted.wait_s)


async def stream(call: routing.Call) -> StreamingResponse:
    """Answer with server-sent events; ``Last-Event-ID`` resumes where a reader left off."""
    wanted: Streamed = call.query
    resume = call.request.headers.get("last-event-id")
    if resume is not None and not resume.isdigit():
        raise errors.InvalidInputError(f"Last-Event-ID is {resume[:40]!r}, not a number")
    after = int(resume) if resume is not None else wanted.after
    if after is None:
        after = await call.newest()
    return StreamingResponse(
        _lines(call, wanted, after),
        media_type="text/event-stream",
        headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
    )


async def _lines(call: routing.Call, wanted: Streamed, after: int) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    while not call.is_over():
        start = after

        def fetch(tx: Transaction, since: int = start) -> list[events.Event]:
            return events.read(
                tx,
                after=since,
                kinds=wanted.kind or None,
                subject=wanted.subject or None,
                limit=BATCH,
            )

        found = await call.read_until(fetch, bool, timeout_s=HEARTBEAT_S)
        if call.is_over():  # a key that was revoked meanwhile sees nothing more
            return
        for event in found:
            after = event.seq
            data = msgspec.json.encode(event)
            yield b"id: %d\nevent: change\ndata: %s\n\n" % (event.seq, data)
        if not found:
            yield b": still here\n\n"


ROUTES = (
    routing.Route(
        "GET",
        "/api/events",
        "event.read",
        read,
        answer=list[events.Event],
        summary="Events of the log in order; waits for news where asked",
        query=Wanted,
    ),
    routing.Route(
        "GET",
        "/api/events/stream",
        "event.read",
        stream,
        answer=bytes,
        summary="Events as they happen, as server-sent events",
        query=Streamed,
    ),
)

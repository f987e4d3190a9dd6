"""The short way of a request: parsed by uvicorn's protocol, answered without an ASGI task.

`doors/cli/server.py` gives it to uvicorn. A client sends one small request after the other on
a kept connection, and ASGI's scope, task, queue and messages cost more than most answers. What
has a fixed address and a short JSON body is answered from here; everything else, and every
request that comes while another of its connection is answered, goes uvicorn's ordinary way.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import Coroutine
from typing import Any, ClassVar, Final

import httptools
from uvicorn.protocols.http import httptools_impl

from homeostat.doors.mlflow import door, routing

MOST_DIGITS: Final = 6
"""Of a body's length; larger bodies want uvicorn's flow control."""
MOST_HEAD_BYTES: Final = 64 * 1024
TOO_MUCH_HEAD: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)
_FIXED: Final = (
    b"content-type: application/json\r\n"
    b"x-content-type-options: nosniff\r\n"
    b"cache-control: no-store\r\n"
    b"content-length: "
)
_FIXED_NAMES: Final = ("content-type", "content-length")
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in http.HTTPStatus
}


class Exchange:
    """One request that is answered from here; has what uvicorn asks of a cycle.

    Parameters
    ----------
    wire
        Its connection.
    found
        The route.
    keep_alive
        Whether the connection stays open behind the answer.
    """

    __slots__ = (
        *("_coroutine", "_found", "_parts", "_wire", "body", "disconnected", "keep_alive"),
        *("message_event", "more_body", "response_complete"),
    )

    def __init__(self, wire: Wire, found: routing.Line, *, keep_alive: bool) -> None:
        self._wire = wire
        self._found = found
        self._parts: list[bytes] = []
        self._coroutine: Coroutine[Any, Any, routing.Answer | bytes] | None = None
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False
        # uvicorn sets these on whatever is in flight; nobody waits for them here.
        self.body = bytearray()
        self.more_body = True
        self.message_event = _NOBODY

    def add(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self._parts.append(piece)

    def begin(self) -> None:
        """Answer: the body is whole."""
        wire = self._wire
        url = httptools.parse_url(wire.url)
        scope = {
            "type": "http",
            "method": self._found.route.method,
            "path": url.path.decode("ascii"),
            "query_string": url.query or b"",
            "headers": wire.headers,
            "client": wire.client,
        }
        raw = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._coroutine = wire.door.answer(scope, self._found, {}, raw=raw)
        self._step()

    def _step(self, _: object = None) -> None:
        """Go on until the answer is there or something must be waited for.

        A task would do the same and cost as much as a typical read.
        """
        assert self._coroutine is not None
        try:
            waits_for = self._coroutine.send(None)
        except StopIteration as done:
            self._finish(done.value)
            return
        if waits_for is None:
            self._wire.loop.call_soon(self._step)
            return
        waits_for._asyncio_future_blocking = False  # noqa: SLF001 - as a task does
        waits_for.add_done_callback(self._step)

    def _finish(self, answer: routing.Answer | bytes) -> None:
        self.response_complete = True
        wire = self._wire
        if self.disconnected or wire.transport.is_closing():
            return
        if isinstance(answer, bytes):
            status, extra, body = 200, b"", answer
        else:
            assert isinstance(answer.body, bytes)
            status, extra, body = answer.status, _extra(answer.headers), answer.body
        end = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        wire.transport.write(
            b"".join(
                (
                    *(_STATUS_LINES[status], wire.standing_headers(), extra, _FIXED),
                    *(b"%d" % len(body), end, body),
                )
            )
        )
        if not self.keep_alive:
            wire.transport.close()
        wire.on_response_complete()


class Wire(httptools_impl.HttpToolsProtocol):
    """uvicorn's HTTP protocol with the short way for what `door` says may take it."""

    door: ClassVar[door.Door]
    _may_be_short = False
    _is_in_head = False
    _head_bytes = 0
    _memo: ClassVar[tuple[list[tuple[bytes, bytes]], bytes]] = ([], b"")

    def data_received(self, data: bytes) -> None:
        """Take what has arrived; one request of it may go the short way.

        Those sent ahead of their answers wait in uvicorn's pipeline: each is a task that lets
        others in between and waits while the client does not read.
        """
        self._may_be_short = not self.flow.write_paused
        super().data_received(data)
        if self._is_in_head:
            # The parser keeps what is not whole, and would for ever.
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(TOO_MUCH_HEAD)
                self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to count what comes before the body."""
        self._is_in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Choose the way: this one, or uvicorn's."""
        self._is_in_head = False
        found = None
        is_free = self.cycle is None or self.cycle.response_complete
        if self._may_be_short and is_free and not self._is_special():
            self._may_be_short = False
            path, _, _ = self.url.partition(b"?")
            method = self.parser.get_method()
            found = self.door.table.short(method, path)
        if found is None:
            super().on_headers_complete()
            return
        keeps = self.parser.get_http_version() == "1.1" and self.parser.should_keep_alive()
        self.cycle = Exchange(self, found, keep_alive=keeps)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        cycle: Any = self.cycle
        if isinstance(cycle, Exchange) and not cycle.response_complete and not self.pipeline:
            cycle.add(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer, or let uvicorn do it."""
        cycle: Any = self.cycle
        if isinstance(cycle, Exchange) and not cycle.response_complete and not self.pipeline:
            cycle.begin()
        else:
            super().on_message_complete()

    def standing_headers(self) -> bytes:
        """Return the headers uvicorn adds to every answer; it renews them every second."""
        given = self.server_state.default_headers
        known, text = Wire._memo
        if known is not given:
            text = b"".join(name + b": " + value + b"\r\n" for name, value in given)
            Wire._memo = (given, text)
        return text

    def _is_special(self) -> bool:
        """Say whether a request's framing wants uvicorn's care: unknown or large bodies."""
        if self.expect_100_continue or self.parser.should_upgrade():
            return True
        for name, value in self.headers:
            if name == b"transfer-encoding":
                return True
            if name == b"content-length" and len(value) > MOST_DIGITS:
                return True
        return False


def over(asked: door.Door) -> type[Wire]:
    """Return the protocol class that takes the short way to a door."""
    return type("WireOverDoor", (Wire,), {"door": asked})


def _extra(headers: tuple[tuple[str, str], ...]) -> bytes:
    return b"".join(
        f"{name}: {value}\r\n".encode("latin-1")
        for name, value in headers
        if name not in _FIXED_NAMES
    )


_NOBODY: Final = asyncio.Event()

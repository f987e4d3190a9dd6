"""The short way of a request: its head known by its bytes, answered without an ASGI task.

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

from uvicorn.protocols.http import httptools_impl

from homeostat.doors.mlflow import door, routing
from homeostat.doors.wire import heads
from homeostat.foundation import access, errors

MOST_BYTES: Final = 1024 * 1024
"""Of a body; larger ones want uvicorn's flow control."""
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


class Known:
    """What was found out about a head.

    Attributes
    ----------
    line
        Its route; None where it goes uvicorn's way.
    scope
        As much of ASGI's as the door asks for.
    client
        The caller that `admitted` is true of.
    admitted
        Actor and project, where no key decides; None where they must be asked for.
    follows
        Whether the door answers by a plan, without a task.
    fields
        Of a request without a body, once they were read.
    """

    __slots__ = ("admitted", "client", "fields", "follows", "line", "scope")

    def __init__(self, head: heads.Head, line: routing.Line | None) -> None:
        self.line = line
        self.client: tuple[str, int] | None = None
        self.admitted: tuple[access.Actor, str] | None = None
        self.follows = False
        self.fields: Any = None
        self.scope = {
            "type": "http",
            "method": head.method,
            "path": head.path,
            "query_string": head.query,
            "headers": head.pairs,
        }


class Exchange:
    """One request that is answered from here; has what uvicorn asks of a cycle.

    Parameters
    ----------
    wire
        Its connection.
    keep_alive
        Whether the connection stays open behind the answer.
    """

    __slots__ = (
        *("_coroutine", "_wire", "body", "disconnected", "keep_alive", "message_event"),
        *("more_body", "response_complete"),
    )

    def __init__(self, wire: Wire, *, keep_alive: bool) -> None:
        self._wire = wire
        self._coroutine: Coroutine[Any, Any, routing.Answer | bytes] | None = None
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False
        # uvicorn sets these on whatever is in flight; nobody waits for them here.
        self.body = _NO_BODY
        self.more_body = True
        self.message_event = _NOBODY

    def begin(self, known: Known, raw: bytes) -> None:
        """Answer: the body is whole."""
        wire = self._wire
        line = known.line
        assert line is not None
        admitted = wire.admitted(known)
        if known.follows and admitted is not None:

            def fields() -> Any:
                if known.fields is not None:
                    return known.fields
                found = wire.door.fields(line, known.scope, raw)
                if line.route.method == "GET":
                    known.fields = found
                return found

            wire.door.follow(line, admitted, fields, self._finish, caller=id(wire))
            return
        self._coroutine = wire.door.answer(
            {**known.scope, "client": wire.client},
            line,
            {},
            raw=raw,
            admitted=admitted,
        )
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
            begin, body = wire.beginning(), answer
        else:
            assert isinstance(answer.body, bytes)
            body = answer.body
            extra = _extra(answer.headers)
            line = _STATUS_LINES[answer.status]
            begin = b"".join((line, wire.standing_headers(), extra, _FIXED))
        end = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        wire.transport.write(b"%b%d%b%b" % (begin, len(body), end, body))
        if not self.keep_alive:
            wire.transport.close()
        wire.on_answered()


class Wire(httptools_impl.HttpToolsProtocol):
    """uvicorn's HTTP protocol with the short way for what `door` says may take it."""

    door: ClassVar[door.Door]
    _heads: ClassVar = heads.Heads()
    _memo: ClassVar[tuple[list[tuple[bytes, bytes]], bytes, bytes]] = ([], b"", b"")
    _is_between = True  # nothing of a request is in uvicorn's parser
    _is_in_head = False
    _head_bytes = 0
    _head: heads.Head | None = None
    _parts: list[bytes]
    _missing = 0
    _resting: asyncio.TimerHandle | None = None
    _used_at = 0.0

    def data_received(self, data: bytes) -> None:
        """Take what has arrived; a request that comes alone may go the short way.

        Those sent ahead of their answers wait in uvicorn's pipeline: each is a task that lets
        others in between and waits while the client does not read.
        """
        if self._head is not None:
            self._add(data)
            return
        is_free = self.cycle is None or self.cycle.response_complete
        if is_free and self._is_between and not self.flow.write_paused and self._take(data):
            return
        self._used_at = self.loop.time()
        super().data_received(data)
        if self._is_in_head:
            # The parser keeps what is not whole, and would for ever.
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(TOO_MUCH_HEAD)
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._resting is not None:
            self._resting.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to count what comes before the body."""
        self._is_between = False
        self._is_in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the next byte begins a request."""
        self._is_between = True
        super().on_message_complete()

    def on_answered(self) -> None:
        """Turn to the next request; an exchange calls it."""
        if self.pipeline:
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self._used_at = self.loop.time()
        if self._resting is None:
            self._resting = self.loop.call_later(self.timeout_keep_alive, self._rest)

    def admitted(self, known: Known) -> tuple[access.Actor, str] | None:
        """Return who calls, where that is known without looking."""
        if known.client is None or self.client is None or known.client[0] != self.client[0]:
            return None
        return known.admitted

    def standing_headers(self) -> bytes:
        """Return the headers uvicorn adds to every answer; it renews them every second."""
        self.beginning()
        return Wire._memo[1]

    def beginning(self) -> bytes:
        """Return what stands before the length of every answer that is plain JSON."""
        given = self.server_state.default_headers
        known, _, beginning = Wire._memo
        if known is not given:
            text = b"".join(name + b": " + value + b"\r\n" for name, value in given)
            beginning = _STATUS_LINES[200] + text + _FIXED
            Wire._memo = (given, text, beginning)
        return beginning

    def _take(self, data: bytes) -> bool:
        """Answer what came, if it begins with a whole head of the short way."""
        end = data.find(heads.END) + len(heads.END)
        if end < len(heads.END):
            return False
        try:
            head = self._heads.read(data[:end])
        except heads.UnreadableError:
            return False  # uvicorn answers it
        known = head.known
        if known is None:
            known = head.known = self._know(head)
        rest = len(data) - end
        if known.line is None or rest > head.length:
            return False
        self._unset_keepalive_if_required()
        if rest == head.length:
            self._begin(head, data[end:])
        else:
            self._used_at = self.loop.time()
            self._head, self._parts = head, [data[end:]] if rest else []
            self._missing = head.length - rest
        return True

    def _add(self, data: bytes) -> None:
        """Take more of a body that came in parts."""
        head = self._head
        assert head is not None
        self._used_at = self.loop.time()
        self._parts.append(data[: self._missing])
        rest = data[self._missing :]
        self._missing -= len(self._parts[-1])
        if not self._missing:
            self._head = None
            # The parts would stay as long as the connection, and many are open.
            parts, self._parts = self._parts, []
            self._begin(head, b"".join(parts))
            if rest:
                super().data_received(rest)

    def _begin(self, head: heads.Head, raw: bytes) -> None:
        exchange = Exchange(self, keep_alive=head.keeps_alive)
        self.cycle = exchange  # type: ignore[assignment]
        exchange.begin(head.known, raw)

    def _know(self, head: heads.Head) -> Known:
        line = None
        is_special = head.expects or b"upgrade" in head.headers
        if 0 <= head.length <= MOST_BYTES and not is_special and head.version == "1.1":
            path, _, _ = head.target.partition(b"?")
            line = self.door.table.short(head.method.encode(), path)
        known = Known(head, line)
        if line is not None:
            known.follows = self.door.may_follow(line)
            try:
                known.admitted = self.door.admitted({**known.scope, "client": self.client})
                known.client = self.client
            except errors.HomeostatError:
                pass  # asked again, and answered, with every request
        return known

    def _rest(self) -> None:
        """Close a connection on which nothing has come for a while."""
        self._resting = None
        if self.transport.is_closing():
            return
        is_busy = self.cycle is not None and not self.cycle.response_complete
        left = self._used_at + self.timeout_keep_alive - self.loop.time()
        if is_busy or left > 0:
            wait_s = self.timeout_keep_alive if is_busy else left
            self._resting = self.loop.call_later(wait_s, self._rest)
        else:
            self.transport.close()


def over(asked: door.Door) -> type[Wire]:
    """Return the protocol class that takes the short way to a door."""
    return type("WireOverDoor", (Wire,), {"door": asked, "_heads": heads.Heads()})


def _extra(headers: tuple[tuple[str, str], ...]) -> bytes:
    return b"".join(
        f"{name}: {value}\r\n".encode("latin-1")
        for name, value in headers
        if name not in _FIXED_NAMES
    )


MOST_HEAD_BYTES: Final = heads.MOST_BYTES
_NOBODY: Final = asyncio.Event()
_NO_BODY: Final = bytearray()

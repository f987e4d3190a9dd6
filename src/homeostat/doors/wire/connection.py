"""One client's connection: requests one after the other, each whole before it is answered.

Made by `listening` for every connection; gives requests to the door and writes its answers.
"""

from __future__ import annotations

import asyncio
import http
import time
from typing import Final, Protocol, cast

from homeostat.doors.wire import heads
from homeostat.foundation import log

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
AHEAD_BYTES: Final = 64 * 1024
JSON: Final = b"application/json"
_JSON_OK: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    b"x-content-type-options: nosniff\r\ncontent-length: "
)
_LINES: Final = {
    one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n".encode() for one in http.HTTPStatus
}
_LINGER_S: Final = 2.0
_LAST_S: Final = 1.0
_log = log.get(__name__)


class Room:
    """What the unfinished bodies of all connections may take together.

    Parameters
    ----------
    most_bytes
        Beyond it a body that does not come at once is refused.
    """

    def __init__(self, most_bytes: int = 256 * 1024 * 1024) -> None:
        self._most = most_bytes
        self.taken = 0

    def take(self, n_bytes: int) -> bool:
        """Set bytes aside; False where there are not as many."""
        if self.taken + n_bytes > self._most:
            return False
        self.taken += n_bytes
        return True

    def give_back(self, n_bytes: int) -> None:
        """Let others have them."""
        self.taken -= n_bytes


class Door(Protocol):
    """What answers; every request it takes gets exactly one `Exchange.answer`."""

    most_body_bytes: int

    def take(self, exchange: Exchange) -> None:
        """Answer, at once or later."""

    def refuse(self, exchange: Exchange, status: int, why: str) -> None:
        """Answer a request that is refused for its framing."""


class Times:
    """How long a client may take, in seconds."""

    head_s = 10.0
    body_s = 30.0
    idle_s = 75.0
    reading_s = 60.0


class Exchange:
    """One request, and the way back."""

    __slots__ = ("_connection", "_is_answered", "began", "body", "client", "head")

    def __init__(self, connection: Connection, head: heads.Head, body: bytes) -> None:
        self._connection = connection
        self._is_answered = False
        self.head = head
        self.body = body
        self.client = connection.client
        self.began = time.perf_counter()

    @property
    def is_wanted(self) -> bool:
        """Whether its client is still there."""
        return not self._connection.is_over

    def answer(
        self, status: int, body: bytes, *, media: bytes = JSON, more: bytes = b""
    ) -> None:
        """Send the answer; once.

        Parameters
        ----------
        status
            Of HTTP.
        body
            Whole.
        media
            Its type.
        more
            Further header lines, each ending in CRLF.
        """
        if self._is_answered:  # a second answer would be taken for that of the next request
            _log.error("a request was answered twice", path=self.head.path, status=status)
            return
        self._is_answered = True
        connection = self._connection
        keeps = self.head.keeps_alive and not connection.is_last
        end = b"\r\n" if keeps else b"connection: close\r\n\r\n"
        if status == http.HTTPStatus.OK and media is JSON:
            start = b"%b%d\r\n%b%b" % (_JSON_OK, len(body), more, end)
        else:
            start = (
                b"%bcontent-type: %b\r\nx-content-type-options: nosniff\r\n"
                b"content-length: %d\r\n%b%b"
            ) % (_LINES[status], media, len(body), more, end)
        connection.finish(
            start if self.head.method == "HEAD" else start + body, keeps_alive=keeps
        )


class Connection(asyncio.Protocol):
    """A connection's state: reading a head, reading a body, or being answered.

    Parameters
    ----------
    door
        What answers.
    seen
        Heads of the process.
    everyone
        Connections of the process; it enters and leaves by itself.
    room
        For the bodies of all of them.
    """

    __slots__ = (
        *("_ahead", "_buffer", "_chunks", "_deadline", "_door", "_everyone", "_head"),
        *("_is_busy", "_is_dropping", "_is_paused", "_missing", "_parts", "_room", "_seen"),
        "_set_aside",
        *("_transport", "client", "is_last", "is_over"),
    )

    def __init__(
        self, door: Door, seen: heads.Heads, *, everyone: set[Connection], room: Room
    ) -> None:
        self._door = door
        self._room = room
        self._set_aside = 0
        self._seen = seen
        self._everyone = everyone
        self._buffer = b""
        self._head: heads.Head | None = None
        self._chunks: heads.Chunks | None = None
        self._parts: list[bytes] = []
        self._missing = 0
        self._ahead: list[bytes] = []
        self._is_busy = False
        self._is_paused = False
        self._is_dropping = False
        self._deadline = time.monotonic() + Times.idle_s
        self.client: str | None = None
        self.is_last = False
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if isinstance(peer, tuple) else None
        self._everyone.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """End; an answer that comes later goes nowhere."""
        self.is_over = True
        self._give_back()
        self._everyone.discard(self)

    def pause_writing(self) -> None:
        """Wait for a client that does not read; its next request is not begun."""
        self._is_paused = True
        self._deadline = time.monotonic() + Times.reading_s

    def resume_writing(self) -> None:
        """Go on."""
        self._is_paused = False
        self._deadline = time.monotonic() + Times.idle_s
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._is_busy or self._is_paused or self._ahead:
            self._ahead.append(data)
            if sum(map(len, self._ahead)) > AHEAD_BYTES:
                self._transport.pause_reading()
        elif not self._is_dropping:
            self._read(data)

    def look(self, now: float) -> None:
        """Close the connection when its client has taken too long.

        Parameters
        ----------
        now
            Of the monotonic clock.
        """
        if now < self._deadline or (self._is_busy and not self._is_paused):
            return
        if self._head is not None or self._buffer:
            self._refuse(http.HTTPStatus.REQUEST_TIMEOUT, "the request did not come in time")
        else:
            self._transport.abort() if self._is_paused else self._transport.close()

    def drain(self) -> None:
        """Let this be the last request; close at once when there is none."""
        self.is_last = True
        if self._is_busy:
            return
        if self._head is None and not self._buffer:
            self._transport.close()
        else:
            self._deadline = min(self._deadline, time.monotonic() + _LAST_S)

    def abort(self) -> None:
        """Close without waiting for anything."""
        self._transport.abort()

    def finish(self, data: bytes, *, keeps_alive: bool) -> None:
        """Write an answer and turn to the next request.

        Parameters
        ----------
        data
            Head and body.
        keeps_alive
            Whether another request may come.
        """
        self._is_busy = False
        if self.is_over:
            return
        self._transport.write(data)
        if not keeps_alive:
            self._ahead.clear()
            if not self._is_dropping:
                self._transport.close()
            return
        self._deadline = time.monotonic() + Times.idle_s
        if self._ahead:
            # Not from here: a client that sends ahead must not keep others waiting.
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._ahead and not (self._is_busy or self._is_paused or self.is_over):
            data = b"".join(self._ahead)
            self._ahead.clear()
            self._transport.resume_reading()
            self._read(data)

    def _read(self, data: bytes) -> None:
        if self._head is not None:
            self._read_body(data)
            return
        if self._buffer:
            data = self._buffer + data
        end = data.find(heads.END)
        if end < 0:
            self._wait_for_head(data)
            return
        end += 4
        self._buffer = b""
        try:
            head = self._seen.read(data[:end])
        except heads.UnreadableError as error:
            self._refuse(error.status, str(error))
            return
        size = head.length
        if 0 <= size == len(data) - end:  # the usual case: one whole request, nothing behind
            self._begin(head, data[end:])
            return
        self._head = head
        self._missing = size
        self._deadline = time.monotonic() + Times.body_s
        if size < 0:
            self._chunks = heads.Chunks(most_bytes=self._door.most_body_bytes)
        elif size > self._door.most_body_bytes:
            self._refuse_body()
            return
        elif size > len(data) - end and not self._take_room(size):
            return
        if head.expects:
            self._transport.write(CONTINUE)
        self._read_body(data[end:])

    def _wait_for_head(self, data: bytes) -> None:
        if not self._buffer:
            data = data.lstrip(b"\r\n")  # allowed between requests
            if data:
                self._deadline = time.monotonic() + Times.head_s
        self._buffer = data
        if len(data) > heads.MOST_BYTES:
            self._refuse(
                http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the head of a request has up to {heads.MOST_BYTES} bytes",
            )

    def _read_body(self, data: bytes) -> None:
        head = self._head
        assert head is not None
        if self._chunks is not None:
            self._read_chunks(head, data)
            return
        taken = data[: self._missing]
        if taken:
            self._parts.append(taken)
            self._missing -= len(taken)
        if self._missing:
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        self._head = None
        rest = data[len(taken) :]
        if rest:
            self._ahead.append(rest)
        self._begin(head, body)

    def _read_chunks(self, head: heads.Head, data: bytes) -> None:
        chunks = self._chunks
        assert chunks is not None
        try:
            if data:
                chunks.add(data)
        except heads.UnreadableError as error:
            self._refuse(http.HTTPStatus.BAD_REQUEST, str(error))
            return
        if chunks.size > self._door.most_body_bytes:
            self._refuse_body()
        elif chunks.size > self._set_aside and not self._take_room(
            chunks.size - self._set_aside
        ):
            return
        elif chunks.is_whole:
            # Where the parser stopped is not known, so nothing may come behind.
            self.is_last = True
            self._chunks = self._head = None
            self._begin(head, chunks.body)

    def _take_room(self, n_bytes: int) -> bool:
        """Set aside what a body will take; refuse it where others take all there is."""
        if self._room.take(n_bytes):
            self._set_aside += n_bytes
            return True
        self._refuse(
            http.HTTPStatus.SERVICE_UNAVAILABLE,
            "too many large requests are being sent; try again soon",
        )
        return False

    def _give_back(self) -> None:
        if self._set_aside:
            self._room.give_back(self._set_aside)
            self._set_aside = 0

    def _begin(self, head: heads.Head, body: bytes) -> None:
        self._is_busy = True
        self._give_back()
        self._door.take(Exchange(self, head, body))

    def _refuse_body(self) -> None:
        self._is_dropping = True  # read on for a while, or the client never sees the answer
        most = self._door.most_body_bytes
        self._refuse(
            http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the request is larger than {most // 2**20} MiB",
        )
        self._deadline = time.monotonic() + _LINGER_S

    def _refuse(self, status: http.HTTPStatus, why: str) -> None:
        head = self._head or _NO_HEAD
        self._give_back()
        self._head = self._chunks = None
        self._buffer = b""
        self._parts = []
        self.is_last = self._is_busy = True
        self._door.refuse(Exchange(self, head, b""), status.value, why)


_NO_HEAD: Final = heads.Heads().read(b"GET / HTTP/1.0\r\n\r\n")

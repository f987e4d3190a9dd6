"""Heads of requests, parsed by httptools once and known by their bytes from then on.

A client on a kept connection sends the same head again and again. What the parser made of the
same bytes is the same, so it is looked up; used by `connection` and by MLflow's short way.
"""

from __future__ import annotations

import http
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import httptools

END: Final = b"\r\n\r\n"
MOST_BYTES: Final = 64 * 1024
_REMEMBERED: Final = 1024
_REMEMBERED_BYTES: Final = 2048


class UnreadableError(ValueError):
    """What came is no head that can be answered; the connection cannot go on.

    Parameters
    ----------
    why
        A sentence.
    status
        Of HTTP, for the answer.
    """

    def __init__(
        self, why: str, *, status: http.HTTPStatus = http.HTTPStatus.BAD_REQUEST
    ) -> None:
        super().__init__(why)
        self.status = status


class Head:
    """One request line with its headers.

    Attributes
    ----------
    method
        In capitals.
    target
        As it was sent: path and query.
    path, query
        Path with its escapes resolved, and what stands behind the question mark.
    headers
        By name in small letters; of a repeated one the last.
    pairs
        All headers in their order.
    length
        Bytes of the body; -1 when it comes in chunks.
    keeps_alive
        Whether the connection may stay open behind the answer.
    expects
        Whether the client waits for leave before it sends its body.
    version
        ``1.0`` or ``1.1``.
    known
        What the door has found out about this head; lives as long as it is remembered.
    """

    __slots__ = (
        *("expects", "headers", "keeps_alive", "known", "length", "method", "pairs", "path"),
        *("query", "target", "version"),
    )

    def __init__(self, found: _Parsing) -> None:
        self.method = found.method
        self.target = found.target
        self.pairs = found.pairs
        self.headers = dict(found.pairs)
        if len(self.headers) < len(found.pairs) and _is_doubled(found.pairs):
            raise UnreadableError("a request names one Host, and may show one key")
        self.version = found.version
        self.keeps_alive = found.keeps_alive
        self.expects = _expects(self.headers)
        self.length = _length(self.headers, self.version)
        self.known: Any = None
        try:
            url = httptools.parse_url(found.target)
        except httptools.HttpParserInvalidURLError:
            raise UnreadableError(f"the address {found.target[:80]!r} cannot be read") from None
        self.path = unquote_to_bytes(url.path or b"/").decode("utf-8", "replace")
        self.query: bytes = url.query or b""


class Heads:
    """Heads that were seen; one for all connections of a process."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def read(self, raw: bytes) -> Head:
        r"""Return what a head says.

        Parameters
        ----------
        raw
            From the first byte to the empty line, both included.

        Returns
        -------
        Head
            The same object for the same bytes, while it is remembered.

        Raises
        ------
        UnreadableError
            When it is no head of HTTP/1.

        Examples
        --------
        >>> Heads().read(b"GET /a%20b?c=1 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n").path
        '/a b'
        """
        known = self._known.get(raw)
        if known is not None:
            return known
        found = Head(_Parsing(raw))
        if len(raw) <= _REMEMBERED_BYTES:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[raw] = found
        return found


class Chunks:
    """A body that comes in chunks, read by httptools behind a head of its own.

    Parameters
    ----------
    most_bytes
        Of the body.
    """

    def __init__(self, *, most_bytes: int) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._held = bytearray()
        self._most = most_bytes
        self.size = 0
        self.is_whole = False
        # Not the client's head: an offer in it to speak another protocol would end the parsing.
        self.add(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")

    @property
    def body(self) -> bytes:
        """What has come."""
        return bytes(self._held)

    def add(self, data: bytes) -> None:
        """Take what came; raises UnreadableError where it is no chunk."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise UnreadableError(f"the body's chunks cannot be read: {error}") from None

    def on_body(self, piece: bytes) -> None:
        """Keep a piece; httptools calls it."""
        if self.is_whole:
            return
        self.size += len(piece)
        if self.size <= self._most:
            self._held += piece

    def on_message_complete(self) -> None:
        """Note the end; httptools calls it."""
        self.is_whole = True


class _Parsing:
    """One head on its way through httptools."""

    def __init__(self, raw: bytes) -> None:
        self.target = b""
        self.pairs: list[tuple[bytes, bytes]] = []
        self.is_complete = False
        self.method, self.version, self.keeps_alive = "", "", False
        self.parser = httptools.HttpRequestParser(self)
        try:
            self.parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            self.is_complete = True  # upgrades are not offered: a plain answer says so
        except httptools.HttpParserError as error:
            raise UnreadableError(f"this is no request of HTTP/1.1: {error}") from None
        if not self.is_complete:
            raise UnreadableError("the request's head does not end where it should")

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.pairs.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_complete = True
        # Asked now: behind a message that ends here the parser has forgotten it.
        self.method = self.parser.get_method().decode("ascii")
        self.version = self.parser.get_http_version()
        self.keeps_alive = self.parser.should_keep_alive()


def _is_doubled(pairs: list[tuple[bytes, bytes]]) -> bool:
    """Say whether a header that decides who calls comes twice (RFC 9112, section 3.2)."""
    names = [name for name, _ in pairs if name in {b"host", b"authorization", b"origin"}]
    return len(set(names)) < len(names)


def _expects(headers: dict[bytes, bytes]) -> bool:
    expected = headers.get(b"expect")
    if expected is not None and expected.lower() != b"100-continue":
        raise UnreadableError(
            "only leave to send a body can be expected",
            status=http.HTTPStatus.EXPECTATION_FAILED,
        )
    return expected is not None


def _length(headers: dict[bytes, bytes], version: str) -> int:
    """Return a body's length; -1 for chunks, the only coding there is (RFC 9112, 6.1)."""
    coding = headers.get(b"transfer-encoding")
    if coding is None:
        return int(headers.get(b"content-length", b"0"))
    if version == "1.0":
        raise UnreadableError("chunks came with HTTP/1.0, which has none")
    if coding.strip().lower() != b"chunked":
        raise UnreadableError(
            f"no body can be read in the coding {coding[:40]!r}; chunked is the only one",
            status=http.HTTPStatus.NOT_IMPLEMENTED,
        )
    return -1

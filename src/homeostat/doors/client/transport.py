"""How the SDK speaks HTTP: to a server, or to the application in this very process.

There is one contract and one implementation: without a server the same requests go through
the same application, so that permission, validation and audit cannot be bypassed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar, overload
from urllib.parse import quote

import httpx
import msgspec

from homeostat.doors.client import refusals
from homeostat.foundation import errors

T = TypeVar("T")
Query = Mapping[str, str | int | float | bool | list[str] | tuple[str, ...] | None]

TIMEOUT_S = 60.0
LOCAL_URL = "http://localhost"
PROJECT_HEADER = "x-homeostat-project"
Body = bytes | Iterator[bytes]


class Reply(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes


class Carrier(Protocol):
    """What carries one request there and its answer back."""

    def carry(self, method: str, path: str, *, headers: dict[str, str], body: Body) -> Reply:
        """Send one request and wait for its answer.

        Parameters
        ----------
        method
            ``GET``, ``POST``, ``PUT`` or ``DELETE``.
        path
            From the root, with its query.
        headers
            Names to values.
        body
            Bytes of the request, whole or piece by piece.

        Returns
        -------
        Reply
            Its answer.
        """

    def stream(self, path: str, *, headers: dict[str, str]) -> Iterator[bytes]:
        """Get an answer piece by piece, as far as that goes.

        Parameters
        ----------
        path
            From the root, with its query.
        headers
            Names to values.

        Yields
        ------
        bytes
            Of a successful answer.

        Raises
        ------
        HomeostatError
            What the server raised.
        """

    def close(self) -> None:
        """Let go of connections and threads."""


class HttpCarrier:
    """Carries requests to a server.

    Parameters
    ----------
    url
        Such as ``http://127.0.0.1:5000``.
    timeout_s
        Longest wait for an answer, in seconds.
    token
        Access key shown with every request; none when empty.
    setting
        What says another address, for the hint when nobody answers at this one.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        token: str = "",
        setting: str = "HOMEOSTAT_URL",
    ) -> None:
        self._url = url
        self._setting = setting
        shown = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, timeout=timeout_s, headers=shown)

    def carry(self, method: str, path: str, *, headers: dict[str, str], body: Body) -> Reply:
        """Send one request and wait for its answer.

        Parameters
        ----------
        method
            ``GET``, ``POST``, ``PUT`` or ``DELETE``.
        path
            From the root, with its query.
        headers
            Names to values.
        body
            Bytes of the request, whole or piece by piece.

        Returns
        -------
        Reply
            Its answer.

        Raises
        ------
        UnavailableError
            When nobody answers at the address.
        """
        try:
            answer = self._http.request(method, path, headers=headers, content=body)
        except httpx.TransportError as error:
            raise errors.UnavailableError(
                f"no answer from {self._url}: {str(error) or type(error).__name__}",
                hint=f"start it with `homeostat up`, or say where it is by {self._setting}",
            ) from error
        return Reply(answer.status_code, answer.content)

    def stream(self, path: str, *, headers: dict[str, str]) -> Iterator[bytes]:
        """Get an answer piece by piece.

        Parameters
        ----------
        path
            From the root, with its query.
        headers
            Names to values.

        Yields
        ------
        bytes
            Of a successful answer.

        Raises
        ------
        UnavailableError
            When nobody answers, or the answer ends early.
        """
        try:
            with self._http.stream("GET", path, headers=headers) as answer:
                if not answer.is_success:
                    raise refusals.restored(answer.status_code, answer.read())
                yield from answer.iter_bytes()
        except httpx.TransportError as error:
            raise errors.UnavailableError(
                f"the answer of {self._url} ended early: {str(error) or type(error).__name__}",
                hint="see the server's log, and try again",
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class AppCarrier:
    """Carries requests to an ASGI application on an event loop of its own in this process.

    Parameters
    ----------
    app
        The application.
    on_close
        Called after the loop has stopped.
    """

    def __init__(self, app: Any, *, on_close: Any = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="app", daemon=True)
        self._thread.start()
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        self._http = httpx.AsyncClient(transport=transport, base_url=LOCAL_URL)
        self._on_close = on_close

    def carry(self, method: str, path: str, *, headers: dict[str, str], body: Body) -> Reply:
        """Hand one request to the application and wait for its answer.

        Parameters
        ----------
        method
            ``GET``, ``POST``, ``PUT`` or ``DELETE``.
        path
            From the root, with its query.
        headers
            Names to values.
        body
            Bytes of the request, whole or piece by piece.

        Returns
        -------
        Reply
            Its answer.
        """
        content = body if isinstance(body, bytes) else _pieces(body)
        asking = self._http.request(method, path, headers=headers, content=content)
        answer = asyncio.run_coroutine_threadsafe(asking, self._loop).result()
        return Reply(answer.status_code, answer.content)

    def stream(self, path: str, *, headers: dict[str, str]) -> Iterator[bytes]:
        """Get an answer whole, for the application is in this process.

        Parameters
        ----------
        path
            From the root, with its query.
        headers
            Names to values.

        Yields
        ------
        bytes
            Of a successful answer, at once.
        """
        reply = self.carry("GET", path, headers=headers, body=b"")
        if not 200 <= reply.status < 300:  # noqa: PLR2004 - success
            raise refusals.restored(reply.status, reply.body)
        yield reply.body

    def close(self) -> None:
        """Stop the loop and let go of the application."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(_finish(self._http), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._on_close is not None:
            self._on_close()


async def _pieces(body: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Take each piece on a thread: it may come from a disk or another server."""
    while (piece := await asyncio.to_thread(next, body, None)) is not None:
        yield piece


async def _finish(http: httpx.AsyncClient) -> None:
    """Close the client and end what is left on the loop, such as the event feed."""
    await http.aclose()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


class Transport:
    """Speaks the contract: typed bodies there, typed answers and the same errors back.

    Parameters
    ----------
    carrier
        To a server or into this process.
    project
        Named with every request; None lets the server choose.
    """

    def __init__(self, carrier: Carrier, *, project: str | None = None) -> None:
        self._carrier = carrier
        self._headers = {} if project is None else {PROJECT_HEADER: project}

    @overload
    def call(
        self,
        method: str,
        path: str,
        *,
        answer: type[T],
        query: Query | None = None,
        body: Any = None,
    ) -> T: ...
    @overload
    def call(
        self,
        method: str,
        path: str,
        *,
        answer: None = None,
        query: Query | None = None,
        body: Any = None,
    ) -> None: ...

    def call(
        self,
        method: str,
        path: str,
        *,
        answer: Any = None,
        query: Query | None = None,
        body: Any = None,
    ) -> Any:
        """Make one call of the API.

        Parameters
        ----------
        method, path
            As in the route table; parts that come from a user go through `part`.
        answer
            Type of the answer; ``bytes`` for a file; None when nothing is said.
        query
            Query parameters; those that are None are left out.
        body
            A struct or plain data for JSON, or ``bytes`` as they are, whole or as an iterator
            of pieces.

        Returns
        -------
        Any
            The answer, decoded as `answer`.

        Raises
        ------
        HomeostatError
            The same class the server raised.
        """
        headers = dict(self._headers)
        content: Body = b""
        if isinstance(body, Iterator):
            content = body
            headers["content-type"] = "application/octet-stream"
        elif isinstance(body, bytes | bytearray | memoryview):
            content = bytes(body)
            headers["content-type"] = "application/octet-stream"
        elif body is not None:
            content = msgspec.json.encode(body)
            headers["content-type"] = "application/json"
        reply = self._carrier.carry(method, path + _query(query), headers=headers, body=content)
        if reply.status >= 400:  # noqa: PLR2004 - HTTP's border between good and bad
            raise refusals.restored(reply.status, reply.body)
        if answer is None:
            return None
        return reply.body if answer is bytes else msgspec.json.decode(reply.body, type=answer)

    def stream(self, path: str, *, query: Query | None = None) -> Iterator[bytes]:
        """Get a file piece by piece.

        Parameters
        ----------
        path, query
            As for `call`.

        Yields
        ------
        bytes
            In order; from a server not all of them are in memory at once.

        Raises
        ------
        HomeostatError
            The same class the server raised.
        """
        return self._carrier.stream(path + _query(query), headers=dict(self._headers))

    def close(self) -> None:
        """Let go of connections and threads."""
        self._carrier.close()


def part(value: str | int) -> str:
    """Return a name as one part of a path, with everything special escaped.

    Examples
    --------
    >>> part("a/b c")
    'a%2Fb%20c'
    """
    return quote(str(value), safe="")


def _query(query: Query | None) -> str:
    if not query:
        return ""
    pairs: list[tuple[str, str | int | float | bool | None]] = []
    for name, value in query.items():
        values = value if isinstance(value, list | tuple) else (value,)
        pairs.extend((name, _text(one)) for one in values if one is not None)
    return "?" + str(httpx.QueryParams(pairs)) if pairs else ""


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

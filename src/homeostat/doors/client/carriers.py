"""What carries the requests of the SDK: a connection to a server, or the application itself.

Used by `transport`; made by `doors.local` and by what asks a prediction server.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple, Protocol

import httpx

from homeostat.doors.client import refusals
from homeostat.foundation import errors

TIMEOUT_S = 60.0
LOCAL_URL = "http://localhost"
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
    token
        Access key shown with every request; none when empty.
    setting
        What says another address, for the hint when nobody answers at this one.
    """

    def __init__(self, url: str, *, token: str = "", setting: str = "HOMEOSTAT_URL") -> None:
        self._url = url
        self._setting = setting
        shown = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_S, headers=shown)

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

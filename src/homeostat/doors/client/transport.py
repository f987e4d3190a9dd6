"""How the SDK speaks HTTP: to a server, or to the application in this very process.

There is one contract and one implementation: without a server the same requests go through
the same application, so that permission, validation and audit cannot be bypassed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, overload
from urllib.parse import quote

import httpx
import msgspec

from homeostat.doors.client import carriers, refusals

T = TypeVar("T")
Query = Mapping[str, str | int | float | bool | list[str] | tuple[str, ...] | None]

PROJECT_HEADER = "x-homeostat-project"


class Transport:
    """Speaks the contract: typed bodies there, typed answers and the same errors back.

    Parameters
    ----------
    carrier
        To a server or into this process.
    project
        Named with every request; None lets the server choose.
    """

    def __init__(self, carrier: carriers.Carrier, *, project: str | None = None) -> None:
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
        content: carriers.Body = b""
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

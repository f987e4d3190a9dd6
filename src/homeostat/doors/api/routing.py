"""The shape of the one route table; every subject's file at this door fills a part of it.

A route names what it needs: an access action, or the word ``public``. The application refuses
to start on one that does not (DESIGN, section 8, rule 2).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar

import msgspec
from starlette.convertors import Convertor
from starlette.requests import Request
from starlette.routing import compile_path

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House

PUBLIC = "public"
JSON_LIMIT_BYTES = 4 * 1024 * 1024

T = TypeVar("T")


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """Query parameters of a list that is read page by page."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="rows a page")] = 100
    after: Annotated[str, msgspec.Meta(description="last key of the page before")] = ""


class Stream:
    """Says that an endpoint takes its body piece by piece: `call.body` is an async iterator."""


class AsGiven(msgspec.Struct, frozen=True):
    """Says that a page reads its query parameters itself; links to it may carry any."""


class Spine(Protocol):
    """What waits for the event log to grow; the feed of `feed.py`."""

    @property
    def is_draining(self) -> bool:
        """True once the server has begun to stop."""

    def wake(self) -> None:
        """Look at the log now: this process has just committed."""

    async def newest(self, project: str) -> int:
        """Return the last sequence number of the project's log."""

    async def changed(self, project: str, *, after: int, timeout_s: float) -> bool:
        """Wait for an event later than `after`; false when time is up or the server drains.

        Parameters
        ----------
        project
            Whose events.
        after
            Place of the last event that is known.
        timeout_s
            How long to wait, seconds.

        Returns
        -------
        bool
            False when time is up or the server drains.
        """


class Call:
    """One request on its way through an endpoint.

    Parameters
    ----------
    request
        Starlette's request; rarely needed.
    actor, project
        Who calls, and in which project.
    house
        What this process stands on.
    reading
        Runs a function in a thread, so that the event loop stays free.
    spine
        Told of every write; lets an endpoint wait for the next event.
    is_welcome
        Says whether the caller would still be let in.
    """

    __slots__ = (
        *("_is_welcome", "_reading", "_spine", "actor", "body", "house", "project", "query"),
        "request",
    )

    def __init__(
        self,
        request: Request,
        *,
        actor: access.Actor,
        project: str,
        house: House,
        reading: Callable[[Callable[[], Any]], Awaitable[Any]],
        spine: Spine,
        is_welcome: Callable[[], bool],
    ) -> None:
        self.request = request
        self.actor = actor
        self.project = project
        self.house = house
        self.body: Any = None
        self.query: Any = None
        self._reading = reading
        self._spine = spine
        self._is_welcome = is_welcome

    @property
    def path_params(self) -> dict[str, Any]:
        """Parts of the path by their name in the route."""
        found: dict[str, Any] = self.request.path_params
        return found

    def is_over(self) -> bool:
        """Say whether a stream must end: the server stops, or the key shown opens no more."""
        return self._spine.is_draining or not self._is_welcome()

    async def newest(self) -> int:
        """Return the last sequence number of the project's event log."""
        return await self._spine.newest(self.project)

    async def read(self, fn: Callable[[Transaction], T]) -> T:
        """Run `fn` in a read transaction on a thread and return its answer.

        Parameters
        ----------
        fn
            Takes the transaction.

        Returns
        -------
        T
            What `fn` returned.
        """

        def inside() -> T:
            with self.house.database.glance(project=self.project) as tx:
                return fn(tx)

        answer: T = await self._reading(inside)
        return answer

    async def write(self, fn: Callable[[Transaction], T]) -> T:
        """Run `fn` in the writer's next group; returns after the commit.

        Parameters
        ----------
        fn
            Takes the transaction.

        Returns
        -------
        T
            What `fn` returned.
        """
        answer = await self.house.writer.run(fn, project=self.project)
        self._spine.wake()
        return answer

    async def work(self, fn: Callable[[], T]) -> T:
        """Run `fn` on a thread without a transaction (blobs, decoding).

        Parameters
        ----------
        fn
            Takes nothing.

        Returns
        -------
        T
            What `fn` returned.
        """
        answer: T = await self._reading(fn)
        return answer

    async def read_until(
        self,
        fn: Callable[[Transaction], T],
        ready: Callable[[T], bool],
        *,
        timeout_s: float,
    ) -> T:
        """Read, and read again after every new event, until the answer is `ready`.

        Returns the last answer when `timeout_s` seconds have passed or the server drains, so
        that a long poll always ends. Nothing is missed between reading and waiting.

        Parameters
        ----------
        fn
            Takes the transaction.
        ready
            Says whether an answer will do.
        timeout_s
            How long to wait, seconds.

        Returns
        -------
        T
            The last answer, ready or not.
        """
        clock = asyncio.get_running_loop()
        deadline = clock.time() + timeout_s
        while True:
            seen = await self._spine.newest(self.project)
            answer = await self.read(fn)
            left_s = deadline - clock.time()
            if left_s <= 0 or ready(answer):
                return answer
            if not await self._spine.changed(self.project, after=seen, timeout_s=left_s):
                return answer


Endpoint = Callable[[Call], Awaitable[Any]]


class Route(NamedTuple):
    """One line of the table.

    Parameters
    ----------
    method, path
        ``GET`` and a Starlette path such as ``/api/models/{name}/versions/{number:int}``.
    action
        The access action it needs, or ``public``.
    endpoint
        Receives the `Call`; returns what `answer` says, or a Starlette response.
    body
        Type of the JSON body; ``bytes`` takes the body as it is, `Stream` piece by piece; None
        takes none.
    answer
        Type of the JSON answer; ``bytes`` for a file, ``str`` for plain text; None answers 204.
    summary
        One line for the documentation.
    query
        A struct whose fields are the query parameters; None takes none.
    status
        HTTP status of the answer.
    limit_bytes
        Largest body accepted.
    """

    method: str
    path: str
    action: str
    endpoint: Endpoint
    body: Any = None
    answer: Any = None
    summary: str = ""
    query: type[msgspec.Struct] | None = None
    status: int = 200
    limit_bytes: int = JSON_LIMIT_BYTES


class Place(NamedTuple):
    """All routes of one path."""

    pattern: re.Pattern[str]
    convertors: dict[str, Convertor[Any]]
    methods: dict[str, Route]


class Found(NamedTuple):
    """Where a request belongs: no place, a place without that method, or a route."""

    route: Route | None
    path_params: dict[str, Any]
    allowed: tuple[str, ...]


class Table:
    """Finds the route of a request; a fixed part of a path wins over a parameter.

    Parameters
    ----------
    routes
        All routes of the application.

    Raises
    ------
    ValueError
        When a route names no known action or a method and path come twice.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            _refuse_unguarded(route)
            methods = by_path.setdefault(route.path, {})
            if route.method in methods:
                raise ValueError(f"two routes for {route.method} {route.path}")
            methods[route.method] = route
        self.routes = tuple(r for methods in by_path.values() for r in methods.values())
        self._places = []
        for path in sorted(by_path, key=_openness):
            pattern, _, convertors = compile_path(path)
            self._places.append(Place(pattern, convertors, by_path[path]))

    def find(self, method: str, path: str) -> Found:
        """Return the route for `method` and `path`, or what is allowed there.

        Parameters
        ----------
        method
            Of the request.
        path
            Of the request, without its query.
        """
        allowed: list[str] = []
        for place in self._places:
            match = place.pattern.match(path)
            if match is None:
                continue
            route = place.methods.get("GET" if method == "HEAD" else method)
            if route is None:
                allowed.extend(place.methods)
                continue
            values = match.groupdict().items()
            params = {name: place.convertors[name].convert(value) for name, value in values}
            return Found(route, params, ())
        return Found(None, {}, tuple(allowed))


def _refuse_unguarded(route: Route) -> None:
    if route.action != PUBLIC and route.action not in access.ACTIONS:
        raise ValueError(
            f"{route.method} {route.path} names no known action: {route.action!r}; "
            "add it to foundation/access/rules.py or say 'public'",
        )


def _openness(path: str) -> tuple[tuple[int, str], ...]:
    """Sort fixed parts before parameters, and those before whole-rest parameters."""
    kinds = []
    for part in path.split("/"):
        is_open = 0 if "{" not in part else 2 if ":path}" in part else 1
        kinds.append((is_open, part))
    return tuple(kinds)

"""The shape of this door's route table; every subject's file fills a part of it.

As at the native API each route names the access action it needs, or says ``public``, and the
door refuses to start on one that does not.
"""

from __future__ import annotations

import re
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import parse_qs

import msgspec

from homeostat.doors.mlflow import lengthy
from homeostat.foundation import access
from homeostat.foundation.database import TooLongError, Transaction
from homeostat.foundation.house import House

PUBLIC = "public"
AT_ONCE_S = 0.002
"""Seconds of CPU that one read may keep the event loop from all others."""
LIMIT_BYTES = 4 * 1024 * 1024
PREFIXES = ("/api", "/ajax-api")

T = TypeVar("T")
_long = lengthy.Questions()
Headers = Mapping[str, str]
Pieces = Iterator[bytes] | AsyncIterator[bytes]


class GoneError(Exception):
    """The client went away before its request was whole: nobody is there to be answered."""


class Ground(Protocol):
    """What the door stands on; the application that serves it."""

    @property
    def house(self) -> House:
        """What this process stands on."""

    @property
    def needs_key(self) -> bool:
        """Whether callers show a key."""

    async def on_thread(self, fn: Callable[[], Any]) -> Any:
        """Run `fn` on a reader thread."""

    def wake(self) -> None:
        """Tell those who wait for events that this process has committed."""


class Answer(NamedTuple):
    """An answer that is not simply JSON with status 200.

    Parameters
    ----------
    status
        Of HTTP.
    headers
        Names in small letters.
    body
        Whole, or in pieces.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes | Pieces = b""


class Call:
    """One request on its way through an endpoint.

    Parameters
    ----------
    ground
        Gives threads and the house.
    actor, project
        Who calls, and in which project.
    scope, receive
        Of ASGI.
    """

    __slots__ = ("_ground", "actor", "body", "path_params", "project", "receive", "scope")

    def __init__(
        self,
        ground: Ground,
        actor: access.Actor,
        project: str,
        *,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        path_params: dict[str, str],
    ) -> None:
        self._ground = ground
        self.actor = actor
        self.project = project
        self.scope = scope
        self.receive = receive
        self.path_params = path_params
        self.body: Any = None

    @property
    def house(self) -> House:
        """What this process stands on."""
        return self._ground.house

    @property
    def method(self) -> str:
        """Of HTTP."""
        return str(self.scope["method"])

    @property
    def headers(self) -> Headers:
        """By name in small letters; the last one counts."""
        return {
            name.decode("latin-1"): v.decode("latin-1") for name, v in self.scope["headers"]
        }

    @property
    def query(self) -> dict[str, list[str]]:
        """Values of the query string by name."""
        text = self.scope["query_string"].decode("latin-1")
        return parse_qs(text, keep_blank_values=True)

    async def read(self, fn: Callable[[Transaction], T]) -> T:
        """Run `fn` in a read transaction on a thread and return its answer."""

        def inside() -> T:
            with self.house.database.glance(project=self.project) as tx:
                return fn(tx)

        answer: T = await self._ground.on_thread(inside)
        return answer

    async def peek(self, fn: Callable[[Transaction], T]) -> T:
        """Do a read of a few prepared statements: at once where no network is between.

        On SQLite a thread would cost several times what such a read takes.
        """
        database = self.house.database
        if database.is_sqlite:
            with database.glance(project=self.project) as tx:
                return fn(tx)
        return await self.read(fn)

    async def glance(self, fn: Callable[[Transaction], T], question: Hashable) -> T:
        """Do a read that is mostly short: as `peek`, but what takes long goes to a thread.

        Parameters
        ----------
        fn
            Called a second time where it was stopped.
        question
            Whatever tells how long it takes; what took long twice in a row is not tried at
            once for a while.
        """
        database = self.house.database
        if database.is_sqlite and not _long.holds(question):
            try:
                with database.glance(project=self.project, most_s=AT_ONCE_S) as tx:
                    found = fn(tx)
            except TooLongError:
                _long.add(question)
            else:
                _long.forgive(question)
                return found
        return await self.read(fn)

    async def write(self, fn: Callable[[Transaction], T]) -> T:
        """Run `fn` in the writer's next group; returns after the commit.

        `fn` may run once more when a neighbour failed: it changes nothing outside its `tx`.
        """
        answer = await self.house.writer.run(fn, project=self.project, may_repeat=True)
        self._ground.wake()
        return answer

    async def work(self, fn: Callable[[], T]) -> T:
        """Run `fn` on a thread without a transaction (blobs, decoding)."""
        answer: T = await self._ground.on_thread(fn)
        return answer

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body piece by piece; `GoneError` when the client went away."""
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise GoneError
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                return


Endpoint = Callable[[Call], Awaitable[Any]]


class Write(msgspec.Struct, frozen=True):
    """A write as an endpoint plans it.

    Parameters
    ----------
    work
        Done in the writer's next group; may run once more when a neighbour failed.
    show
        Makes JSON of what it returned; None for an empty object.
    """

    work: Callable[[Transaction], Any]
    show: Callable[[Any], bytes] | None = None


class Look(msgspec.Struct, frozen=True):
    """A read of a few prepared statements as an endpoint plans it; it returns JSON."""

    read: Callable[[Transaction], bytes]


Plan = Callable[[access.Actor, Any], Write | Look]
"""Says what a request does, of its actor and body, without waiting for anything."""


class Route(NamedTuple):
    """One line of the table.

    Parameters
    ----------
    method
        Of HTTP.
    path
        Behind ``/api`` and ``/ajax-api``, which both serve it, such as
        ``/2.0/mlflow/logged-models/{model_id}``; ``{path:path}`` takes the rest. One that
        begins with ``=`` is the whole path.
    action
        The access action it needs, or ``public``.
    endpoint
        Receives the `Call`; returns a struct or dict (JSON), bytes (JSON already), None (an
        empty object) or an `Answer`.
    body
        Struct of the request's fields: from the query on GET, else from the JSON body. None
        leaves the body to the endpoint.
    limit_bytes
        Largest JSON body accepted.
    plan
        What the endpoint follows, where it does nothing else: `wire` needs no task for it.
    """

    method: str
    path: str
    action: str
    endpoint: Endpoint
    body: type[msgspec.Struct] | None = None
    limit_bytes: int = LIMIT_BYTES
    plan: Plan | None = None


class Line(NamedTuple):
    """A route, ready for requests."""

    route: Route
    decoder: msgspec.json.Decoder[Any] | None


class Table:
    """Finds the route of a request.

    Parameters
    ----------
    routes
        All of the door.

    Raises
    ------
    ValueError
        When a route names no known action, or a method and path come twice.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._exact: dict[tuple[str, str], Line] = {}
        self._short: dict[tuple[bytes, bytes], Line] = {}
        self._open: list[tuple[re.Pattern[str], str, Line]] = []
        for route in self.routes:
            if route.action != PUBLIC and route.action not in access.ACTIONS:
                raise ValueError(f"{route.method} {route.path} names no known action")
            made = Line(route, msgspec.json.Decoder(route.body) if route.body else None)
            for path in addresses(route):
                if "{" in path:
                    self._open.append((_pattern(path), route.method, made))
                elif (route.method, path) in self._exact:
                    raise ValueError(f"two routes for {route.method} {path}")
                else:
                    self._exact[route.method, path] = made
                    if made.decoder is not None:
                        self._short[route.method.encode(), path.encode()] = made
        # Fixed parts first: what takes the rest of a path must not hide them.
        self._open.sort(key=lambda item: ".*" in item[0].pattern)

    def short(self, method: bytes, path: bytes) -> Line | None:
        """Return the route of a request that `wire` may answer: a fixed address, JSON only."""
        return self._short.get((method, path))

    def find(self, method: str, path: str) -> tuple[Line, dict[str, str]] | None:
        """Return the route of a request and the parts of its path, or None."""
        found = self._exact.get((method, path))
        if found is not None:
            return found, {}
        asked = "GET" if method == "HEAD" else method
        if asked != method and (found := self._exact.get((asked, path))) is not None:
            return found, {}
        for pattern, known, made in self._open:
            if known == asked and (match := pattern.fullmatch(path)) is not None:
                return made, match.groupdict()
        return None


def planned(
    method: str,
    path: str,
    action: str,
    plan: Plan,
    *,
    body: type[msgspec.Struct],
    limit_bytes: int = LIMIT_BYTES,
) -> Route:
    """Return the route of an endpoint that only follows a plan; parameters as of `Route`."""

    async def follow(call: Call) -> bytes:
        step = plan(call.actor, call.body)
        if isinstance(step, Look):
            return await call.peek(step.read)
        result = await call.write(step.work)
        return b"{}" if step.show is None else step.show(result)

    return Route(method, path, action, follow, body, limit_bytes, plan)


def addresses(route: Route) -> tuple[str, ...]:
    """Return every path a route is served at.

    Examples
    --------
    >>> addresses(Route("GET", "=/version", "public", None))
    ('/version',)
    """
    if route.path.startswith("="):
        return (route.path[1:],)
    return tuple(prefix + route.path for prefix in PREFIXES)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(:path)?\}", path)
    text = re.escape(parts[0])
    for name, rest, fixed in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += f"(?P<{name}>{'.*' if rest else '[^/]+'})" + re.escape(fixed)
    return re.compile(text, re.DOTALL)

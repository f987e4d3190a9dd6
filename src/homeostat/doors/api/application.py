"""The application: the route table behind its doorway, as one ASGI callable.

`doors/local.py` builds it, for a server process and for the SDK without a server alike.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from homeostat.doors.api import doorway, feed, openapi, problems, routing
from homeostat.foundation import access, errors, events, ids, log
from homeostat.foundation.house import House

READERS = 8
LARGEST = 2**63 - 1
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)

_log = log.get(__name__)


class Page(Protocol):
    """What a page of the web door says about itself."""

    @property
    def method(self) -> str: ...  # noqa: D102 - a field
    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def action(self) -> str: ...  # noqa: D102
    @property
    def endpoint(self) -> Callable[[Any], Any]: ...  # noqa: D102


class Site(Protocol):
    """The web door, as far as the application must know it."""

    @property
    def pages(self) -> Sequence[Page]:
        """Routes that answer HTML, each with its action."""

    def failure(self, problem: problems.Problem) -> Response:
        """Return the page that shows a problem to a person."""


class Side(Protocol):
    """Another protocol at the same address; it admits, answers and refuses by itself."""

    def takes(self, path: str) -> bool:
        """Say whether a path is of this protocol."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""


class Application:
    """One ASGI application over one house.

    Parameters
    ----------
    house
        What this process stands on; the caller closes it.
    routes
        The route table of the API.
    site
        The web pages, if any.
    version
        Of the product, for the OpenAPI document.
    is_inside
        Whether only a client of this very process calls; see `doorway.Visitor`.

    Raises
    ------
    ValueError
        When a route names no known action, or two routes are the same.
    """

    def __init__(
        self,
        house: House,
        routes: Iterable[routing.Route],
        *,
        site: Site | None = None,
        version: str = "0",
        is_inside: bool = False,
    ) -> None:
        self.house = house
        self._site = site
        self.sides: list[Side] = []
        self._visitor = doorway.Visitor(house, is_inside=is_inside)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="read")
        self.feed = feed.Feed(self._newest)
        described = routing.Route(
            "GET",
            "/api/openapi.json",
            routing.PUBLIC,
            self._describe,
            answer=dict[str, Any],
            summary="This document",
        )
        pages = [
            routing.Route(p.method, p.path, p.action, p.endpoint, query=routing.AsGiven)
            for p in (site.pages if site else ())
        ]
        self.table = routing.Table([*routes, described, *pages])
        self._openapi = functools.cache(
            lambda: openapi.document(self.table.routes, version=version),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; ASGI's entry."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here")
        for side in self.sides:
            if side.takes(scope["path"]):
                await side(scope, receive, send)
                return
        guarded = _Guarded(send)
        try:
            response = await self._respond(scope, receive)
            await response(scope, receive, guarded)
        except ClientDisconnect:
            return
        except Exception as error:
            if guarded.has_started:
                _log.exception("an answer broke off", path=scope["path"])
                raise
            response = self._fail(scope, error)
            await response(scope, receive, guarded)

    def add(self, side: Side) -> None:
        """Let another protocol answer what it takes, before the routes are asked."""
        self.sides.append(side)

    @property
    def needs_key(self) -> bool:
        """Whether callers show a key."""
        return self._visitor.needs_key

    def admit(
        self, scope: MutableMapping[str, Any], *, is_public: bool = False
    ) -> tuple[access.Actor, str]:
        """Return actor and project of a request; see `doorway.Visitor.admit`.

        Parameters
        ----------
        scope
            Of ASGI.
        is_public
            Whether no key is needed.
        """
        return self._visitor.admit(scope, is_public=is_public)

    def wake(self) -> None:
        """Tell those who wait for events that this process has committed."""
        self.feed.wake()

    def drain(self) -> None:
        """End streams and long polls, so that the server can stop."""
        self.feed.drain()

    def close(self) -> None:
        """Stop the reader threads."""
        self.feed.drain()
        self._readers.shutdown(wait=True)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        found = self.table.find(scope["method"], scope["path"])
        is_public = found.route is not None and found.route.action == routing.PUBLIC
        actor, project = self._visitor.admit(scope, is_public=is_public)
        if found.route is None:
            return self._show(scope, _nowhere(scope, found.allowed))
        _refuse_huge(found.path_params, "the path")
        scope["path_params"] = found.path_params
        if found.route.action != routing.PUBLIC:
            access.require(actor, found.route.action)
        request = Request(scope, receive)
        call = routing.Call(
            request,
            actor=actor,
            project=project,
            house=self.house,
            reading=self.on_thread,
            spine=self.feed,
            is_welcome=lambda: self._is_welcome(scope),
        )
        call.query = _query(found.route, request)
        call.body = await _body(found.route, request)
        return _answer(found.route, await found.route.endpoint(call))

    def _is_welcome(self, scope: Scope) -> bool:
        try:
            self._visitor.admit(scope)
        except errors.UnauthenticatedError:
            return False
        return True

    def _fail(self, scope: Scope, error: Exception) -> Response:
        path = scope["path"]
        if isinstance(error, errors.HomeostatError):
            if error.http_status >= 500:  # noqa: PLR2004 - ours to look into
                _log.error("request failed", path=path, code=error.code, detail=str(error))
            return self._show(scope, problems.describe(error, instance=path))
        log_id = ids.new_id()
        _log.exception("request failed unexpectedly", log_id=log_id, path=path, exc_info=error)
        return self._show(scope, problems.unhandled(log_id, instance=path))

    def _show(self, scope: Scope, problem: problems.Problem) -> Response:
        wants_page = b"text/html" in dict(scope["headers"]).get(b"accept", b"")
        if self._site is not None and wants_page and not scope["path"].startswith("/api/"):
            page = self._site.failure(problem)
            page.headers.update(problems.headers(problem))
            return page
        return problems.answer(problem)

    async def on_thread(self, fn: Callable[[], Any]) -> Any:
        """Return what `fn` returns, run on a reader thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, fn)

    async def _newest(self, project: str) -> int:
        def read() -> int:
            with self.house.database.read(project=project) as tx:
                return events.last_seq(tx)

        seq: int = await self.on_thread(read)
        return seq

    async def _describe(self, _: routing.Call) -> dict[str, Any]:
        return self._openapi()


class _Guarded:
    """Adds the headers every answer carries and knows whether the answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started = True
            headers = list(message.get("headers", ()))
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*headers, *HEADERS]}
        await self._send(message)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _nowhere(scope: Scope, allowed: tuple[str, ...]) -> problems.Problem:
    path = scope["path"]
    if allowed:
        names = ", ".join(sorted(allowed))
        error: errors.HomeostatError = errors.WrongMethodError(
            f"{path} does not take {scope['method']}",
            hint=f"it takes {names}",
            allowed=names,
        )
        return problems.describe(error, instance=path)
    hint = "see /api/openapi.json for every address" if path.startswith("/api/") else ""
    error = errors.NotFoundError(f"there is nothing at {path[:200]}", hint=hint)
    return problems.describe(error, instance=path)


def _query(route: routing.Route, request: Request) -> Any:
    if route.query is routing.AsGiven:
        return None
    given: dict[str, Any] = dict(request.query_params)
    if not given and route.query is None:
        return None
    known = msgspec.structs.fields(route.query) if route.query is not None else ()
    names = {field.encode_name: field for field in known}
    for name in given:
        if name not in names:
            listed = ", ".join(sorted(names)) or "none"
            raise errors.InvalidInputError(
                f"{request.url.path} has no query parameter {name[:80]!r}",
                hint=f"it has {listed}",
            )
    for name, field in names.items():
        if name in given and _takes_many(field.type):
            given[name] = request.query_params.getlist(name)
    try:
        asked = msgspec.convert(given, route.query, strict=False)
    except msgspec.ValidationError as error:
        raise problems.invalid(error, where="the query") from error
    _refuse_huge(msgspec.structs.asdict(asked), "the query")
    return asked


def _refuse_huge(values: dict[str, Any], where: str) -> None:
    """Refuse whole numbers that no column of a database can hold."""
    for name, value in values.items():
        if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            raise errors.InvalidInputError(
                f"{name} in {where}: expected a whole number up to {LARGEST}", path=name
            )


def _takes_many(kind: Any) -> bool:
    return any(word in repr(kind) for word in ("tuple[", "list["))


async def _body(route: routing.Route, request: Request) -> Any:
    if route.body is None:
        return None
    pieces = _bounded(request, route.limit_bytes)
    if route.body is routing.Stream:
        return pieces
    data = b"".join([piece async for piece in pieces])
    if route.body is bytes:
        return data
    try:
        return msgspec.json.decode(data or b"{}", type=route.body)
    except msgspec.MsgspecError as error:
        raise problems.invalid(error, where="the body") from error
    except RecursionError as error:
        raise errors.InvalidInputError("the body is nested too deeply") from error


async def _bounded(request: Request, limit_bytes: int) -> AsyncIterator[bytes]:
    announced = request.headers.get("content-length", "0")
    size_bytes = int(announced) if announced.isdigit() else 0
    if size_bytes <= limit_bytes:
        size_bytes = 0
        async for piece in request.stream():
            size_bytes += len(piece)
            if size_bytes > limit_bytes:
                break
            yield piece
    if size_bytes > limit_bytes:
        raise errors.TooLargeError(
            f"the body has {size_bytes} bytes or more; {request.url.path} takes {limit_bytes}",
            hint="send less at a time",
            limit_bytes=limit_bytes,
        )


def _answer(route: routing.Route, value: Any) -> Response:
    if isinstance(value, Response):
        return value
    status = openapi.status_of(route)
    if value is None:
        return Response(status_code=status)
    if route.answer is bytes:
        return Response(value, status_code=status, media_type=openapi.OCTETS)
    if route.answer is str:
        return Response(value, status_code=status, media_type=openapi.TEXT)
    return Response(
        msgspec.json.encode(value), status_code=status, media_type="application/json"
    )

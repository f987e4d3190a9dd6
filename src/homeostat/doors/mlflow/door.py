"""The door itself: one ASGI callable that answers what MLflow's clients ask.

`doors/local.py` sets it into the application. There is no framework here: each of the hundreds
of requests a fit makes waits for the one before, so every microsecond is felt.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    MutableMapping,
)
from typing import Any, Final, Protocol

import msgspec

from homeostat.doors.mlflow import decoding, problems, routing
from homeostat.foundation import access, errors, ids, log

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

OURS: Final = ("/api/2.0/", "/api/3.0/", "/ajax-api/", "/graphql")
_SAFE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)
_JSON: Final = (b"content-type", b"application/json")
_BODYLESS: Final = frozenset({"GET", "HEAD"})

_log = log.get(__name__)


class Admit(Protocol):
    """Says who calls, or refuses."""

    def __call__(self, scope: Scope, *, is_public: bool) -> tuple[access.Actor, str]:
        """Return actor and project of a request."""


class Door:
    """MLflow's protocol over one house.

    Parameters
    ----------
    ground
        The application that serves it.
    routes
        The table.
    admit
        Returns actor and project of a request, or refuses it.

    Raises
    ------
    ValueError
        When a route names no known action, or two routes are the same.
    """

    def __init__(
        self, ground: routing.Ground, *, routes: Iterable[routing.Route], admit: Admit
    ) -> None:
        self._ground = ground
        self._admit = admit
        self.table = routing.Table(routes)
        self._outside = frozenset(
            path
            for route in self.table.routes
            if route.path.startswith("=")
            for path in routing.addresses(route)
        )

    def takes(self, path: str) -> bool:
        """Say whether a path is of this protocol."""
        return path.startswith(OURS) or path in self._outside

    def admitted(self, scope: Scope) -> tuple[access.Actor, str] | None:
        """Return who calls, where a head and an address always mean the same.

        Parameters
        ----------
        scope
            Of ASGI.

        Returns
        -------
        tuple or None
            Actor and project; None where a key decides, which may be revoked any time.

        Raises
        ------
        HomeostatError
            When the caller is refused.
        """
        return None if self._ground.needs_key else self._admit(scope, is_public=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing that goes wrong in it leaves here."""
        found = self.table.find(scope["method"], scope["path"])
        if found is None:
            # Without a body: that is how clients learn that a server lacks an endpoint.
            answer: routing.Answer | bytes = routing.Answer(404, ())
        else:
            line, path_params = found
            try:
                answer = await self.answer(scope, line, path_params, receive=receive)
            except routing.GoneError:
                return
        await _send(answer, send, is_head=scope["method"] == "HEAD")

    async def answer(
        self,
        scope: Scope,
        line: routing.Line,
        path_params: dict[str, str],
        *,
        raw: bytes | None = None,
        receive: Receive | None = None,
        admitted: tuple[access.Actor, str] | None = None,
    ) -> routing.Answer | bytes:
        """Return the answer to a request whose route was found.

        Parameters
        ----------
        scope
            Of ASGI; at least method, path, query_string, headers and client.
        line, path_params
            As the table found them.
        raw
            The body where it is known; else it is read from `receive`.
        receive
            Of ASGI; needed where the endpoint reads the body itself.
        admitted
            Actor and project, where `admitted` has said so of the same head.

        Returns
        -------
        Answer or bytes
            Bytes are JSON with status 200; refusals are answers too.

        Raises
        ------
        GoneError
            When the client went away before its body was whole.
        """
        try:
            if admitted is None:
                is_public = line.route.action == routing.PUBLIC
                admitted = self._admit(scope, is_public=is_public)
            actor, project = admitted
            call = routing.Call(
                self._ground,
                actor,
                project,
                scope=scope,
                receive=receive or _nothing,
                path_params=path_params,
            )
            return await _respond(call, line, raw)
        except routing.GoneError:
            raise
        except Exception as error:  # noqa: BLE001 - the last line before the server
            return _refusal(error, scope["path"])

    def follow(
        self,
        line: routing.Line,
        admitted: tuple[access.Actor, str],
        fields: Callable[[], Any],
        tell: Callable[[routing.Answer | bytes], None],
        *,
        caller: int,
    ) -> None:
        """Do what a planned request asks for; needs no task.

        Parameters
        ----------
        line
            Has a plan.
        admitted
            Actor and project.
        fields
            Returns those of the request, or raises.
        tell
            Gets the answer, on the running loop; refusals are answers too.
        caller
            Equal for the requests of one connection.
        """
        actor, project = admitted
        route = line.route
        house = self._ground.house
        try:
            if route.action != routing.PUBLIC:
                access.require(actor, route.action)
            assert route.plan is not None
            step: routing.Write | routing.Look | bytes = route.plan(actor, fields())
            if isinstance(step, routing.Look):
                with house.database.glance(project=project) as tx:
                    step = step.read(tx)
        except Exception as error:  # noqa: BLE001 - the last line before the server
            tell(_refusal(error, route.path))
            return
        if isinstance(step, bytes):
            tell(step)
            return
        show = step.show

        def told(result: Any, error: Exception | None) -> None:
            if error is not None:
                tell(_refusal(error, route.path))
                return
            self._ground.wake()
            try:
                answer = b"{}" if show is None else show(result)
            except Exception as fault:  # noqa: BLE001 - the last line before the server
                tell(_refusal(fault, route.path))
            else:
                tell(answer)

        loop = asyncio.get_running_loop()
        house.writer.ask(step.work, told, loop=loop, caller=caller, project=project)

    def may_follow(self, line: routing.Line) -> bool:
        """Say whether `follow` may be asked: reads only where no network is between."""
        is_read = line.route.method in _BODYLESS
        return line.route.plan is not None and (
            not is_read or self._ground.house.database.is_sqlite
        )

    def fields(self, line: routing.Line, scope: Scope, raw: bytes) -> Any:
        """Return the fields of a request whose body is whole; refuses what is none."""
        assert line.decoder is not None
        given = b"" if line.route.method in _BODYLESS else raw
        return _fields(scope, line.route, line.decoder, given)


def _refusal(error: Exception, path: str) -> routing.Answer:
    """Return the answer that tells of a failure."""
    if isinstance(error, errors.HomeostatError | problems.ToldAsError):
        answer = problems.answer(error)
        if answer.status >= 500:  # noqa: PLR2004 - ours to look into
            _log.error("request failed", path=path, detail=str(error))
        return answer
    if isinstance(error, RecursionError):
        return problems.answer(
            errors.InvalidInputError("something in the request is nested too deep")
        )
    log_id = ids.new_id()
    _log.error("request failed unexpectedly", log_id=log_id, path=path, exc_info=error)
    return problems.unhandled(log_id)


async def _respond(
    call: routing.Call, line: routing.Line, raw: bytes | None
) -> routing.Answer | bytes:
    route, decoder = line
    if route.action != routing.PUBLIC:
        access.require(call.actor, route.action)
    if decoder is not None:
        if call.method in _BODYLESS:
            raw = b""
        elif raw is None:
            raw = await _whole(call.receive, route.limit_bytes)
        call.body = _fields(call.scope, route, decoder, raw)
    answer = await route.endpoint(call)
    if isinstance(answer, routing.Answer | bytes):
        return answer
    return b"{}" if answer is None else msgspec.json.encode(answer)


def _fields(
    scope: Mapping[str, Any],
    route: routing.Route,
    decoder: msgspec.json.Decoder[Any],
    raw: bytes,
) -> Any:
    if len(raw) > route.limit_bytes:
        raise _too_large(len(raw), route.limit_bytes)
    if not raw and (scope["query_string"] or scope["method"] in _BODYLESS):
        assert route.body is not None
        return decoding.query(route.body, scope["query_string"].decode("latin-1"))
    if raw:
        _need_json(scope)
    return decoding.body(decoder, raw)


async def _nothing() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _whole(receive: Receive, limit_bytes: int) -> bytes:
    message = await receive()
    first: bytes = message.get("body", b"")
    return await _rest(first, receive, limit_bytes) if message.get("more_body") else first


async def _rest(first: bytes, receive: Receive, limit_bytes: int) -> bytes:
    parts, size_bytes = [first], len(first)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise routing.GoneError
        parts.append(message.get("body", b""))
        size_bytes += len(parts[-1])
        if size_bytes > limit_bytes:
            raise _too_large(size_bytes, limit_bytes)
        if not message.get("more_body"):
            return b"".join(parts)


def _too_large(size_bytes: int, limit_bytes: int) -> errors.TooLargeError:
    return errors.TooLargeError(
        f"the body has {size_bytes} bytes or more; this address takes {limit_bytes}",
        hint="send less at a time",
        limit_bytes=limit_bytes,
    )


def _need_json(scope: Mapping[str, Any]) -> None:
    for name, value in scope["headers"]:
        if name == b"content-type":
            if value.partition(b";")[0] == b"application/json":
                return
            break
    raise errors.InvalidInputError(
        "Bad Request. Content-Type must be one of ['application/json']."
    )


async def _send(answer: routing.Answer | bytes, send: Send, *, is_head: bool) -> None:
    if isinstance(answer, bytes):
        headers = [(b"content-length", b"%d" % len(answer)), _JSON, *_SAFE]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if is_head else answer})
        return
    given = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in answer.headers]
    names = {name for name, _ in given}
    headers = [*given, *(pair for pair in _SAFE if pair[0] not in names)]
    body = answer.body
    if isinstance(body, bytes) and b"content-length" not in names:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if is_head or isinstance(body, bytes):
        whole = body if isinstance(body, bytes) and not is_head else b""
        await send({"type": "http.response.body", "body": whole})
        return
    async for piece in _asynchronous(body):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _asynchronous(pieces: routing.Pieces) -> AsyncIterator[bytes]:
    if isinstance(pieces, AsyncIterator):
        async for piece in pieces:
            yield piece
        return
    for piece in pieces:
        yield piece

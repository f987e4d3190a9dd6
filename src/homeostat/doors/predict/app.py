"""The prediction server's door: requests in, the engine, answers out; no framework between.

Served by `wire` in every worker. A prediction's way is one look-up, one decoding, its part in a
batch and one encoding, all on the event loop; what may wait for something is a task.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import time
from collections.abc import Awaitable, Callable
from importlib import metadata
from typing import Final

from homeostat.doors.predict import (
    answers,
    asked,
    explaining,
    invocations,
    metrics,
    openapi,
    quick,
    routes,
    v2,
)
from homeostat.doors.wire import connection, heads
from homeostat.foundation import errors, ids, log
from homeostat.foundation.access import callers
from homeostat.lifecycle.serving import engine

BODY_LIMIT_BYTES = 32 * 1024 * 1024
KEY_HEADER = b"x-homeostat-key"
DEPLOYMENT_HEADER = b"x-homeostat-deployment"
VERSION_HEADER = b"x-homeostat-version"
NAME, VERSION = "homeostat", metadata.version("homeostat")
_INFERS = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
_INVOCATIONS = re.compile(r"/models/([^/]+)/invocations")
_INFER: Final = "infer"
_INVOKE: Final = "invoke"
_OTHER: Final = "other"

_log = log.get(__name__)
Page = Callable[[], answers.Reply | Awaitable[answers.Reply]]


class Standing:
    """What the rest of the process tells the door; shown by readiness."""

    def __init__(self) -> None:
        self.is_ready = False


class Way:
    """What a head asks for; found once per head, and kept with it.

    Attributes
    ----------
    kind
        Whether it takes the short way, and by which reader.
    name
        The deployment, for the short way; empty where the only one is meant.
    key
        What the header says a row is known by.
    caller
        The address that was let in with this head; no other one is.
    version, token
        Which version is asked for, and what shows that the caller may.
    is_usual
        Whether the body can be one of the usual forms, answered as usual.
    """

    __slots__ = ("caller", "is_usual", "key", "kind", "name", "token", "version")

    def __init__(self, kind: str, name: str, *, head: heads.Head, caller: str | None) -> None:
        self.kind = kind
        self.name = name
        self.key: str | None = None
        self.caller = caller
        self.version = _text(head, VERSION_HEADER)
        self.token = _token(head)
        is_json = asked.media_type(head.headers) in {"", *asked.JSON}
        others = (b"content-encoding", v2.HEADER_LENGTH)
        is_plain = self.version is None and not any(one in head.headers for one in others)
        self.is_usual = is_json and is_plain


class Predictions:
    """What answers the connections of a worker.

    Parameters
    ----------
    served
        Answers.
    standing
        Whether plans are known.
    body_limit_bytes
        Largest request.
    explains
        What explains answers; nothing does when None.
    """

    def __init__(
        self,
        served: engine.Engine,
        standing: Standing,
        *,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
        explains: explaining.Explaining | None = None,
    ) -> None:
        self.most_body_bytes = body_limit_bytes
        self._engine = served
        self._standing = standing
        self._explains = explains
        self._tasks: set[asyncio.Task[None]] = set()
        self.pages: dict[str, Page] = {
            "/health": self._health,
            "/version": lambda: answers.json({"name": NAME, "version": VERSION}),
            "/ping": lambda: answers.Reply(200, b"\n", answers.TEXT),
            "/openapi.json": lambda: answers.Reply(200, openapi.document(VERSION)),
            "/metrics": self._metrics,
            "/v2": lambda: answers.json(
                {"name": NAME, "version": VERSION, "extensions": v2.EXTENSIONS}
            ),
            "/v2/health/live": lambda: answers.json({"live": True}),
            "/v2/health/ready": self._ready,
        }

    def take(self, exchange: connection.Exchange) -> None:
        """Answer one request; nothing that goes wrong in it leaves here."""
        head = exchange.head
        way = head.known
        try:
            if type(way) is not Way or way.caller != exchange.client:
                way = head.known = _way(head, exchange.client)
            is_usual = way.is_usual and len(exchange.body) <= asked.LARGE_BYTES
            if way.kind is _OTHER or not (is_usual and self._begin(exchange, way)):
                task = asyncio.get_running_loop().create_task(self._answer(exchange, way))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except Exception as error:  # noqa: BLE001 - the outermost loop of this door
            self._fail(exchange, way, error)

    def refuse(self, exchange: connection.Exchange, status: int, why: str) -> None:
        """Answer a request that is refused for its framing."""
        _send(exchange, answers.refusal(status, why))

    def _begin(self, exchange: connection.Exchange, way: Way) -> bool:
        """Let a prediction in its usual form begin; tell whether it did."""
        name = way.name or self._only(exchange.head)
        now = self._engine.find(name)
        if now is None:  # not known, or not in memory: that may take a while
            return False
        if way.kind is _INFER:
            form = now.form
            if form is None:
                form = now.form = quick.Form(now.columns)
            read_row = form.read(exchange.body)
            if read_row is not None:
                row, request_id = read_row
                request = now.admit_checked(row, way.key)
                told = functools.partial(self._told, exchange, way, name, request_id)
                self._engine.begin(now, request, done=told)
                return True
        read = quick.infer if way.kind is _INFER else quick.invocation
        found = read(exchange.body)
        if found is None:
            return False
        keys = None
        if way.key is not None:
            keys = asked.keys_of(None, n_rows=found.n_rows, header=way.key)
        request = now.admit(found.names, found.columns, n_rows=found.n_rows, keys=keys)
        told = functools.partial(self._told, exchange, way, name, found.request_id)
        self._engine.begin(now, request, done=told)
        return True

    def _told(  # noqa: PLR0917 - bound in this order where the request begins
        self,
        exchange: connection.Exchange,
        way: Way,
        name: str,
        request_id: str,
        found: engine.Prediction | BaseException,
    ) -> None:
        if isinstance(found, BaseException):
            self._fail(exchange, way, found)
            return
        try:
            if way.kind is _INFER:
                said: object = v2.write(found, model=name, request_id=request_id)
            else:
                said = invocations.write(found)
            body = answers.encode(said)
        except Exception as error:  # noqa: BLE001 - the outermost loop of this door
            self._fail(exchange, way, error)
            return
        exchange.answer(200, body)
        seconds = time.perf_counter() - exchange.began
        self._engine.meters.observe(name, status=200, seconds=seconds)

    def _fail(
        self, exchange: connection.Exchange, way: Way | None, error: BaseException
    ) -> None:
        """Answer an error; one that is none of ours is told in the log."""
        path = exchange.head.path
        if not isinstance(error, errors.HomeostatError):
            log_id = ids.new_id()
            _log.error("request failed", log_id=log_id, path=path, exc_info=error)
            error = errors.HomeostatError(
                f"the prediction server failed on this; its log has the reason under {log_id}",
                log_id=log_id,
            )
        _send(exchange, answers.problem(error, instance=path))
        status = type(error).http_status
        if way is None or way.kind is _OTHER:
            self._count(exchange, status)
        else:
            name = way.name if way.name in self._engine.names else ""
            seconds = time.perf_counter() - exchange.began
            self._engine.meters.observe(name, status=status, seconds=seconds)

    def _count(self, exchange: connection.Exchange, status: int) -> None:
        head = exchange.head
        metrics.count(
            self._engine,
            head.path,
            named=_text(head, DEPLOYMENT_HEADER) or "",
            status=status,
            seconds=time.perf_counter() - exchange.began,
        )

    async def _answer(self, exchange: connection.Exchange, way: Way) -> None:
        try:
            if way.kind is _OTHER:
                reply = await self._other(exchange, way)
                _send(exchange, reply)
                self._count(exchange, reply.status)
            else:
                await self._predict(exchange, way)
        except Exception as error:  # noqa: BLE001 - the outermost loop of this door
            self._fail(exchange, way, error)

    async def _predict(self, exchange: connection.Exchange, way: Way) -> None:
        """Answer a prediction in an unusual form, or of a deployment that is not in memory."""
        name = way.name or self._only(exchange.head)
        now = await self._engine.reach(name)
        call = asked.Call(
            self._engine,
            now,
            exchange.head.headers,
            exchange.body,
            key=way.key,
            version=way.version,
            token=way.token,
        )
        reply = await (v2.infer if way.kind is _INFER else invocations.invoke)(call)
        _send(exchange, reply)
        seconds = time.perf_counter() - exchange.began
        self._engine.meters.observe(name, status=reply.status, seconds=seconds)

    async def _other(self, exchange: connection.Exchange, way: Way) -> answers.Reply:
        """Answer what is no prediction."""
        head = exchange.head
        page = self.pages.get(head.path.rstrip("/") or "/")
        if page is not None:
            routes.need(head.method, "GET", head.path)
            shown = page()
            return await shown if inspect.isawaitable(shown) else shown
        ask = routes.Ask(
            self._engine,
            head.headers,
            exchange.body,
            only=functools.partial(self._only, head),
            key=way.key,
            asked_version=way.version,
            token=way.token,
            explains=self._explains,
        )
        return await routes.answer(ask, method=head.method, path=head.path)

    def _only(self, head: heads.Head) -> str:
        """Return the deployment that a path without a name means."""
        named = head.headers.get(DEPLOYMENT_HEADER)
        if named is not None:
            return named.decode("latin-1")
        names = self._engine.names
        if len(names) == 1:
            return names[0]
        raise errors.NotFoundError(
            f"{len(names)} deployments are served here, so the request must name one",
            hint=f"send {DEPLOYMENT_HEADER.decode()}: one of {', '.join(names) or 'none yet'}",
        )

    def _health(self) -> answers.Reply:
        return answers.json(
            {
                "status": "ok",
                "version": VERSION,
                "ready": self._standing.is_ready,
                "deployments": list(self._engine.names),
            }
        )

    def _ready(self) -> answers.Reply:
        ready = self._standing.is_ready
        return answers.json({"ready": ready}, status=200 if ready else 503)

    def _metrics(self) -> answers.Reply:
        body = metrics.expose(metrics.measure(self._engine))
        return answers.Reply(200, body, answers.TEXT)


def _way(head: heads.Head, client: str | None) -> Way:
    """Let a caller in, and find what its head asks for."""
    callers.admit(
        head.method,
        address=client,
        host=_text(head, b"host") or "",
        origin=_text(head, b"origin"),
        site=_text(head, b"sec-fetch-site"),
    )
    key = _text(head, KEY_HEADER)
    if key is not None:
        key = asked.key_text(key, where=KEY_HEADER.decode())
    kind, name, version, path = _OTHER, "", "", head.path
    if path == "/invocations":
        routes.need(head.method, "POST", path)
        kind = _INVOKE
    elif head.method == "POST" and (found := _INVOCATIONS.fullmatch(path)):
        kind, name = _INVOKE, found[1]
    elif head.method == "POST" and (found := _INFERS.fullmatch(path)):
        kind, name, version = _INFER, found[1], found[2] or ""
    way = Way(kind, name, head=head, caller=client)
    way.key = key
    if version:
        way.version, way.is_usual = version, False
    return way


def _token(head: heads.Head) -> str | None:
    """Return the key that a request shows, if it shows one that can be read."""
    try:
        return callers.credentials(_text(head, b"authorization"))
    except errors.UnauthenticatedError:
        return None


def _text(head: heads.Head, name: bytes) -> str | None:
    value = head.headers.get(name)
    return None if value is None else value.decode("latin-1")


def _send(exchange: connection.Exchange, reply: answers.Reply) -> None:
    more = reply.more
    if reply.retry_after_s is not None:
        more += b"retry-after: %d\r\n" % reply.retry_after_s
    exchange.answer(reply.status, reply.body, media=reply.media_type, more=more)

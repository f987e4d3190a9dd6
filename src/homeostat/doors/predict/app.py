"""The prediction server as one raw ASGI callable: protocols in, the engine, answers out.

Run by `server`. There is no framework here: the way of a prediction is one dictionary look-up,
one decoding, one batch, one encoding.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from importlib import metadata
from typing import Any
from urllib.parse import unquote

from homeostat.doors.predict import answers, asked, invocations, labelling, metrics, v2
from homeostat.foundation import errors, ids, log
from homeostat.foundation.access import callers
from homeostat.lifecycle.serving import engine

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = dict[bytes, bytes]

BODY_LIMIT_BYTES = 32 * 1024 * 1024
BODY_TIMEOUT_S = 30.0
KEY_HEADER = b"x-homeostat-key"
DEPLOYMENT_HEADER = b"x-homeostat-deployment"
NAME, VERSION = "homeostat", metadata.version("homeostat")
_MODELS = "/v2/models/"
_POSTS = frozenset({"/invocations", "/labels"})

_log = log.get(__name__)


class Standing:
    """What the rest of the process tells the door; shown by readiness."""

    def __init__(self) -> None:
        self.is_ready = False


class Predictions:
    """The ASGI application.

    Parameters
    ----------
    served
        Answers.
    standing
        Whether plans are known.
    body_limit_bytes
        Largest request.
    """

    def __init__(
        self,
        served: engine.Engine,
        standing: Standing,
        *,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> None:
        self._engine = served
        self._standing = standing
        self._limit = body_limit_bytes
        self._pages: dict[str, Callable[[], answers.Reply]] = {
            "/health": self._health,
            "/version": lambda: answers.json({"name": NAME, "version": VERSION}),
            "/metrics": self._metrics,
            "/v2": lambda: answers.json({"name": NAME, "version": VERSION, "extensions": []}),
            "/v2/health/live": lambda: answers.json({"live": True}),
            "/v2/health/ready": self._ready,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing that goes wrong in it leaves here."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        try:
            headers = _admit(scope)
            reply = await self._answer(scope, path, receive, headers=headers)
        except errors.HomeostatError as error:
            reply = answers.problem(error, instance=path)
        except Exception:  # noqa: BLE001 - the outermost loop of this door
            log_id = ids.new_id()
            _log.exception("request failed", log_id=log_id, path=path)
            told = errors.HomeostatError(
                f"the prediction server failed on this; its log has the reason under {log_id}",
                log_id=log_id,
            )
            reply = answers.problem(told, instance=path)
        await _send(send, reply)

    async def _answer(
        self, scope: Scope, path: str, receive: Receive, *, headers: Headers
    ) -> answers.Reply:
        method: str = scope["method"]
        if path.startswith(_MODELS):
            return await self._model(method, path, receive, headers=headers)
        if path in _POSTS:
            _need(method, "POST", path)
            if path == "/labels":
                return await self._label("", headers, receive)
            name = self._only(headers)
            return await self._predict(name, headers, receive, is_v2=False)
        page = self._pages.get(path.rstrip("/") or "/")
        if page is None:
            raise errors.NotFoundError(
                f"there is nothing at {path}", hint="see /v2, /invocations, /labels, /metrics"
            )
        _need(method, "GET", path)
        return page()

    async def _model(
        self, method: str, path: str, receive: Receive, *, headers: Headers
    ) -> answers.Reply:
        name, _, verb = unquote(path[len(_MODELS) :]).partition("/")
        if verb == "infer":
            _need(method, "POST", path)
            return await self._predict(name, headers, receive, is_v2=True)
        if verb == "labels":
            _need(method, "POST", path)
            return await self._label(name, headers, receive)
        if verb in {"", "ready"}:
            _need(method, "GET", path)
            now = self._engine.get(name)
            if verb == "ready":
                return answers.json({"name": name, "ready": True})
            return answers.json(v2.describe(now))
        raise errors.NotFoundError(f"there is nothing at {path}", hint=f"see {_MODELS}{name}")

    async def _predict(
        self, name: str, headers: Headers, receive: Receive, *, is_v2: bool
    ) -> answers.Reply:
        began = time.perf_counter()
        now = self._engine.get(name)
        status = 500
        try:
            body = await self._body(headers, receive)
            key = headers.get(KEY_HEADER)
            header = None if key is None else key.decode("latin-1")
            request: asked.Asked
            if is_v2:
                request = v2.read(body, now, key=header)
            else:
                request = invocations.read(body, now, key=header)
            found = await self._engine.predict(name, request.rows, keys=request.keys)
            if is_v2:
                said = v2.write(found, model=name, request_id=request.request_id)
            else:
                said = invocations.write(found)
            status = 200
            return answers.json(said)
        except errors.HomeostatError as error:
            status = type(error).http_status
            raise
        finally:
            seconds = time.perf_counter() - began
            self._engine.meters.observe(name, status=status, seconds=seconds)

    async def _label(self, name: str, headers: Headers, receive: Receive) -> answers.Reply:
        told, labels = labelling.read(await self._body(headers, receive))
        taken = await self._engine.label(name or told or self._only(headers), labels)
        return answers.json({"accepted": taken}, status=202)

    def _only(self, headers: Headers) -> str:
        """Return the deployment that a path without a name means."""
        named = headers.get(DEPLOYMENT_HEADER)
        if named is not None:
            return named.decode("latin-1")
        names = self._engine.names
        if len(names) == 1:
            return names[0]
        raise errors.NotFoundError(
            f"{len(names)} deployments are served here, so the request must name one",
            hint=f"send {DEPLOYMENT_HEADER.decode()}: one of {', '.join(names) or 'none yet'}",
        )

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._limit:
            raise _too_large(self._limit)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise errors.InvalidInputError(
                            "the caller left before its request ended"
                        )
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self._limit:
                        raise _too_large(self._limit)
                    if not message.get("more_body", False):
                        return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError:
            raise errors.InvalidInputError(
                f"the body did not come within {BODY_TIMEOUT_S:g} s"
            ) from None

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
        logged = self._engine.log
        body = metrics.expose(
            self._engine,
            waiting_segments=len(logged.closed()),
            refused_segments=len(logged.refused()),
        )
        return answers.Reply(200, body, answers.TEXT)


def _admit(scope: Scope) -> Headers:
    """Return the headers of a request that may come in at all."""
    headers: Headers = dict(scope["headers"])
    client = scope.get("client")
    callers.admit(
        scope["method"],
        address=None if client is None else client[0],
        host=_text(headers, b"host") or "",
        origin=_text(headers, b"origin"),
        site=_text(headers, b"sec-fetch-site"),
    )
    return headers


def _text(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def _need(method: str, needed: str, path: str) -> None:
    if method != needed and not (needed == "GET" and method == "HEAD"):
        raise errors.WrongMethodError(
            f"{path} takes {needed}, not {method}", hint=f"send {needed}", allowed=needed
        )


def _too_large(limit: int) -> errors.TooLargeError:
    return errors.TooLargeError(
        f"the request is larger than {limit // 2**20} MiB",
        hint="send fewer rows at a time",
        limit_bytes=limit,
    )


async def _send(send: Send, reply: answers.Reply) -> None:
    headers = [
        (b"content-type", reply.media_type),
        (b"content-length", b"%d" % len(reply.body)),
        (b"x-content-type-options", b"nosniff"),
    ]
    if reply.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % reply.retry_after_s))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})

"""Requests of the group commit and how each of them learns its outcome; `writer` calls it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent import futures
from typing import Any

import msgspec

from homeostat.foundation import errors, log
from homeostat.foundation.database.transaction import Transaction

logger = log.get(__name__)


class Waiting(msgspec.Struct, frozen=True):
    """An answer that is awaited on an event loop.

    Parameters
    ----------
    loop
        Where it is awaited.
    future
        Settled there, for a whole group at once: waking a loop costs more than most writes.
    """

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Told(msgspec.Struct, frozen=True):
    """An answer that is told to a function on an event loop, a whole group at once."""

    loop: asyncio.AbstractEventLoop
    tell: Callable[[Any, Exception | None], None]


class Request(msgspec.Struct, frozen=True):
    """A piece of work with who waits for it."""

    work: Callable[[Transaction], Any]
    project: str
    answer: futures.Future[Any] | Waiting | Told
    may_repeat: bool = False


class Done(msgspec.Struct, frozen=True):
    """A request whose work is done but not committed."""

    request: Request
    tx: Transaction
    result: Any


class Outcome(msgspec.Struct, frozen=True):
    """What a request came to."""

    request: Request
    result: Any
    error: Exception | None


def is_wanted(request: Request) -> bool:
    """Say whether somebody still waits; a future is claimed by that."""
    answer = request.answer
    if isinstance(answer, Told):
        return True
    if isinstance(answer, Waiting):
        return not answer.future.cancelled()
    return answer.set_running_or_notify_cancel()


def undone(requests: list[Request], error: Exception) -> list[Outcome]:
    """Return what those hear whose group was undone."""
    logger.warning("a group of writes was undone", n_requests=len(requests), error=str(error))
    if not isinstance(error, errors.HomeostatError):
        error = errors.UnavailableError(f"the write was undone: {error}", retry_after_s=1)
    return [Outcome(request, None, error) for request in requests]


def settle(outcomes: list[Outcome]) -> None:
    """Answer a group; those who wait on one event loop are told in one go."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        answer = outcome.request.answer
        if isinstance(answer, Waiting | Told):
            by_loop.setdefault(answer.loop, []).append(outcome)
        elif outcome.error is not None:
            answer.set_exception(outcome.error)
        else:
            answer.set_result(outcome.result)
    for loop, told in by_loop.items():
        # A loop that was closed meanwhile has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, told)


def tell(outcomes: list[Outcome]) -> None:
    """Answer those who wait on this very event loop."""
    for outcome in outcomes:
        answer = outcome.request.answer
        if isinstance(answer, Told):
            answer.tell(outcome.result, outcome.error)
            continue
        assert isinstance(answer, Waiting)
        if answer.future.done():
            continue
        if outcome.error is not None:
            answer.future.set_exception(outcome.error)
        else:
            answer.future.set_result(outcome.result)

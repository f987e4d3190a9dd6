"""Content on its way between an event loop and the blob store; the doors pour it through here.

Hashing, sealing and the disk work on a thread while the loop sends or receives the next piece.
At most a few MiB of a content are in memory at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

from homeostat.foundation.blobs.entities import Blob
from homeostat.foundation.blobs.intake import Intake

OnThread = Callable[[Callable[[], Any]], Awaitable[Any]]
STEP_BYTES: Final = 1024 * 1024


async def take(intake: Intake, pieces: AsyncIterator[bytes], *, on_thread: OnThread) -> Blob:
    """Store what arrives; nothing stays when it breaks off.

    Parameters
    ----------
    intake
        Fresh from the house.
    pieces
        The content in order.
    on_thread
        Runs a function on a thread and returns its answer.

    Returns
    -------
    Blob
        Stored, and safe on disk.

    Raises
    ------
    UnavailableError
        When it cannot be written.
    """
    waiting: list[bytes] = []
    n_waiting = 0
    working: asyncio.Future[Any] | None = None
    try:
        async for piece in pieces:
            waiting.append(piece)
            n_waiting += len(piece)
            if n_waiting >= STEP_BYTES:
                if working is not None:
                    await working
                working = _added(intake, waiting, on_thread)
                waiting, n_waiting = [], 0
        if working is not None:
            await working
        rest = waiting

        def finish() -> Blob:
            intake.add(rest)
            return intake.finish()

        blob: Blob = await on_thread(finish)
        return blob
    finally:
        if working is not None and not working.done():
            # The caller is being told of another failure; this one only has to be over.
            with contextlib.suppress(Exception):
                await working
        intake.abandon()


async def give(pieces: Iterator[bytes], *, on_thread: OnThread) -> bytes | AsyncIterator[bytes]:
    """Return what was stored, read ahead by one step.

    The first step is read before this returns, so that what is missing or damaged is found
    before an answer has begun.

    Parameters
    ----------
    pieces
        As the house streams them.
    on_thread
        Runs a function on a thread and returns its answer.

    Returns
    -------
    bytes or AsyncIterator of bytes
        The content, whole where it is no longer than one step.
    """
    first, is_over = await on_thread(lambda: _step(pieces))
    return b"".join(first) if is_over else _given(pieces, first, on_thread=on_thread)


async def _given(
    pieces: Iterator[bytes], first: list[bytes], *, on_thread: OnThread
) -> AsyncIterator[bytes]:
    ready, is_over = first, False
    ahead: asyncio.Future[Any] | None = None
    try:
        while True:
            if not is_over:
                ahead = asyncio.ensure_future(on_thread(lambda: _step(pieces)))
            for piece in ready:
                yield piece
            if ahead is None:
                return
            ready, is_over = await ahead
            ahead = None
    finally:
        if ahead is not None:
            # Nobody wants the piece any more; its thread only has to be done with the file.
            with contextlib.suppress(Exception):
                await ahead
        _close(pieces)


def _added(intake: Intake, pieces: list[bytes], on_thread: OnThread) -> asyncio.Future[Any]:
    return asyncio.ensure_future(on_thread(lambda: intake.add(pieces)))


def _step(pieces: Iterator[bytes]) -> tuple[list[bytes], bool]:
    """Read up to a step; say whether that was the end."""
    found: list[bytes] = []
    n_bytes = 0
    for piece in pieces:
        found.append(piece)
        n_bytes += len(piece)
        if n_bytes >= STEP_BYTES:
            return found, False
    return found, True


def _close(pieces: Iterator[bytes]) -> None:
    """Let go of the file or connection behind what was not read to its end."""
    close = getattr(pieces, "close", None)
    if close is not None:
        close()

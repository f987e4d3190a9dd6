"""Natural batching: what arrives while a batch is being scored is the next batch; no timers.

An idle lane starts at once, so a lone request never waits for company. Called by `engine`, one
lane per composite.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from homeostat.foundation import errors


class Sized(Protocol):
    """A unit of work that fails or succeeds as a whole; it counts its rows."""

    @property
    def n_rows(self) -> int:
        """Rows in it, 1 or more."""


Work = TypeVar("Work", bound=Sized)
Answer = TypeVar("Answer")


class Lane(Generic[Work, Answer]):
    """A queue in front of one composite.

    Parameters
    ----------
    score
        Scores a batch; returns one answer or one exception per unit of work, in order. An
        exception it raises is given to every unit of the batch.
    max_rows
        Rows in a batch; a larger unit is a batch of its own.
    max_waiting
        Rows that may wait; more are refused.
    """

    def __init__(
        self,
        score: Callable[[list[Work]], Awaitable[list[Answer | BaseException]]],
        *,
        max_rows: int = 1024,
        max_waiting: int = 100_000,
    ) -> None:
        self._score = score
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[Work, asyncio.Future[Answer]]] = deque()
        self._n_waiting = 0
        self._drain: asyncio.Task[None] | None = None

    @property
    def n_waiting(self) -> int:
        """Rows that wait for the batch before them."""
        return self._n_waiting

    async def submit(self, work: Work) -> Answer:
        """Have `work` scored with the next batch.

        Parameters
        ----------
        work
            A unit of work.

        Returns
        -------
        Answer
            What `score` said of it.

        Raises
        ------
        UnavailableError
            When too many rows wait already.
        """
        if self._n_waiting and self._n_waiting + work.n_rows > self._max_waiting:
            raise errors.UnavailableError(
                f"{self._n_waiting} rows wait for this model already",
                hint="send fewer at a time, or add a prediction server",
                retry_after_s=1,
            )
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        self._n_waiting += work.n_rows
        if self._drain is None:
            self._drain = asyncio.create_task(self._run())
        return await future

    async def idle(self) -> None:
        """Wait until nothing is waiting or being scored."""
        while self._drain is not None:
            await asyncio.shield(self._drain)

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = self._take()
                try:
                    answers = await self._score([work for work, _ in batch])
                except Exception as error:  # noqa: BLE001 - it belongs to those who wait for it
                    answers = [error] * len(batch)
                for (_, future), answer in zip(batch, answers, strict=True):
                    _settle(future, answer)
        finally:
            self._drain = None

    def _take(self) -> list[tuple[Work, asyncio.Future[Answer]]]:
        batch: list[tuple[Work, asyncio.Future[Answer]]] = []
        n_rows = 0
        while self._waiting:
            coming = self._waiting[0][0].n_rows
            if batch and n_rows + coming > self._max_rows:
                break
            batch.append(self._waiting.popleft())
            n_rows += coming
            self._n_waiting -= coming
        return batch


def _settle(future: asyncio.Future[Answer], answer: Answer | BaseException) -> None:
    if future.done():  # its caller went away
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)

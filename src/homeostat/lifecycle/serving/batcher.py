"""Natural batching: what arrives while a batch is being scored is the next batch; no timers.

An idle lane starts in the same turn of the event loop, behind what has arrived with it, so a
lone request never waits for company. Made by `answering`, one lane per composite.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Container, Sequence
from typing import Any, Generic, Protocol, TypeVar

from homeostat.foundation import errors, log

_log = log.get(__name__)


class Sized(Protocol):
    """A unit of work that fails or succeeds as a whole; it counts its rows."""

    @property
    def n_rows(self) -> int:
        """Rows in it, 1 or more."""


Work = TypeVar("Work", bound=Sized)
Answer = TypeVar("Answer")


def without(batch: Sequence[Work], bad: Container[int]) -> tuple[list[Work], list[int]]:
    """Return the units of a batch that no bad row belongs to.

    Parameters
    ----------
    batch
        Units, their rows one after the other.
    bad
        Rows of the batch.

    Returns
    -------
    tuple
        The units that are left, and their rows in the batch.
    """
    kept: list[Work] = []
    rows: list[int] = []
    start = 0
    for work in batch:
        span = range(start, start + work.n_rows)
        if not any(at in bad for at in span):
            kept.append(work)
            rows.extend(span)
        start += work.n_rows
    return kept, rows


class Turn:
    """Lanes that begin in the same turn of the event loop: all score, then all answer.

    Arms of a plan get their parts of the same arrivals. Scoring them back to back, before the
    answers are written, keeps the processor's caches warm for a canary of a few rows.
    """

    __slots__ = ("_held", "_kept", "_n_coming", "_settle")

    def __init__(self) -> None:
        self._n_coming = 0
        self._held: list[Callable[[], None]] = []
        self._kept: list[Any] = []
        self._settle: Callable[[list[Any]], None] | None = None

    @property
    def is_gathering(self) -> bool:
        """Whether answers are held until other lanes have scored."""
        return self._n_coming > 0 or bool(self._kept)

    def keep(self, one: Any, settle: Callable[[list[Any]], None]) -> None:
        """Have `settle` called once with all that lanes keep, before anything held is told.

        Parameters
        ----------
        one
            To be kept; only while `is_gathering`.
        settle
            What is to be done with all of it; the same for every lane, and raises nothing.
        """
        self._kept.append(one)
        self._settle = settle

    def begin(self, score: Callable[[], None]) -> None:
        """Have a lane score behind what has arrived with its work."""
        self._n_coming += 1
        asyncio.get_running_loop().call_soon(self._next, score)

    def answer(self, tell: Callable[[], None]) -> None:
        """Answer now, or once the lanes that were to score in this turn have."""
        if self._n_coming or self._kept:
            self._held.append(tell)
        else:
            tell()

    def _next(self, score: Callable[[], None]) -> None:
        self._n_coming -= 1
        try:
            score()
        finally:
            if not self._n_coming:
                self._end()

    def _end(self) -> None:
        """All have scored: what is held goes out."""
        kept, self._kept = self._kept, []
        if kept and self._settle is not None:
            self._settle(kept)
        held, self._held = self._held, []
        for tell in held:
            tell()


class Lane(Generic[Work, Answer]):
    """A queue in front of one composite.

    Parameters
    ----------
    score
        ``score(batch, deliver)`` scores a batch and calls `deliver` once, now or later, on the
        event loop: with one answer or one exception per unit of work, in order. An exception
        that it raises is given to every unit of the batch.
    max_rows
        Rows in a batch; a larger unit is a batch of its own.
    max_waiting
        Rows that may wait; more are refused.
    turn
        Shared with the lanes that work arrives for at the same time; its own when None.
    """

    def __init__(
        self,
        score: Callable[[list[Work], Callable[[list[Answer | BaseException]], None]], None],
        *,
        max_rows: int = 1024,
        max_waiting: int = 100_000,
        turn: Turn | None = None,
    ) -> None:
        self._score = score
        self._turn = Turn() if turn is None else turn
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[Work, Callable[[Answer | BaseException], None]]] = deque()
        self._n_waiting = 0
        self._asking: list[Callable[[Answer | BaseException], None]] = []
        self._is_busy = False
        self._idlers: list[asyncio.Future[None]] = []

    @property
    def n_waiting(self) -> int:
        """Rows that wait for the batch before them."""
        return self._n_waiting

    @property
    def is_busy(self) -> bool:
        """Whether anything is waiting or being scored."""
        return self._is_busy

    def submit(self, work: Work, done: Callable[[Answer | BaseException], None]) -> None:
        """Have `work` scored with the next batch.

        Parameters
        ----------
        work
            A unit of work.
        done
            Gets what `score` said of it; never called before this returns.

        Raises
        ------
        UnavailableError
            When too many rows wait already.
        """
        n_rows = work.n_rows
        if self._n_waiting and self._n_waiting + n_rows > self._max_waiting:
            raise errors.UnavailableError(
                f"{self._n_waiting} rows wait for this model already",
                hint="send fewer at a time, or add a prediction server",
                retry_after_s=1,
            )
        self._waiting.append((work, done))
        self._n_waiting += n_rows
        if not self._is_busy:
            self._is_busy = True
            self._turn.begin(self._next)

    async def idle(self) -> None:
        """Wait until nothing is waiting or being scored."""
        while self._is_busy:
            waiter = asyncio.get_running_loop().create_future()
            self._idlers.append(waiter)
            await waiter

    def _next(self) -> None:
        batch: list[Work] = []
        asking = self._asking = []
        n_rows = 0
        waiting = self._waiting
        while waiting:
            coming = waiting[0][0].n_rows
            if batch and n_rows + coming > self._max_rows:
                break
            work, done = waiting.popleft()
            batch.append(work)
            asking.append(done)
            n_rows += coming
        self._n_waiting -= n_rows
        try:
            self._score(batch, self._deliver)
        except Exception as error:
            if self._asking is not asking:  # they have been answered: nobody waits for it
                raise
            self._deliver([error] * len(asking))

    def _deliver(self, answers: list[Answer | BaseException]) -> None:
        asking, self._asking = self._asking, []
        self._turn.answer(functools.partial(self._tell, asking, answers))

    def _tell(
        self,
        asking: list[Callable[[Answer | BaseException], None]],
        answers: list[Answer | BaseException],
    ) -> None:
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        else:
            self._is_busy = False
        for done, answer in zip(asking, answers, strict=True):
            try:
                done(answer)
            except Exception:  # noqa: BLE001 - the neighbours behind it must be told
                _log.exception("an answer was not taken")
        if not self._is_busy:
            idlers, self._idlers = self._idlers, []
            for waiter in idlers:
                if not waiter.done():
                    waiter.set_result(None)

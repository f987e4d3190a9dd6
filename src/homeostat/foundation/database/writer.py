"""Group commit: one thread writes for all, many requests share one commit.

Each server process has one writer, through which every write of its doors goes. A request is
answered only after the commit that holds it, so sharing costs no durability.
"""

from __future__ import annotations

import asyncio
import collections
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any, Final, TypeVar

from homeostat.foundation import errors
from homeostat.foundation.database import answers, committing, engine, gathering
from homeostat.foundation.database.transaction import Transaction

T = TypeVar("T")

# How long a busy writer waits for those it has just answered to ask again.
LINGER_S: Final = 0.0005
# Groups done on the writer's thread after some took long.
_ELSEWHERE: Final = 64


class Writer:
    """A thread that commits what it is given, in order of arrival.

    Parameters
    ----------
    database
        Where to write; stays open when the writer closes.
    capacity
        Requests that may wait; more are refused at once rather than late.
    group
        Requests that may share a commit; 1 means a commit for each.
    """

    def __init__(
        self, database: engine.Database, *, capacity: int = 10_000, group: int = 256
    ) -> None:
        self._capacity = capacity
        self._group = group
        self._waiting: collections.deque[answers.Request] = collections.deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._wanted = 1
        self._committer = committing.Committer(database)
        # Which thread writes; 0 when none does.
        self._turn = 0
        self._may_here = database.is_sqlite
        self._n_elsewhere = 0
        self._gatherings: dict[asyncio.AbstractEventLoop, gathering.Gathering] = {}
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[Transaction], T], *, project: str = "default"
    ) -> futures.Future[T]:
        """Queue some work.

        Parameters
        ----------
        work
            Called with the transaction, on the writer's thread; short, without network or
            waiting, since all other writes wait for it. What it raises undoes it alone.
        project
            Namespace of the transaction.

        Returns
        -------
        concurrent.futures.Future
            What `work` returned, once it is committed; or what it raised.

        Raises
        ------
        UnavailableError
            When the queue is full or the writer is closed.
        """
        answer: futures.Future[T] = futures.Future()
        self._queue(answers.Request(work, project, answer))
        return answer

    def _queue(self, *requests: answers.Request) -> None:
        with self._changed:
            if self._is_closed:
                raise errors.UnavailableError("the server is stopping and takes no more writes")
            if len(self._waiting) + len(requests) > self._capacity:
                raise errors.UnavailableError(
                    f"{self._capacity} writes are waiting already",
                    hint="try again in a second",
                    retry_after_s=1,
                )
            self._waiting.extend(requests)
            if len(self._waiting) >= self._wanted:
                self._changed.notify()

    def write(self, work: Callable[[Transaction], T], *, project: str = "default") -> T:
        """Queue some work and wait for its commit.

        Parameters
        ----------
        work, project
            As for `submit`.

        Returns
        -------
        object
            What `work` returned.

        Raises
        ------
        UnavailableError
            When the queue is full, the writer is closed or the database gave out.
        """
        if self._turn == threading.get_ident():
            raise RuntimeError("a write inside a write would wait for itself; use its tx")
        return self.submit(work, project=project).result()

    async def run(
        self,
        work: Callable[[Transaction], T],
        *,
        project: str = "default",
        may_repeat: bool = False,
    ) -> T:
        """Queue some work and await its commit, from an event loop.

        Parameters
        ----------
        work, project
            As for `submit`.
        may_repeat
            Whether `work` may be called once more on a new transaction when a neighbour's
            failure undid it: it changes nothing but what its transaction writes.

        Returns
        -------
        object
            What `work` returned.

        Raises
        ------
        UnavailableError
            When the queue is full, the writer is closed or the database gave out.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue(answers.Request(work, project, answers.Waiting(loop, future), may_repeat))
        return await future

    def ask(
        self,
        work: Callable[[Transaction], T],
        tell: Callable[[Any, Exception | None], None],
        *,
        loop: asyncio.AbstractEventLoop,
        caller: int,
        project: str = "default",
    ) -> None:
        """Do some work with what its loop is asked for at about the same time.

        For doors with many small writes: nothing is awaited, and where the disk is quick it
        is done on the loop itself.

        Parameters
        ----------
        work
            As for `run`; it may repeat.
        tell
            Called on the loop with the result and None, or None and what was raised.
        loop
            The running one.
        caller
            Equal for requests that never come together, as those of one connection.
        project
            Namespace of the transaction.
        """
        request = answers.Request(work, project, answers.Told(loop, tell), may_repeat=True)
        found = self._gatherings.get(loop)
        if found is None:
            found = gathering.Gathering(loop, self._hand_over, most=self._group)
            self._gatherings[loop] = found
        found.add(request, caller)

    def _hand_over(self, group: list[answers.Request]) -> None:
        outcomes = self._here(group)
        if outcomes is None:
            try:
                self._queue(*group)
            except errors.UnavailableError as error:
                outcomes = [answers.Outcome(request, None, error) for request in group]
            else:
                return
        answers.tell(outcomes)

    def _here(self, group: list[answers.Request]) -> list[answers.Outcome] | None:
        """Do a group on this thread, its loop's; None where it must wait for its turn.

        A commit to a quick disk takes less than to wake another thread and come back.
        """
        if self._n_elsewhere:
            self._n_elsewhere -= 1
            return None
        with self._changed:
            is_next = not (self._turn or self._waiting or self._is_closed)
            if not is_next or not self._may_here or len(group) > self._group:
                return None
            self._turn = threading.get_ident()
        try:
            return self._committer.serve(group, is_patient=False)
        except engine.OccupiedError:
            return None
        finally:
            self._end_turn()

    def waiting(self) -> int:
        """Return how many requests wait for their turn."""
        return len(self._waiting)

    def close(self) -> None:
        """Take no more work, finish what was taken, end the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        n_answered = 0
        while (group := self._next_group(n_answered)) is not None:
            n_answered = 0
            try:
                if group:
                    answers.settle(self._committer.serve(group))
                    n_answered = len(group)
                else:
                    self._committer.checkpoint()
            finally:
                self._end_turn()

    def _next_group(self, n_answered: int) -> list[answers.Request] | None:
        """Take the turn for a group, an empty one when a checkpoint is due; None at the end."""
        with self._changed:
            self._linger(n_answered)
            while True:
                if not self._turn:
                    if self._committer.owes_checkpoint:
                        self._turn = threading.get_ident()
                        return []
                    group = self._taken()
                    if group:
                        self._turn = threading.get_ident()
                        return group
                    if self._is_closed:
                        return None
                self._changed.wait()

    def _taken(self) -> list[answers.Request]:
        """Take those of the queue that somebody still waits for."""
        while self._waiting:
            n = min(len(self._waiting), self._group)
            taken = [self._waiting.popleft() for _ in range(n)]
            wanted = [request for request in taken if answers.is_wanted(request)]
            if wanted:
                return wanted
        return []

    def _linger(self, n_answered: int) -> None:
        """Let those just answered join the ones that wait: half the commits under load."""
        if n_answered > 1 and self._group > 1 and not self._is_closed:
            self._wanted = min(len(self._waiting) + n_answered, self._group)
            if len(self._waiting) < self._wanted:
                self._changed.wait(LINGER_S)
            self._wanted = 1

    def _end_turn(self) -> None:
        if self._committer.is_slow:
            self._n_elsewhere = _ELSEWHERE
        with self._changed:
            self._turn = 0
            if self._waiting or self._is_closed or self._committer.owes_checkpoint:
                self._changed.notify()

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
from typing import Any, TypeVar

import sqlalchemy as sa

from homeostat.foundation import errors
from homeostat.foundation.database import answers, borders, engine, shared, transaction
from homeostat.foundation.database.transaction import Transaction

T = TypeVar("T")

# How long a busy writer waits for those it has just answered to ask again: in pauses, of which
# one that keeps somebody waiting and brings few others is the last.
LINGER_S = 0.0005
_MOST_PAUSES = 6
_SHARE = 8
# Groups done with a savepoint for each request after one had to be done again.
CAREFUL_GROUPS = 32


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
        self._database = database
        self._capacity = capacity
        self._group = group
        self._waiting: collections.deque[answers.Request] = collections.deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._wanted = 1
        self._n_careful = 0
        self._known = shared.Known()
        self._asked: dict[asyncio.AbstractEventLoop, list[answers.Request]] = {}
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
        if threading.current_thread() is self._thread:
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
        project: str = "default",
    ) -> None:
        """Queue some work with what its loop is asked for in the same turn.

        For doors with many small writes: nothing is awaited, and the writer is woken once.

        Parameters
        ----------
        work
            As for `run`; it may repeat.
        tell
            Called on the loop with the result and None, or None and what was raised.
        loop
            The running one.
        project
            Namespace of the transaction.
        """
        request = answers.Request(work, project, answers.Told(loop, tell), may_repeat=True)
        asked = self._asked.get(loop)
        if asked is None:
            asked = self._asked[loop] = []
        asked.append(request)
        if len(asked) == 1:
            loop.call_soon(self._hand_over, loop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        asked = self._asked.pop(loop)
        try:
            self._queue(*asked)
        except errors.UnavailableError as error:
            answers.tell([answers.Outcome(request, None, error) for request in asked])

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
        while group := self._next_group(n_answered):
            self._serve(group)
            n_answered = len(group)

    def _next_group(self, n_answered: int) -> list[answers.Request]:
        with self._changed:
            self._linger(n_answered)
            while True:
                while self._waiting:
                    n = min(len(self._waiting), self._group)
                    taken = [self._waiting.popleft() for _ in range(n)]
                    wanted = [request for request in taken if answers.is_wanted(request)]
                    if wanted:
                        return wanted
                if self._is_closed:
                    return []
                self._changed.wait()

    def _linger(self, n_answered: int) -> None:
        """Let those just answered join the ones that wait, as long as they keep coming.

        What all send together is cheaper than in two commits, and while one is made nobody
        competes with it for the interpreter.
        """
        if n_answered > 1 and self._group > 1 and not self._is_closed:
            self._wanted = min(len(self._waiting) + n_answered, self._group)
            for _ in range(_MOST_PAUSES):
                n_before = len(self._waiting)
                if n_before >= self._wanted:
                    break
                self._changed.wait(LINGER_S)
                if n_before and len(self._waiting) - n_before <= self._wanted // _SHARE:
                    break
            self._wanted = 1

    def _serve(self, group: list[answers.Request]) -> None:
        failed: list[answers.Outcome] = []
        try:
            done = self._commit(group, failed)
        except Exception as error:  # noqa: BLE001 - the thread must outlive every failure
            self._known.drop(None)
            told = {id(outcome.request) for outcome in failed}
            answers.settle(
                [*failed, *answers.undone([r for r in group if id(r) not in told], error)]
            )
            return
        # Observers first: who reads after their answer must find caches up to date.
        for item in done:
            borders.call_back(item.tx)
        answers.settle(
            [*failed, *(answers.Outcome(item.request, item.result, None) for item in done)]
        )

    def _commit(
        self, group: list[answers.Request], failed: list[answers.Outcome]
    ) -> list[answers.Done]:
        """Do the work of a group and commit it; what fails is undone alone."""
        is_shared = len(group) > 1
        if is_shared and self._n_careful == 0 and all(r.may_repeat for r in group):
            done = self._attempt(group, failed, is_careful=False)
            if done is not None:
                return done
            failed.clear()
            self._n_careful = CAREFUL_GROUPS
        self._n_careful = max(0, self._n_careful - 1)
        done = self._attempt(group, failed, is_careful=is_shared)
        assert done is not None
        return done

    def _attempt(
        self, group: list[answers.Request], failed: list[answers.Outcome], *, is_careful: bool
    ) -> list[answers.Done] | None:
        """Do the work of a group in one transaction; None, and undone, as `_do` says."""
        with self._database.group() as connection:
            # Straight to the driver: both have `execute`, and three statements a request
            # through SQLAlchemy would cost as much as the work itself.
            raw: Any = connection.connection.dbapi_connection
            self._known.begin(raw, is_sqlite=self._database.is_sqlite)
            done = self._do(connection, group, failed, mark=raw.execute if is_careful else None)
            if done:
                borders.commit(connection)
            else:
                borders.give_up(connection)
        return done

    def _do(
        self,
        connection: sa.Connection,
        group: list[answers.Request],
        failed: list[answers.Outcome],
        *,
        mark: Callable[[str], Any] | None,
    ) -> list[answers.Done] | None:
        """Do the work, each between savepoints set by `mark`.

        Without `mark` None is returned when one of several requests left something to undo:
        savepoints cost a quarter of a small write and are needed by few groups.
        """
        done: list[answers.Done] = []
        common = shared.Shared(self._known, self._database.told())
        signer = self._database.signer
        is_joint = mark is None and len(group) > 1
        for request in group:
            if mark:
                mark("SAVEPOINT request")
            before = dict(common.memo)
            tx = Transaction(connection, project=request.project, signer=signer, shared=common)
            try:
                result = request.work(tx)
                if not is_joint:
                    tx.flush()
            except Exception as error:
                if tx.is_broken:
                    # The database itself gave out: no savepoint can be trusted any more.
                    raise
                if is_joint and tx.has_marks:
                    self._known.drop(None)
                    return None
                if mark:
                    mark("ROLLBACK TO SAVEPOINT request")
                self._forget(tx, common, before)
                failed.append(answers.Outcome(request, None, error))
            else:
                done.append(answers.Done(request, tx, result))
            if mark:
                mark("RELEASE SAVEPOINT request")
        return done if self._settled(connection, common, is_joint=is_joint) else None

    def _forget(self, tx: Transaction, common: shared.Shared, before: dict[Any, Any]) -> None:
        """Forget what a request left that failed."""
        if tx.has_marks:
            self._known.drop(None)
            common.pending.clear()
        common.memo.clear()
        common.memo.update(before)

    def _settled(
        self, connection: sa.Connection, common: shared.Shared, *, is_joint: bool
    ) -> bool:
        """Do what was put off; False when a row that waited was refused, nobody knows whose."""
        try:
            transaction.settle(connection, common, signer=self._database.signer)
        except errors.HomeostatError as error:
            if not is_joint or isinstance(error, errors.UnavailableError):
                raise
            self._known.drop(None)
            return False
        return True

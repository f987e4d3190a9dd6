"""Threads for what must not hold up the event loop: slow models and the disk.

Used by `answering`. A model that hangs cannot be stopped inside its process: its batch is
answered as failed after a while, its thread is given up, and a fresh pool takes its place. A
process that has given up too many says so, and is replaced by its supervisor.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from homeostat.foundation import log

TIMEOUT_S: Final = 10.0
GIVEN_UP_AT_MOST: Final = 8
_log = log.get(__name__)

Found = TypeVar("Found")


class Threads:
    """The threads of one process.

    Parameters
    ----------
    count
        How many batches may be scored at once; one per core unless said.
    timeout_s
        How long a batch may take.
    on_worn
        Called once too many threads hang; the process should be replaced.
    """

    def __init__(
        self,
        count: int | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        on_worn: Callable[[], None] = lambda: None,
    ) -> None:
        self._count = count or os.cpu_count() or 1
        self._timeout_s = timeout_s
        self._on_worn = on_worn
        self._pool = ThreadPoolExecutor(self._count, "homeostat-score")
        self.n_given_up = 0

    def run(
        self,
        work: Callable[[], Found],
        then: Callable[[Found], None],
        *,
        late: Callable[[float], None],
    ) -> None:
        """Score in a thread.

        Parameters
        ----------
        work
            Scores; it must not raise.
        then
            Gets the result on the event loop.
        late
            Called in its place when the time is over, with the seconds that were given.
        """
        loop = asyncio.get_running_loop()
        pool = self._pool
        future = pool.submit(work)
        is_over = False

        def end(done: Future[Found]) -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                timer.cancel()
                then(done.result())

        def give_up() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._replace(pool)
                late(self._timeout_s)

        timer = loop.call_later(self._timeout_s, give_up)
        future.add_done_callback(lambda done: loop.call_soon_threadsafe(end, done))

    def then(
        self, work: Callable[[], None], told: Callable[[BaseException | None], None]
    ) -> None:
        """Do something in a thread and tell how it ended.

        Parameters
        ----------
        work
            What to do.
        told
            Gets None, or the exception, on the event loop.
        """
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(lambda done: told(done.exception()))

    async def call(self, work: Callable[[], Found]) -> Found:
        """Do something in a thread and wait for it.

        Parameters
        ----------
        work
            What to do.

        Returns
        -------
        object
            What it returned.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Let the threads go; one that hangs is not waited for."""
        self._pool.shutdown(wait=self.n_given_up == 0)

    def _replace(self, hung: ThreadPoolExecutor) -> None:
        self.n_given_up += 1
        _log.error("model-hangs", timeout_s=self._timeout_s, given_up=self.n_given_up)
        if self._pool is hung:
            self._pool = ThreadPoolExecutor(self._count, "homeostat-score")
            hung.shutdown(wait=False)
        if self.n_given_up == GIVEN_UP_AT_MOST:
            self._on_worn()

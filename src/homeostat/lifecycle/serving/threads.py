"""Threads for what must not hold up the event loop: slow models, and the disk beside them.

Used by `answering`. A model that hangs cannot be stopped inside its process: its batch is
answered as failed after a while, its thread is given up, and another takes its place. Where all
threads are busy for long, more are started, so that one model's trouble is not its neighbours'.
A process that has given up too many says so, and is replaced by its supervisor.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from homeostat.foundation import log

TIMEOUT_S: Final = 10.0
PATIENCE_S: Final = 0.25
"""How long a batch waits for a thread before one more is started."""
MOST_THREADS: Final = 64
GIVEN_UP_AT_MOST: Final = 8
_log = log.get(__name__)

Found = TypeVar("Found")


class _Job:
    """One batch on its way through a thread."""

    __slots__ = ("end", "is_over", "loop", "started_at", "work")

    def __init__(
        self, work: Callable[[], Any], end: Callable[[Any, BaseException | None], None]
    ) -> None:
        self.work = work
        self.end = end
        self.loop = asyncio.get_running_loop()
        self.started_at: float | None = None
        self.is_over = False


class Threads:
    """The threads of one process.

    Parameters
    ----------
    count
        How many batches are scored at once while none takes long; one per core unless said.
    timeout_s
        How long a batch may take, from its beginning.
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
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._n_threads = 0
        self._n_jobs = 0
        # Of its own: a model that hangs must not keep what is acknowledged from the disk.
        self._disk = ThreadPoolExecutor(1, "homeostat-disk")
        self.n_given_up = 0

    def run(
        self,
        work: Callable[[], Found],
        then: Callable[[Found], None],
        *,
        late: Callable[[float], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Score in a thread.

        Parameters
        ----------
        work
            Scores.
        then
            Gets the result on the event loop.
        late
            Called in its place when the time is over, with the seconds that were given.
        failed
            Called in its place with what `work` raised.
        """

        def end(found: Any, error: BaseException | None) -> None:
            if job.is_over:
                return
            job.is_over = True
            timer[0].cancel()
            self._n_jobs -= 1
            if error is None:
                then(found)
            else:
                failed(error)

        def look() -> None:
            if job.is_over:
                return
            if job.started_at is None:
                self._start()
                timer[0] = job.loop.call_later(first_s, look)
                return
            left = job.started_at + self._timeout_s - time.monotonic()
            if left > 0:
                timer[0] = job.loop.call_later(left, look)
                return
            job.is_over = True
            self._n_jobs -= 1
            self._give_up()
            late(self._timeout_s)

        job = _Job(work, end)
        first_s = min(PATIENCE_S, self._timeout_s)
        timer = [job.loop.call_later(first_s, look)]
        self._n_jobs += 1
        if self._n_threads < min(self._n_jobs, self._count):
            self._start()
        self._jobs.put(job)

    def then(
        self, work: Callable[[], None], told: Callable[[BaseException | None], None]
    ) -> None:
        """Do something on the disk and tell how it ended.

        Parameters
        ----------
        work
            What to do.
        told
            Gets None, or the exception, on the event loop.
        """
        future = asyncio.get_running_loop().run_in_executor(self._disk, work)
        future.add_done_callback(lambda done: told(done.exception()))

    async def call(self, work: Callable[[], Found]) -> Found:
        """Do something on the disk and wait for it.

        Parameters
        ----------
        work
            What to do.

        Returns
        -------
        object
            What it returned.
        """
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)

    def close(self) -> None:
        """Let the threads go; one that hangs is not waited for."""
        for _ in range(self._n_threads):
            self._jobs.put(None)
        self._disk.shutdown()

    def _start(self) -> None:
        if self._n_threads < MOST_THREADS:
            self._n_threads += 1
            name = f"homeostat-score-{self._n_threads}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.started_at = time.monotonic()
            found, error = None, None
            try:
                found = job.work()
            except BaseException as raised:  # noqa: BLE001 - told to those who wait for it
                error = raised
            if job.is_over:  # it was given up, and so was this thread
                return
            try:
                job.loop.call_soon_threadsafe(job.end, found, error)
            except RuntimeError:  # the loop has ended
                return

    def _give_up(self) -> None:
        self._n_threads -= 1
        self.n_given_up += 1
        _log.error("model-hangs", timeout_s=self._timeout_s, given_up=self.n_given_up)
        if self.n_given_up == GIVEN_UP_AT_MOST:
            self._on_worn()

"""Waits for the event log to grow, once for all who wait; used by streams and long polls.

The worker and the prediction server are other processes, so the log is looked at in short
intervals while anybody waits, and at once after a write of this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

POLL_S = 0.3


class Waiter(NamedTuple):
    """One who waits for an event of `project` later than `after`."""

    project: str
    after: int
    told: asyncio.Future[bool]


class Feed:
    """Tells those who wait that the log of their project has grown.

    Parameters
    ----------
    newest
        Reads the last sequence number of a project's log.
    poll_s
        How often the log is looked at while somebody waits, in seconds.
    """

    def __init__(
        self, newest: Callable[[str], Awaitable[int]], *, poll_s: float = POLL_S
    ) -> None:
        self._read_newest = newest
        self._poll_s = poll_s
        self._waiters: set[Waiter] = set()
        self._nudge = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._draining = False

    @property
    def is_draining(self) -> bool:
        """True once the server has begun to stop."""
        return self._draining

    def wake(self) -> None:
        """Look at the log now: this process has just committed."""
        self._nudge.set()

    def drain(self) -> None:
        """Send everybody home; streams and long polls end at once."""
        self._draining = True
        for waiter in self._waiters:
            _tell(waiter, grown=False)

    async def newest(self, project: str) -> int:
        """Return the last sequence number of the project's log, 0 when it is empty."""
        return await self._read_newest(project)

    async def changed(self, project: str, *, after: int, timeout_s: float) -> bool:
        """Wait for an event later than `after`; false when time is up or the server drains.

        Parameters
        ----------
        project
            Whose events.
        after
            Place of the last event that is known.
        timeout_s
            How long to wait, seconds.

        Returns
        -------
        bool
            False when time is up or the server drains.
        """
        if self._draining:
            return False
        waiter = Waiter(project, after, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        self._nudge.set()
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look(), name="event-feed")
        try:
            return await asyncio.wait_for(waiter.told, timeout_s)
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)

    async def _look(self) -> None:
        while self._waiters:
            self._nudge.clear()
            for project in {waiter.project for waiter in self._waiters}:
                newest = await self._read_newest(project)
                for waiter in self._waiters:
                    if waiter.project == project and waiter.after < newest:
                        _tell(waiter, grown=True)
            try:
                await asyncio.wait_for(self._nudge.wait(), self._poll_s)
            except TimeoutError:
                continue


def _tell(waiter: Waiter, *, grown: bool) -> None:
    if not waiter.told.done():
        waiter.told.set_result(grown)

"""Scoring for comparison only: after the answer, on a sample, and never at its expense.

Made by `served` for a plan with shadows. What does not fit the bound is dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from homeostat.foundation import errors, log
from homeostat.lifecycle.serving import answering, router

_log = log.get(__name__)


class Watcher(NamedTuple):
    """A shadow version at its sample of the keys."""

    version: int
    share: float
    arm: answering.AnsweringArm


class Shadows:
    """The shadows of one plan.

    Parameters
    ----------
    watchers
        Who scores what share.
    salt
        Of the plan.
    post
        Its meters count what was dropped.
    max_waiting
        Rows that may wait for all shadows together.
    """

    def __init__(
        self,
        watchers: Sequence[Watcher],
        *,
        salt: str,
        post: answering.Post,
        max_waiting: int = 2_000,
    ) -> None:
        self._watchers = tuple(watchers)
        self._salt = salt
        self._post = post
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[Watcher, answering.Request]] = deque()
        self._n_waiting = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_watching(self) -> bool:
        """Whether there is any shadow."""
        return bool(self._watchers)

    @property
    def is_busy(self) -> bool:
        """Whether any offered row is not scored or not logged yet."""
        return self._task is not None

    def offer(self, request: answering.Request) -> None:
        """Let the shadows see an answered request; returns at once.

        Parameters
        ----------
        request
            What was answered.
        """
        for watcher in self._watchers:
            picked = [
                at
                for at, key in enumerate(request.keys)
                if router.sampled(
                    watcher.share, salt=self._salt, version=watcher.version, key=key
                )
            ]
            if not picked:
                continue
            if self._n_waiting + len(picked) > self._max_waiting:
                place = watcher.arm.place
                self._post.meters.shadow_dropped[place.deployment, place.version] += len(picked)
                continue
            self._waiting.append((watcher, request.pick(picked)))
            self._n_waiting += len(picked)
        if self._waiting and self._task is None:
            self._task = asyncio.create_task(self._run())

    async def idle(self) -> None:
        """Wait until every offered row is scored and logged."""
        while self._task is not None:
            await asyncio.shield(self._task)

    async def _run(self) -> None:
        try:
            while self._waiting:
                todo = list(self._waiting)
                self._waiting.clear()
                await asyncio.gather(*(_watch(*one) for one in todo))
                self._n_waiting -= sum(request.n_rows for _, request in todo)
        finally:
            self._task = None


async def _watch(watcher: Watcher, request: answering.Request) -> None:
    waiter: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    try:
        watcher.arm.lane.submit(request, waiter.set_result)
        told = await waiter
    except errors.UnavailableError as error:
        told = error
    if isinstance(told, BaseException) and not isinstance(told, answering.FaultedError):
        _log.warning("shadow-not-logged", why=str(told))

"""Scoring for comparison only: after the answer, on a sample, and never at its expense.

Made by `served` for a plan with shadows. What does not fit the bound is dropped and counted.
"""

from __future__ import annotations

import asyncio
import functools
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
        self._n_waiting = 0
        self._idlers: list[asyncio.Future[None]] = []

    @property
    def is_watching(self) -> bool:
        """Whether there is any shadow."""
        return bool(self._watchers)

    @property
    def is_busy(self) -> bool:
        """Whether any offered row is not scored or not logged yet."""
        return self._n_waiting > 0

    def offer(self, request: answering.Request) -> None:
        """Let the shadows see an answered request; returns at once.

        Parameters
        ----------
        request
            What was answered.
        """
        keys = request.keys
        for watcher in self._watchers:
            seen = functools.partial(
                router.sampled, watcher.share, salt=self._salt, version=watcher.version
            )
            if len(keys) == 1:
                if seen(key=keys[0]):
                    self._watch(watcher, request)
                continue
            picked = [at for at, key in enumerate(keys) if seen(key=key)]
            if picked:
                self._watch(watcher, request.pick(picked))

    async def idle(self) -> None:
        """Wait until every offered row is scored and logged."""
        while self._n_waiting:
            waiter = asyncio.get_running_loop().create_future()
            self._idlers.append(waiter)
            await waiter

    def _watch(self, watcher: Watcher, request: answering.Request) -> None:
        n_rows = request.n_rows
        if self._n_waiting + n_rows > self._max_waiting:
            place = watcher.arm.place
            self._post.meters.shadow_dropped[place.deployment, place.version] += n_rows
            return
        try:
            watcher.arm.lane.submit(request, functools.partial(self._seen, n_rows))
        except errors.UnavailableError as error:
            _log.warning("shadow-not-scored", why=str(error))
            return
        self._n_waiting += n_rows

    def _seen(self, n_rows: int, told: answering.Answer | BaseException) -> None:
        """Note that rows are done with; what a member failed on is in the log already."""
        self._n_waiting -= n_rows
        if isinstance(told, BaseException) and not isinstance(told, answering.FaultedError):
            _log.warning("shadow-not-logged", why=str(told))
        if not self._n_waiting:
            idlers, self._idlers = self._idlers, []
            for waiter in idlers:
                if not waiter.done():
                    waiter.set_result(None)

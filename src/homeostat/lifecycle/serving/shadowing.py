"""Scoring for comparison only: after the answer, on a sample, and never at its expense.

Rows gather for a moment, so that a shadow costs a batch now and then and not one beside every
batch of answers. What does not fit the bound is dropped and counted. Made by `served` for a
plan with shadows.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from homeostat.foundation import errors, log
from homeostat.lifecycle.serving import answering, asking, router

_log = log.get(__name__)


ROWS: Final = 64
REST_S: Final = 0.1
"""Rows gather until there are so many, or for so long."""


class Watcher(NamedTuple):
    """A shadow version and its sample of the keys."""

    sample: router.Sample
    arm: answering.AnsweringArm


class Shadows:
    """The shadows of one plan.

    Parameters
    ----------
    watchers
        Who scores what.
    post
        Its meters count what was dropped.
    draw
        What a key draws by the plan; asked where its arm did not have to be found.
    max_waiting
        Rows that may wait for all shadows together.

    Attributes
    ----------
    is_watching
        Whether there is any shadow.
    """

    def __init__(
        self,
        watchers: Sequence[Watcher],
        *,
        post: answering.Post,
        draw: Callable[[str], int],
        max_waiting: int = 2_000,
    ) -> None:
        self._draw = draw
        self._watchers = tuple(watchers)
        self.is_watching = bool(watchers)
        self._post = post
        self._max_waiting = max_waiting
        self._n_waiting = 0
        self._gathered: list[tuple[Watcher, asking.Request]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._idlers: list[asyncio.Future[None]] = []

    @property
    def is_busy(self) -> bool:
        """Whether any offered row is not scored or not logged yet."""
        return self._n_waiting > 0

    def offer(self, request: asking.Request) -> None:
        """Let the shadows see an answered request; returns at once.

        Parameters
        ----------
        request
            What was answered.
        """
        if len(request.keys) == 1:
            drawn = request.drawn
            if drawn is None:
                drawn = self._draw(request.keys[0])
            for watcher in self._watchers:
                if watcher.sample.takes(drawn):
                    self._watch(watcher, request)
            return
        drawn_by_row = [self._draw(key) for key in request.keys]
        for watcher in self._watchers:
            takes = watcher.sample.takes
            picked = [at for at, drawn in enumerate(drawn_by_row) if takes(drawn)]
            if picked:
                self._watch(watcher, request.pick(picked))

    async def idle(self) -> None:
        """Wait until every offered row is scored and logged."""
        self._begin()
        while self._n_waiting:
            waiter = asyncio.get_running_loop().create_future()
            self._idlers.append(waiter)
            await waiter

    def _watch(self, watcher: Watcher, request: asking.Request) -> None:
        n_rows = request.n_rows
        if self._n_waiting + n_rows > self._max_waiting:
            place = watcher.arm.place
            self._post.meters.shadow_dropped[place.deployment, place.version] += n_rows
            return
        self._n_waiting += n_rows
        self._gathered.append((watcher, request))
        if self._n_waiting >= ROWS:
            self._begin()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(REST_S, self._begin)

    def _begin(self) -> None:
        """Let the shadows score what has gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gathered, self._gathered = self._gathered, []
        for watcher, request in gathered:
            n_rows = request.n_rows
            try:
                watcher.arm.lane.submit(request, functools.partial(self._seen, n_rows))
            except errors.UnavailableError as error:
                self._seen(n_rows, error)

    def _seen(self, n_rows: int, told: answering.Answer | BaseException) -> None:
        """Note that rows are done with; what a member failed on is in the log already."""
        self._n_waiting -= n_rows
        if isinstance(told, BaseException) and not isinstance(told, answering.FaultedError):
            _log.warning("shadow-not-scored", why=str(told))
        if not self._n_waiting:
            idlers, self._idlers = self._idlers, []
            for waiter in idlers:
                if not waiter.done():
                    waiter.set_result(None)

"""Small writes of one event loop on their way to the writer; `writer` has one for each loop.

A commit has a price of its own, whatever it holds, so those who ask again and again are
waited for: the group goes when as many have come as asked lately, or when no more come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from homeostat.foundation.database import answers

PAUSE_S: Final = 0.001
_MOST_PAUSES: Final = 4
_SHARE: Final = 8
_FIRST_DOUBT: Final = 8
_MOST_DOUBT: Final = 1024


class Gathering:
    """What one loop was asked for and has not handed over.

    Parameters
    ----------
    loop
        The running one; all methods are called on it.
    hand_over
        Takes a group.
    most
        Requests that are worth waiting for.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        hand_over: Callable[[list[answers.Request]], None],
        *,
        most: int,
    ) -> None:
        self._loop = loop
        self._hand_over = hand_over
        self._most = most
        self._asked: list[answers.Request] = []
        self._callers: set[int] = set()
        self._callers_before: set[int] = set()
        self._wanted = 1
        self._is_going = False
        self._timer: asyncio.TimerHandle | None = None
        self._n_at_pause = 0
        self._n_pauses = 0
        self._doubts_left = 0
        self._doubt = _FIRST_DOUBT

    def add(self, request: answers.Request, caller: int) -> None:
        """Take one; it goes with what comes in the same turn of the loop at the latest.

        Parameters
        ----------
        request
            Whose answer is told on this loop.
        caller
            Equal for requests that never come together, as those of one connection.
        """
        self._asked.append(request)
        self._callers.add(caller)
        if self._is_going:
            return
        if len(self._asked) >= self._wanted:
            self._is_going = True
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._loop.call_soon(self._go)
        elif self._timer is None:
            self._n_pauses, self._n_at_pause = 0, 1
            self._timer = self._loop.call_later(PAUSE_S, self._pause)

    def _pause(self) -> None:
        """Wait once more where many have come during the last pause."""
        n = len(self._asked)
        self._n_pauses += 1
        few = self._wanted // _SHARE
        if n - self._n_at_pause > few and self._n_pauses < _MOST_PAUSES:
            self._n_at_pause = n
            self._timer = self._loop.call_later(PAUSE_S, self._pause)
            return
        self._timer = None
        if n < self._wanted - few:
            # Those who asked before do something else now: nobody is waited for, for a while.
            self._doubts_left = self._doubt
            self._doubt = min(2 * self._doubt, _MOST_DOUBT)
        self._go()

    def _go(self) -> None:
        group, self._asked = self._asked, []
        self._is_going = False
        if self._doubts_left:
            self._doubts_left -= 1
            self._wanted = 1
        else:
            if 1 < self._wanted <= len(group):
                self._doubt = _FIRST_DOUBT
            self._wanted = min(len(self._callers | self._callers_before), self._most)
        self._callers_before, self._callers = self._callers, set()
        self._hand_over(group)

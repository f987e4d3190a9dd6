"""Whether a composite is scored on the event loop or in a thread, by the time it took.

Used by `answering`. A hand-over to a thread costs more than a small model; a large one on the
loop would keep every other connection waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

INLINE_S: Final = 0.001
_SMOOTHING: Final = 0.2
_LONG_S: Final = 0.005
_STRIKES: Final = 3.0
_FORGIVEN: Final = 0.01
# Above the interpreter's switch interval: a thread that took longer was not waiting for it.
_WAITING_S: Final = 0.05

Found = TypeVar("Found")


class Pace:
    """The running mean of a composite's batches, and what follows from it.

    Parameters
    ----------
    is_fast
        Whether it begins on the loop.
    may_be_inline
        False where something may be asked in between that is not known to be quick.

    Notes
    -----
    An exponential mean with weight 0.2 decides. The processor's time counts, since the clock
    also shows how long the interpreter or the machine was busy elsewhere, unless the call took
    so long that it must have waited for something itself. Three batches of over 5 ms on the
    loop, fewer than one in a hundred apart, settle it: from then on a thread.
    """

    def __init__(self, *, is_fast: bool, may_be_inline: bool = True) -> None:
        self._may_be_inline = may_be_inline
        self._mean_s = 0.0 if is_fast else INLINE_S * 2
        self._strikes = 0.0

    @property
    def is_inline(self) -> bool:
        """Whether the next batch is scored on the loop."""
        is_quick = self._mean_s <= INLINE_S and self._strikes < _STRIKES
        return self._may_be_inline and is_quick

    def inline(self, work: Callable[[], Found]) -> Found:
        """Do it here.

        Parameters
        ----------
        work
            Scores a batch.

        Returns
        -------
        object
            What it returned.
        """
        found, seconds = _timed(work)
        self._mean_s += _SMOOTHING * (seconds - self._mean_s)
        if seconds > _LONG_S:
            self._strikes += 1
        elif self._strikes:
            self._strikes = max(0.0, self._strikes - _FORGIVEN)
        return found

    def in_thread(self, work: Callable[[], Found]) -> Found:
        """Do it in the calling thread.

        Parameters
        ----------
        work
            Scores a batch.

        Returns
        -------
        object
            What it returned.
        """
        found, seconds = _timed(work)
        self._mean_s += _SMOOTHING * (seconds - self._mean_s)
        return found


def noted(ask: Callable[..., Found], note: Callable[[float], None]) -> Callable[..., Found]:
    """Return `ask` with a note of the seconds that it took.

    Parameters
    ----------
    ask
        Scores a batch.
    note
        Is told how long; the processor's time, as in `Pace`.
    """

    def work(*told: Any) -> Found:
        found, seconds = _timed(lambda: ask(*told))
        note(seconds)
        return found

    return work


def _timed(work: Callable[[], Found]) -> tuple[Found, float]:
    began, spent = time.perf_counter(), time.thread_time()
    found = work()
    seconds = time.perf_counter() - began
    return found, seconds if seconds > _WAITING_S else time.thread_time() - spent

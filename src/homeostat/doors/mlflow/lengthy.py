"""Questions that took long when they were asked last; called by `routing` on the event loop."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

_MOST: Final = 500
_RESTS: Final = 100


class Questions:
    """Those that took long lately.

    Parameters
    ----------
    most
        Questions remembered; the oldest are forgotten first.
    rests
        Times a question is held to be long before it is tried again: stores change, and the
        first read of a file that was not in memory says little.
    """

    def __init__(self, *, most: int = _MOST, rests: int = _RESTS) -> None:
        self._most = most
        self._rests = rests
        self._left: dict[Hashable, int] = {}
        self._once: dict[Hashable, None] = {}

    def add(self, question: Hashable) -> None:
        """Remember a question that took long; it is held to be long when it does so again.

        The first answer after a write puts more together than the next ones.
        """
        if question not in self._once:
            _make_room(self._once, self._most)
            self._once[question] = None
            return
        del self._once[question]
        _make_room(self._left, self._most)
        self._left[question] = self._rests

    def forgive(self, question: Hashable) -> None:
        """Forget that a question took long once: it did not this time."""
        if self._once:
            self._once.pop(question, None)

    def holds(self, question: Hashable) -> bool:
        """Tell whether a question is likely to take long; each time counts."""
        if not self._left or question not in self._left:
            return False
        self._left[question] -= 1
        if self._left[question] <= 0:
            del self._left[question]
        return True


def _make_room(known: dict[Hashable, Any], most: int) -> None:
    while len(known) >= most:
        del known[next(iter(known))]

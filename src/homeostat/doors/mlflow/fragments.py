"""JSON of runs as they were shown last, good until anybody writes; the two readers of runs ask.

Charts and lists ask for the same runs again and again, and putting together what a run keeps
costs more than finding it. SQLite says whether any connection has committed since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from homeostat.foundation.database import Transaction

MOST_BYTES: Final = 2 * 1024 * 1024


class Fragments:
    """Those of one way of showing runs.

    Parameters
    ----------
    most_bytes
        Of all that is kept; beyond it everything is forgotten.
    """

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        # Replaced as one: a reader of an older state goes on in that state's own.
        self._now: tuple[Any, dict[tuple[str, str], bytes]] = (None, {})
        self._size_bytes = 0

    def all_of(
        self,
        tx: Transaction,
        ids: Sequence[str],
        make: Callable[[list[str]], Sequence[bytes]],
    ) -> list[bytes]:
        """Return the JSON of some runs.

        Parameters
        ----------
        tx
            That only reads.
        ids
            Of runs.
        make
            Returns the JSON of runs that are not kept, in their order.
        """
        state = tx.state()
        if state is None:
            return list(make(list(ids)))
        known, kept = self._now
        if known != state or self._size_bytes > self._most_bytes:
            kept = {}
            self._now = state, kept
            self._size_bytes = 0
        project = tx.project
        missing = [one for one in ids if (project, one) not in kept]
        if not missing:
            return [kept[project, one] for one in ids]
        made = dict(zip(missing, make(missing), strict=True))
        size_bytes = sum(map(len, made.values()))
        if size_bytes <= self._most_bytes // 4:
            self._size_bytes += size_bytes
            kept.update(((project, one), text) for one, text in made.items())
        return [made[one] if one in made else kept[project, one] for one in ids]

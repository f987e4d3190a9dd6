"""Whether a process takes more memory than its loaded versions explain; asked by its worker.

A model that keeps something of every row grows until the system kills its process, and every
request that is in it. Before that another process takes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from homeostat.lifecycle.serving import loading

LOOK_S: Final = 5.0
LEAST_ROOM_BYTES: Final = 128 * 2**20
# What a burst of requests takes is given back; what leaks is still there at the next look.
_LOOKS: Final = 3


class Weight:
    """The memory of one process, looked at now and then.

    Parameters
    ----------
    budget_bytes
        What loaded versions may take; half as much again, 128 MiB at least, is room for
        requests.
    resident
        Says how many bytes this process takes; what it takes now is its own.
    """

    def __init__(
        self, budget_bytes: int, *, resident: Callable[[], int] = loading.resident_bytes
    ) -> None:
        self._resident = resident
        self._own_bytes = resident()
        self._budget_bytes = budget_bytes
        self._n_over = 0
        self.seen_bytes = self._own_bytes

    def most_bytes(self, held_bytes: int) -> int:
        """Return what the process may take while its versions take `held_bytes`."""
        room_bytes = max(LEAST_ROOM_BYTES, self._budget_bytes // 2)
        return self._own_bytes + max(self._budget_bytes, held_bytes) + room_bytes

    def is_too_much(self, held_bytes: int) -> bool:
        """Look once; true when it was too much three times in a row.

        Parameters
        ----------
        held_bytes
            What the loaded versions took when they were loaded.

        Returns
        -------
        bool
            Whether the process should be replaced.
        """
        self.seen_bytes = self._resident()
        is_over = self.seen_bytes > self.most_bytes(held_bytes)
        self._n_over = self._n_over + 1 if is_over else 0
        return self._n_over >= _LOOKS

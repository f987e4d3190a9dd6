"""Who a driver tells about a run; `direct` has one that writes into a house."""

from __future__ import annotations

from typing import Protocol

from homeostat.lifecycle.pipeline import entities


class Recorder(Protocol):
    """Keeps what a run was and how it ended."""

    def begin(self, start: entities.RunStart) -> None:
        """Record that a run works; called from a thread of its own, never for a short run.

        Parameters
        ----------
        start
            The run.
        """

    def finish(self, start: entities.RunStart, end: entities.RunEnd) -> None:
        """Record how a run ended, and the run itself where `begin` was not called.

        Parameters
        ----------
        start
            The run.
        end
            Its steps, cost and state.
        """

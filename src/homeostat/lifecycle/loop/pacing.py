"""Whether a canary takes too long: what the prediction server counts, as values of a guard.

Called by `live`. A batch is too slow where it certainly took longer than `rollout`'s factor
times the gate's limit. What was counted before this process looked, and may be in the evidence
already, is left out: evidence may be lost by a restart, never counted twice.
"""

from __future__ import annotations

from homeostat.foundation import settings
from homeostat.lifecycle.loop import entities, guards, rollout, service
from homeostat.lifecycle.monitoring import service_counts
from homeostat.lifecycle.policy.entities import Policy

MOST_VALUES = 500
"""Bets of one look; more batches are told by their share."""


class Pacing:
    """Remembers what was counted of each canary.

    Parameters
    ----------
    told
        Name the prediction server.
    """

    def __init__(self, told: settings.Settings) -> None:
        self._told = told
        self._known: dict[str, tuple[int, service_counts.Counts]] = {}

    def values(
        self, deployment: str, running: entities.Rollout, policy: Policy, *, generation: int
    ) -> tuple[float, ...]:
        """Return 1 for each batch since the last look that was too slow, 0 for the others.

        Parameters
        ----------
        deployment, generation
            Whose plan.
        running
            Its guards say whether anything of this canary was counted before.
        policy
            No gate for latency, or guards that are off: nothing is looked at.
        """
        limit = policy.gates.latency_p99_ms
        if limit is None or policy.rollout.guards == "off":
            return ()
        now = service.of_canary(self._told, deployment, generation=generation)
        if now is None:
            return ()
        known = self._known.get(deployment)
        self._known[deployment] = (generation, now)
        if known is not None and known[0] == generation:
            now = now.less(known[1])
        elif known is None and guards.LATENCY in (running.guards or {}):
            return ()  # another process began to count
        return spread(now.slow(rollout.LATENCY_FACTOR * limit / 1000), of=now.total)


def spread(slow: int, *, of: int) -> tuple[float, ...]:
    """Return values whose order nobody knows, the slow ones last: that proves least.

    Examples
    --------
    >>> spread(1, of=3)
    (0.0, 0.0, 1.0)
    >>> len(spread(100, of=100_000)), sum(spread(100, of=100_000))
    (500, 0.0)
    """
    if of > MOST_VALUES:
        slow, of = slow * MOST_VALUES // of, MOST_VALUES
    return (0.0,) * (of - slow) + (1.0,) * slow

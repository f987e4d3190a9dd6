"""Is a new deployment worse than its model's own exam was? Beside the harm alarm, at first.

Called by `learn` and `decide`; `live` gives the exam. The harm alarm takes the first blocks for
what is normal, so a world that had changed before, or changes within them, is normal to it. The
first `BLOCKS` blocks are therefore also held against what the version's gates saw on rows that
it had not learned: the upper end of that error's interval, and the policy's
``monitoring.tolerance`` above it. The same e-CUSUM with a level that is given, not estimated:
``exp(7)`` blocks or more, on average, until a false alarm [1]_, if rows err independently and
not more often than that.

References
----------
.. [1] J. Shin, A. Ramdas and A. Rinaldo, "E-detectors", NEJSDS, 2024.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import structs

from homeostat.lifecycle.evaluation.entities import GateReport
from homeostat.lifecycle.loop import alarmed, entities, harm
from homeostat.lifecycle.policy.entities import Policy
from homeostat.measures import sequential

BLOCKS: Final = 24
"""Three times as many as the harm alarm takes for its baseline."""
MOST: Final = 0.49
_SETTINGS = structs.replace(harm.SETTINGS, minimum_baseline=1, standard_errors=0.0)


def is_wanted(state: entities.LoopState) -> bool:
    """Say whether the next block is one of the first, of the first model, before any alarm."""
    is_alone = tuple(state.stable) == (state.members[0].version,)
    return state.n_blocks < BLOCKS and state.regime is None and is_alone


def promised(report: GateReport, policy: Policy) -> float | msgspec.UnsetType:
    """Return the share of wrong answers that a version's exam promises at most.

    Parameters
    ----------
    report
        Of the version's gates.
    policy
        Its `monitoring.tolerance` says how much worse than at training is acceptable.

    Returns
    -------
    float
        Unset for a regression, and where the exam's numbers are somebody's word.
    """
    accuracy = report.exam.measured.get("accuracy")
    if report.measured_by != "system" or accuracy is None or accuracy.low is None:
        return msgspec.UNSET
    return min(MOST, 1.0 - accuracy.low + policy.monitoring.tolerance)


def observe(
    state: entities.LoopState, event: entities.BlockLabelled, *, block: int
) -> tuple[entities.HarmState, alarmed.HarmAlarm | None]:
    """Add one block to the harm alarm, and to that of the exam while it is wanted.

    Parameters
    ----------
    state
        Before the block, or after it was scored.
    event
        The block, with what was `promised` of it.
    block
        Its number.
    """
    seen, found = harm.observe(state.harm, event, block=block)
    if found is not None or event.promised is msgspec.UNSET:
        return seen, found
    known = state.harm.early
    before = sequential.quiet_alarm(_SETTINGS) if known is msgspec.UNSET else known
    # The level is that of the exam each time; blocks of this deployment never move it.
    before = structs.replace(before, baseline=(event.promised,))
    after, alarm = sequential.observe_error(
        before, event.error, block=block, n_rows=event.n_rows, settings=_SETTINGS
    )
    if alarm is None:
        return structs.replace(seen, early=after), None
    oldest = state.n_blocks - len(state.history)
    rows = {oldest + place: one.first_row for place, one in enumerate(state.history)}
    row = rows.get(alarm.change_block, event.first_row)
    return entities.HarmState(alarm=after), alarmed.raised(alarm, row)


def is_proved(
    state: entities.HarmState,
    event: entities.BlockLabelled,
    found: alarmed.HarmAlarm,
    *,
    block: int,
) -> bool:
    """Say whether people are told at once: of what is proved, or is worse than promised."""
    is_worse = event.promised is not msgspec.UNSET and found.accepted > event.promised
    return is_worse or harm.is_proved(state, block=block)

"""Is what is answered worse than it used to be? The harm alarm, with where the harm began.

`learn` calls `observe` once for each labelled block. The statistics are
`measures.sequential`; here are its constants and the way from blocks to rows.
"""

from __future__ import annotations

import msgspec
from msgspec import structs

from homeostat.lifecycle.loop import entities
from homeostat.measures import sequential

SETTINGS = sequential.AlarmSettings(standard_errors=2.0)
"""Measured defaults; the accepted rate allows for two standard errors of its baseline.

With two instead of one, false alarms fell from about 1 stationary run in 20 to 1 in 80
(simulated, 153 blocks of 200 rows). Of six changing histories five alarmed in the same
blocks; one of three offsets of elec2 alarmed later and lost 0.6 points.
"""
LONGEST_BASELINE = 1000
"""Blocks of normal error kept; older ones say nothing the newer ones do not."""


class HarmAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """Harm was proved: how strongly, against what, and since which row."""

    found: sequential.Alarm
    change_row: int


def observe(
    state: entities.HarmState, event: entities.BlockLabelled, *, block: int
) -> tuple[entities.HarmState, HarmAlarm | None]:
    """Add one block to the e-CUSUM of the served error.

    Parameters
    ----------
    state
        What was known before the block.
    event
        Its `error` in [0, 1] and `n_rows`, 1 or more.
    block
        The block's number; grows by one.

    Returns
    -------
    tuple
        The state after the block, and the alarm when the evidence passed the threshold.
    """
    alarm, found = sequential.observe_error(
        state.alarm, event.error, block=block, n_rows=event.n_rows, settings=SETTINGS
    )
    alarm = structs.replace(alarm, baseline=alarm.baseline[-LONGEST_BASELINE:])
    if found is not None:
        row = event.first_row
        if found.change_block < block:
            row = state.start_rows[state.alarm.starts.index(found.change_block)]
        return entities.HarmState(alarm=alarm), HarmAlarm(found=found, change_row=row)
    rows = tuple(
        event.first_row if start == block else row
        for start, row in zip(alarm.starts, state.start_rows, strict=True)
    )
    return entities.HarmState(alarm=alarm, start_rows=rows), None


def is_calm(state: entities.HarmState) -> bool:
    """Say whether no sum is rising, so that the newest block passes for normal."""
    return bool(state.alarm.baseline) and max(state.alarm.scores) <= SETTINGS.rising


def baseline_error(state: entities.HarmState) -> float:
    """Return the mean error of the blocks that passed for normal."""
    return sum(state.alarm.baseline) / len(state.alarm.baseline)


def accepted_rate(state: entities.HarmState, *, n_rows: int) -> float:
    """Return the error rate that harm is measured against."""
    return sequential.accepted_rate(
        state.alarm.baseline, block_rows=n_rows, standard_errors=SETTINGS.standard_errors
    )

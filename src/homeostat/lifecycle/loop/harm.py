"""Is what is answered worse than it used to be? The harm alarm, with where the harm began.

`learn` calls `observe` once for each labelled block. The statistics are
`measures.sequential`; here are its constants and the way from blocks to rows.
"""

from __future__ import annotations

import msgspec
from msgspec import structs

from homeostat.lifecycle.loop import entities
from homeostat.measures import accepted as normal
from homeostat.measures import bounded, sequential

SETTINGS = sequential.AlarmSettings(standard_errors=2.0)
"""Measured defaults; the accepted rate allows for two standard errors of its baseline.

With two instead of one, false alarms fell from about 1 stationary run in 20 to 1 in 80
(simulated, 153 blocks of 200 rows). Of six changing histories five alarmed in the same
blocks; one of three offsets of elec2 alarmed later and lost 0.6 points.
"""
PROOF = sequential.PATIENT
"""Of the alarm that people are told of, once it proves what `SETTINGS` suspects.

At most the stated rate of false alarms, also where rows err together, and later there. The
loop itself does not wait for it: looking and fitting cost little, and with these settings it
regained .11 to .18 less of the oracle's gain on elec2.
"""
BOUNDED = bounded.Settings()
"""The same for losses that are no shares of wrong answers; see `measures.bounded`."""
LONGEST_BASELINE = 1000
"""Blocks of normal error kept; older ones say nothing the newer ones do not."""


class HarmAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """Harm was proved: how strongly, against what, and since which row.

    `shift` is the rise that fits best: of the share of wrong answers, or of a bounded loss
    in its standard deviations.
    """

    change_block: int
    change_row: int
    shift: float
    accepted: float
    dispersion: float
    log_evidence: float


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
    if event.losses is not msgspec.UNSET:
        return _observe_losses(state, event, event.losses, block=block)
    alarm, found = sequential.observe_error(
        state.alarm, event.error, block=block, n_rows=event.n_rows, settings=SETTINGS
    )
    alarm = structs.replace(alarm, baseline=alarm.baseline[-LONGEST_BASELINE:])
    if found is not None:
        row = _change_row(state, event, found.change_block, state.alarm.starts, block=block)
        raised = HarmAlarm(
            change_block=found.change_block,
            change_row=row,
            shift=found.shift,
            accepted=found.accepted,
            dispersion=found.dispersion,
            log_evidence=found.log_evidence,
        )
        return entities.HarmState(alarm=alarm), raised
    rows = _start_rows(state, event, alarm.starts, block=block)
    return entities.HarmState(alarm=alarm, start_rows=rows), None


def prove(
    state: entities.HarmState, event: entities.BlockLabelled, *, block: int
) -> tuple[sequential.AlarmState | msgspec.UnsetType, bool]:
    """Add one block to the patient alarm, which tells people of what `observe` suspects.

    Parameters
    ----------
    state, event, block
        As for `observe`.

    Returns
    -------
    tuple
        The next `HarmState.proof`, and whether harm is proved on this block. Of bounded
        losses the one alarm is suspicion and proof.
    """
    if event.losses is not msgspec.UNSET:
        return msgspec.UNSET, False
    before = sequential.quiet_alarm(PROOF) if state.proof is msgspec.UNSET else state.proof
    after, found = sequential.observe_error(
        before, event.error, block=block, n_rows=event.n_rows, settings=PROOF
    )
    return structs.replace(after, baseline=after.baseline[-LONGEST_BASELINE:]), bool(found)


def is_proved(state: entities.HarmState, *, block: int) -> bool:
    """Say whether harm was proved on this block or a few before it."""
    return state.proof is msgspec.UNSET or state.proof.hold > block


def told_proof(event: entities.BlockLabelled) -> entities.Verdict:
    """Return the verdict that tells people of harm that was suspected, and has lasted."""
    return entities.Verdict(
        kind="none",
        sentence=f"harm is proved: {event.error:.1%} of the answers are wrong",
        evidence={"error": event.error, "threshold": PROOF.log_threshold},
        acts=(entities.OpenAlert(alert="harm"),),
    )


def told(event: entities.BlockLabelled, accepted: float) -> str:
    """Say what a block lost, and what is accepted."""
    if event.losses is msgspec.UNSET:
        return f"{event.error:.1%} of the answers are wrong where {accepted:.1%} is accepted"
    return f"the answers' mean loss is {event.error:.4f} where {accepted:.4f} is accepted"


def _observe_losses(
    state: entities.HarmState,
    event: entities.BlockLabelled,
    losses: tuple[float, ...],
    *,
    block: int,
) -> tuple[entities.HarmState, HarmAlarm | None]:
    before = bounded.quiet(BOUNDED) if state.bounded is msgspec.UNSET else state.bounded
    after, found = bounded.observe(before, losses, block=block, settings=BOUNDED)
    after = structs.replace(
        after,
        means=after.means[-LONGEST_BASELINE:],
        variances=after.variances[-LONGEST_BASELINE:],
    )
    if found is not None:
        row = _change_row(state, event, found.change_block, before.starts, block=block)
        raised = HarmAlarm(
            change_block=found.change_block,
            change_row=row,
            shift=found.rise,
            accepted=found.accepted,
            dispersion=found.dispersion,
            log_evidence=found.log_evidence,
        )
        return entities.HarmState(bounded=after), raised
    rows = _start_rows(state, event, after.starts, block=block)
    return entities.HarmState(bounded=after, start_rows=rows), None


def _change_row(
    state: entities.HarmState,
    event: entities.BlockLabelled,
    change_block: int,
    starts: tuple[int, ...],
    *,
    block: int,
) -> int:
    if change_block < block:
        return state.start_rows[starts.index(change_block)]
    return event.first_row


def _start_rows(
    state: entities.HarmState,
    event: entities.BlockLabelled,
    starts: tuple[int, ...],
    *,
    block: int,
) -> tuple[int, ...]:
    return tuple(
        event.first_row if start == block else row
        for start, row in zip(starts, state.start_rows, strict=True)
    )


def is_calm(state: entities.HarmState) -> bool:
    """Say whether no sum is rising, so that the newest block passes for normal."""
    if state.bounded is not msgspec.UNSET:
        return bool(state.bounded.means) and max(state.bounded.scores) <= BOUNDED.rising
    return bool(state.alarm.baseline) and max(state.alarm.scores) <= SETTINGS.rising


def normal_blocks(state: entities.HarmState) -> tuple[float, ...]:
    """Return the mean loss of each block that passed for normal since the last alarm."""
    return state.alarm.baseline if state.bounded is msgspec.UNSET else state.bounded.means


def baseline_error(state: entities.HarmState) -> float:
    """Return the mean loss of the blocks that passed for normal."""
    found = normal_blocks(state)
    return sum(found) / len(found)


def accepted_rate(state: entities.HarmState, *, n_rows: int) -> float:
    """Return the loss that harm is measured against."""
    if state.bounded is not msgspec.UNSET:
        return state.bounded.accepted or baseline_error(state)
    return normal.rate(
        state.alarm.baseline, block_rows=n_rows, standard_errors=SETTINGS.standard_errors
    )

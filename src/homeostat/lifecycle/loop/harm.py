"""Is what is answered worse than it used to be? The harm alarm, with where the harm began.

`learn` calls `prove` and `observe` once for each labelled block. The statistics are
`measures.sequential` and `measures.sureness`; here are the constants, and the way from blocks
to rows.
"""

from __future__ import annotations

import msgspec
from msgspec import structs

from homeostat.lifecycle.loop import alarmed, entities
from homeostat.measures import accepted as normal
from homeostat.measures import bounded, sequential, sureness

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
SURE_PROOF = sequential.SURE
"""The proof where blocks tell how sure their answers were; those recorded before do not."""
WATCH = structs.replace(SURE_PROOF, log_threshold=6.0)
"""Of what the members say while a corrector answers: only the loop itself acts on that."""
BOUNDED = bounded.Settings()
"""The same for losses that are no shares of wrong answers; see `measures.bounded`."""
TIED = 2.0
"""Dispersion of blocks whose rows err together; independent ones hardly ever come to that."""
SETTLED = 2
"""Blocks in a row that must be less than half as wrong as all before them since a change."""
LEARNING = 16
"""Blocks since a change that may be forgotten for that."""
LONGEST_BASELINE = 1000
"""Blocks of normal error kept; older ones say nothing the newer ones do not."""


def observe(
    state: entities.HarmState, event: entities.BlockLabelled, *, block: int
) -> tuple[entities.HarmState, alarmed.HarmAlarm | None]:
    """Add one block to the e-CUSUM of the served error; what is proved is suspected too.

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
        The state after the block, `proof` left to `prove`; and the alarm when the evidence
        passed the threshold, or that of the proof did (see `_is_news`).
    """
    if event.losses is not msgspec.UNSET:
        return _observe_losses(state, event, event.losses, block=block)
    seen, alarm = _suspect(state, event, block=block)
    if event.sureness is msgspec.UNSET:
        return seen, alarm
    _, rows, proved = _proved(state, event, block=block)
    watch, watch_rows, watched = _watched(state, event, block=block)
    seen = structs.replace(seen, proof_rows=rows, watch=watch, watch_rows=watch_rows)
    if alarm is not None:
        return seen, alarm
    for found in (proved, watched):
        if found is None or not _is_news(found, seen.alarm, block=block):
            continue
        hold = max(block + 1, found.change_block + SETTINGS.quiet)
        quiet = structs.replace(sequential.quiet_alarm(SETTINGS), hold=hold)
        return structs.replace(
            entities.HarmState(alarm=quiet),
            proof_rows=rows,
            watch=watch,
            watch_rows=watch_rows,
        ), found
    return seen, None


def _is_news(proved: alarmed.HarmAlarm, alarm: sequential.AlarmState, *, block: int) -> bool:
    """Say whether the loop acts on what is proved, and was not suspected.

    On a change since the last alarm, where rows do not err together: where they do, its own
    alarm is the quicker one, and one fit more cost elec2 a tenth of what the loop regains.
    """
    is_tied = proved.dispersion >= TIED
    return not is_tied and block >= alarm.hold and proved.change_block >= alarm.hold


def _suspect(
    state: entities.HarmState, event: entities.BlockLabelled, *, block: int
) -> tuple[entities.HarmState, alarmed.HarmAlarm | None]:
    alarm, found = sequential.observe_error(
        state.alarm, event.error, block=block, n_rows=event.n_rows, settings=SETTINGS
    )
    alarm = structs.replace(alarm, baseline=alarm.baseline[-LONGEST_BASELINE:])
    if found is not None:
        row = _change_row(state, event, found.change_block, state.alarm.starts, block=block)
        return entities.HarmState(alarm=alarm), alarmed.raised(found, row)
    alarm = _settled(alarm)
    rows = _start_rows(state, event, alarm.starts, block=block)
    return entities.HarmState(alarm=alarm, start_rows=rows), None


def _settled(alarm: sequential.AlarmState) -> sequential.AlarmState:
    """Begin the baseline anew where its newest blocks are far better than all before them.

    After a change, some blocks are still answered by those who do not know the new world: with
    late labels more than the alarm stays quiet for. With them for normal, it misses the next.
    """
    before, recent = alarm.baseline[:-SETTLED], alarm.baseline[-SETTLED:]
    if not alarm.hold or not before or len(before) > LEARNING:
        return alarm
    worst, best = max(recent), min(before)
    if 2 * worst > best or best - worst < SETTINGS.shifts[1]:
        return alarm
    quiet = sequential.quiet_alarm(SETTINGS)
    return structs.replace(quiet, baseline=recent, hold=alarm.hold)


def prove(
    state: entities.HarmState, event: entities.BlockLabelled, *, block: int
) -> tuple[sequential.AlarmState | msgspec.UnsetType, alarmed.HarmAlarm | None]:
    """Add one block to the patient alarm, which tells people of what `observe` suspects.

    Parameters
    ----------
    state, event, block
        As for `observe`.

    Returns
    -------
    tuple
        The next `HarmState.proof`, and the alarm where harm is proved on this block. Of
        bounded losses the one alarm is suspicion and proof.
    """
    proof, _, found = _proved(state, event, block=block)
    return proof, found


def _proved(
    state: entities.HarmState, event: entities.BlockLabelled, *, block: int
) -> tuple[
    sequential.AlarmState | msgspec.UnsetType,
    tuple[int, ...] | msgspec.UnsetType,
    alarmed.HarmAlarm | None,
]:
    """Return the next `HarmState.proof` and `proof_rows`, and the alarm once harm is proved."""
    if event.losses is not msgspec.UNSET:
        return msgspec.UNSET, msgspec.UNSET, None
    sure = None if event.sureness is msgspec.UNSET else event.sureness
    return _patient(
        state.proof, state.proof_rows, event, error=event.error, sure=sure, block=block
    )


def _watched(
    state: entities.HarmState, event: entities.BlockLabelled, *, block: int
) -> tuple[
    sequential.AlarmState | msgspec.UnsetType,
    tuple[int, ...] | msgspec.UnsetType,
    alarmed.HarmAlarm | None,
]:
    """Do for what the members said what `_proved` does for the answers.

    It begins as the proof where a corrector answers for the first time: the same until then.
    """
    tally, known, rows = event.uncorrected, state.watch, state.watch_rows
    if known is msgspec.UNSET:
        if tally is msgspec.UNSET:
            return msgspec.UNSET, msgspec.UNSET, None
        known, rows = state.proof, state.proof_rows
    tally = event.sureness if tally is msgspec.UNSET else tally
    assert tally is not msgspec.UNSET, "who was corrected is two classes, which are counted"
    error = alarmed.of_members(event)
    return _patient(known, rows, event, error=error, sure=tally, block=block, settings=WATCH)


def _patient(
    known: sequential.AlarmState | msgspec.UnsetType,
    known_rows: tuple[int, ...] | msgspec.UnsetType,
    event: entities.BlockLabelled,
    *,
    error: float,
    sure: sureness.Tally | None,
    block: int,
    settings: sequential.AlarmSettings | None = None,
) -> tuple[
    sequential.AlarmState | msgspec.UnsetType,
    tuple[int, ...] | msgspec.UnsetType,
    alarmed.HarmAlarm | None,
]:
    before = sequential.quiet_alarm(PROOF) if known is msgspec.UNSET else known
    is_sure = sure is not None or before.known is not msgspec.UNSET
    after, found = sequential.observe_error(
        before,
        error,
        block=block,
        n_rows=event.n_rows,
        settings=settings or (SURE_PROOF if is_sure else PROOF),
        sure=sure,
    )
    after = structs.replace(after, baseline=after.baseline[-LONGEST_BASELINE:])
    if not is_sure:
        rows: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    elif known_rows is msgspec.UNSET:
        rows = (event.first_row,) * len(after.starts)
    else:
        rows = _rows_of(after.starts, known_rows, event, block=block)
    if found is None:
        return after, rows, None
    firsts = () if known_rows is msgspec.UNSET else known_rows
    row = event.first_row
    if found.change_block < block and found.change_block in before.starts[: len(firsts)]:
        row = firsts[before.starts.index(found.change_block)]
    return after, rows, alarmed.raised(found, row)


def is_proved(state: entities.HarmState, *, block: int) -> bool:
    """Say whether harm was proved on this block or a few before it."""
    return state.proof is msgspec.UNSET or state.proof.hold > block


def _observe_losses(
    state: entities.HarmState,
    event: entities.BlockLabelled,
    losses: tuple[float, ...],
    *,
    block: int,
) -> tuple[entities.HarmState, alarmed.HarmAlarm | None]:
    before = bounded.quiet(BOUNDED) if state.bounded is msgspec.UNSET else state.bounded
    after, found = bounded.observe(before, losses, block=block, settings=BOUNDED)
    after = structs.replace(
        after,
        means=after.means[-LONGEST_BASELINE:],
        variances=after.variances[-LONGEST_BASELINE:],
    )
    if found is not None:
        row = _change_row(state, event, found.change_block, before.starts, block=block)
        raised = alarmed.HarmAlarm(
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
    return _rows_of(starts, state.start_rows, event, block=block)


def _rows_of(
    starts: tuple[int, ...],
    before: tuple[int, ...],
    event: entities.BlockLabelled,
    *,
    block: int,
) -> tuple[int, ...]:
    """Return the first row of the block where each sum began; a sum that is new began here."""
    known = (*before, *(event.first_row,) * (len(starts) - len(before)))
    return tuple(
        event.first_row if start == block else row
        for start, row in zip(starts, known, strict=False)
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

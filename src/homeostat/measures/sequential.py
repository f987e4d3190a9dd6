"""Anytime-valid tests: they may be looked at after every row and keep their error.

The loop's harm alarm stands on `observe_error` (an e-CUSUM on the served error); its canary
on `bet` (a betting e-process on paired losses). State is explicit and made of plain floats, so
that a replayed decision is the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from homeostat.measures import accepted, evidence, sureness

_INDEPENDENT = 1.3  # dispersion below which blocks do not speak against independent rows


class AlarmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Constants of the harm alarm; rates in 0 to 1, threshold in nats, the rest in blocks.

    `is_patient` lets blocks of a rising CUSUM into the baseline once it has fallen back,
    widens the accepted rate by the dispersion, takes the dispersion at its upper end, and sums
    the evidence over all starts (Shiryaev and Roberts) where blocks do not vary more than
    independent rows let them; `least_margin` is the least that is added to the accepted rate.
    Without patience the worst blocks never count as normal: with rows that err together (memory
    0.8, blocks of 200, simulated) false alarms come seven times as often as stated, with it a
    quarter as often. `is_cautious` is that upper end alone.

    `turns` are shares of outcomes that may have turned round: bet on where blocks tell how
    sure their answers were. `weights` are those of all bets, shifts first; equal where empty.
    """

    shifts: tuple[float, ...] = (0.03, 0.10, 0.25)
    log_threshold: float = 7.0
    minimum_baseline: int = 8
    quiet: int = 8
    dispersion_blocks: int = 60
    rising: float = 1.0
    standard_errors: float = 1.0
    is_patient: bool = False
    least_margin: float = 0.005
    is_cautious: bool = True
    turns: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()


PATIENT = AlarmSettings(
    shifts=(0.045, 0.10, 0.25), weights=(4.0, 1.0, 1.0), is_patient=True, least_margin=0.002
)
"""For what a person is told: at most the stated rate, also where rows err together."""
SURE = msgspec.structs.replace(
    PATIENT, turns=(0.04, 0.12, 0.30), weights=(4.0, 1.0, 1.0, 8.0, 1.0, 1.0)
)
"""The same where blocks tell how sure their answers were."""


class AlarmState(msgspec.Struct, frozen=True, kw_only=True):
    """What the harm alarm carries from block to block.

    `scores` and `starts` belong to the shifts (log evidence, and the block of its last reset);
    `baseline` holds the error rates judged normal, `pending` those of the rise under way;
    `summed` is the log evidence summed over every start, of the patient alarm; nothing is
    judged before block `hold`. Where blocks tell how sure their answers were, the turns follow
    the shifts, `known` is what calm blocks were like, and `surplus` how many more answers were
    wrong than in calm blocks since each turn's start.
    """

    scores: tuple[float, ...]
    starts: tuple[int, ...]
    baseline: tuple[float, ...] = ()
    hold: int = 0
    dispersion: float = 1.0
    accepted: float | None = None
    log_evidence: float = 0.0
    pending: tuple[float, ...] = ()
    summed: tuple[float, ...] = ()
    # Came later; unset, they leave no trace in recorded bytes.
    known: sureness.Known | msgspec.UnsetType = msgspec.UNSET
    surplus: tuple[float, ...] | msgspec.UnsetType = msgspec.UNSET


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Harm is proved: the error rate has risen above the accepted level.

    `change_block` estimates where the change began; `shift` is the rise that fits best.
    `expected` is the error that was to be expected of answers as sure as those of the block,
    where that proved it.
    """

    block: int
    change_block: int
    shift: float
    accepted: float
    dispersion: float
    log_evidence: float
    expected: float | None = None


class _Turns(NamedTuple):
    """What a block says given how sure its answers were; one gain for each turn, in nats."""

    gains: tuple[float, ...]
    dispersion: float = 1.0
    residual: float | None = None
    expected: float | None = None


def quiet_alarm(settings: AlarmSettings) -> AlarmState:
    """Return the state before any block.

    Parameters
    ----------
    settings
        See `AlarmSettings`.

    Returns
    -------
    AlarmState
        Without evidence and without a baseline.

    Examples
    --------
    >>> quiet_alarm(AlarmSettings()).scores
    (0.0, 0.0, 0.0)
    """
    n = len(settings.shifts)
    return AlarmState(scores=(0.0,) * n, starts=(0,) * n)


def observe_error(
    state: AlarmState,
    error: float,
    *,
    block: int,
    n_rows: int,
    settings: AlarmSettings,
    sure: sureness.Tally | None = None,
) -> tuple[AlarmState, Alarm | None]:
    """Judge the error of one labelled block; at an alarm the state starts anew.

    Parameters
    ----------
    state
        From `quiet_alarm` or the block before.
    error
        Error rate of what was answered in the block, in 0 to 1.
    block
        Number of the block, increasing.
    n_rows
        Labelled rows in the block, 1 or more.
    settings
        See `AlarmSettings`.
    sure
        The block's answers by how sure they were, where that is known.

    Returns
    -------
    tuple
        The next state, and the alarm or None.

    Raises
    ------
    ValueError
        When `error` or `n_rows` is out of range.

    Notes
    -----
    A CUSUM of e-values (`evidence.log_likelihood_ratio`) for each shift, averaged: it takes
    ``exp(log_threshold)`` blocks or more, on average, until a false alarm [1]_, up to the
    plug-in of the accepted rate and of the dispersion. The change began at the last reset of
    the largest CUSUM [2]_. A rising CUSUM never enters the baseline. The sum over all starts,
    which a patient alarm takes on independent rows, is never below the CUSUM and has the same
    bound: less the number of blocks it is a supermartingale [1]_ [3]_.

    With `sure` the same is done for each turn, given how sure the answers were, and the mean
    goes over shifts and turns: the null is then that both hold, the error rate is at most the
    accepted one *and* no answer is wrong more often than accepted of answers as sure as it. A
    turn counts only while more answers have been wrong since its start than in calm blocks.

    References
    ----------
    .. [1] J. Shin, A. Ramdas and A. Rinaldo, "E-detectors", NEJSDS, 2024.
    .. [2] E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954.
    .. [3] M. Pollak, "Average run lengths of an optimal method of detecting a change in
       distribution", Annals of Statistics 15, 1987.

    Examples
    --------
    >>> settings = AlarmSettings()
    >>> state, alarms = quiet_alarm(settings), []
    >>> for block, error in enumerate([0.1] * 10 + [0.3] * 2):
    ...     state, alarm = observe_error(
    ...         state, error, block=block, n_rows=200, settings=settings
    ...     )
    ...     alarms += [alarm] if alarm else []
    >>> [(a.block, a.change_block) for a in alarms]
    [(10, 10)]
    """
    if not 0 <= error <= 1 or n_rows < 1:
        msg = f"need an error rate in 0 to 1 and a row; got {error} and {n_rows}"
        raise ValueError(msg)
    if block < state.hold:
        return state, None
    if sure is not None:
        state = _with_turns(state, settings, block=block)
    if len(state.baseline) < settings.minimum_baseline:
        state = msgspec.structs.replace(state, baseline=(*state.baseline, error))
        return _known(state, sure, None, settings=settings, is_calm=True), None
    rate, dispersion = _normal(state, n_rows=n_rows, settings=settings)
    state = msgspec.structs.replace(state, accepted=rate, dispersion=dispersion)
    turns = _turns(state, sure, settings)
    state = _accumulate(state, error, turns, block=block, n_rows=n_rows, settings=settings)
    if state.log_evidence > settings.log_threshold:
        return _raise_alarm(state, turns, block=block, settings=settings)
    is_calm = max(state.scores) <= settings.rising
    if is_calm:
        baseline = (*state.baseline, *state.pending, error)
        state = msgspec.structs.replace(state, baseline=baseline, pending=())
    elif settings.is_patient:
        state = msgspec.structs.replace(state, pending=(*state.pending, error))
    return _known(state, sure, turns.residual, settings=settings, is_calm=is_calm), None


def _with_turns(state: AlarmState, settings: AlarmSettings, *, block: int) -> AlarmState:
    """Return the state with room for the turns."""
    if state.known is not msgspec.UNSET:
        return state
    n = len(settings.turns)
    return msgspec.structs.replace(
        state,
        scores=(*state.scores, *(0.0,) * n),
        starts=(*state.starts, *(block,) * n),
        summed=(*state.summed, *(-math.inf,) * n) if state.summed else (),
        known=sureness.Known(),
        surplus=(0.0,) * n,
    )


def _known(
    state: AlarmState,
    sure: sureness.Tally | None,
    residual: float | None,
    *,
    settings: AlarmSettings,
    is_calm: bool,
) -> AlarmState:
    if sure is None or state.known is msgspec.UNSET:
        return state
    known = state.known
    if is_calm:
        known = sureness.calm(known, sure, residual, blocks=settings.dispersion_blocks)
    elif settings.is_patient:
        known = sureness.pending(known, sure, residual)
    return msgspec.structs.replace(state, known=known)


def _turns(state: AlarmState, sure: sureness.Tally | None, settings: AlarmSettings) -> _Turns:
    """Say what a block says given how sure its answers were; nothing before that is known."""
    known = state.known
    if known is msgspec.UNSET:
        return _Turns(())
    if sure is None or known.n_blocks < settings.minimum_baseline:
        return _Turns((0.0,) * len(settings.turns))
    seen = sureness.expected(known, sure, share=settings.turns[-1])
    is_cautious = settings.is_patient and settings.is_cautious
    squares = sureness.squares(known, blocks=settings.dispersion_blocks)
    if squares is None:  # until their own spread is known, that of the errors
        dispersion = state.dispersion
    else:
        dispersion = accepted.factor(squares[0], free=squares[1], is_cautious=is_cautious)
    errors = settings.standard_errors * (math.sqrt(dispersion) if settings.is_patient else 1.0)
    margin = max(settings.least_margin, errors * seen.margin)
    gains = tuple(
        sureness.gain(seen, accepted=margin, rise=rise, dispersion=dispersion)
        for rise in settings.turns
    )
    return _Turns(gains, dispersion, seen.residual, seen.error)


def _normal(state: AlarmState, *, n_rows: int, settings: AlarmSettings) -> tuple[float, float]:
    """Return the accepted rate, and how much more blocks vary than independent rows."""
    recent = state.baseline[-settings.dispersion_blocks :]
    is_cautious = settings.is_patient and settings.is_cautious
    rate = accepted.rate(
        state.baseline,
        block_rows=n_rows,
        standard_errors=settings.standard_errors,
        least_margin=settings.least_margin,
    )
    if settings.is_patient:
        spread = math.sqrt(
            accepted.overdispersion(recent, rate, block_rows=n_rows, is_cautious=is_cautious)
        )
        rate = accepted.rate(
            state.baseline,
            block_rows=n_rows,
            standard_errors=settings.standard_errors * spread,
            least_margin=settings.least_margin,
        )
    return rate, accepted.overdispersion(
        recent, rate, block_rows=n_rows, is_cautious=is_cautious
    )


def _accumulate(
    state: AlarmState,
    error: float,
    turns: _Turns,
    *,
    block: int,
    n_rows: int,
    settings: AlarmSettings,
) -> AlarmState:
    rate = state.accepted or 0.0
    gains = [
        evidence.log_likelihood_ratio(
            error,
            n_rows=n_rows,
            accepted=rate,
            harmful=min(0.95, rate + shift),
            dispersion=state.dispersion,
        )
        for shift in settings.shifts
    ]
    gains += turns.gains
    starts = [
        block if score <= 0 else start
        for score, start in zip(state.scores, state.starts, strict=True)
    ]
    scores = [max(0.0, score) + gain for score, gain in zip(state.scores, gains, strict=True)]
    state = msgspec.structs.replace(
        state,
        scores=tuple(scores),
        starts=tuple(starts),
        summed=_summed(state.summed, gains) if settings.is_patient else (),
        surplus=_surplus(state, error, starts, block=block, n_rows=n_rows),
    )
    logs = _counted(state, turns, n_shifts=len(settings.shifts))
    weights = settings.weights[: len(logs)]
    return msgspec.structs.replace(
        state, log_evidence=evidence.log_mean_exp(logs, weights=weights)
    )


def _surplus(
    state: AlarmState, error: float, starts: Sequence[int], *, block: int, n_rows: int
) -> tuple[float, ...] | msgspec.UnsetType:
    """Count for each turn how many more answers were wrong since its start than normally."""
    if state.surplus is msgspec.UNSET:
        return msgspec.UNSET
    more = n_rows * (error - math.fsum(state.baseline) / len(state.baseline))
    begun = starts[len(starts) - len(state.surplus) :]
    return tuple(
        more if start == block else before + more
        for start, before in zip(begun, state.surplus, strict=True)
    )


def _counted(state: AlarmState, turns: _Turns, *, n_shifts: int) -> list[float]:
    """Return the log evidence of each bet: summed over starts where blocks are independent."""
    logs = []
    for at, score in enumerate(state.scores):
        dispersion = state.dispersion if at < n_shifts else turns.dispersion
        is_summed = bool(state.summed) and dispersion < _INDEPENDENT
        log = state.summed[at] if is_summed else max(0.0, score)
        if at >= n_shifts and state.surplus is not msgspec.UNSET:
            log = log if state.surplus[at - n_shifts] > 0 else min(log, 0.0)
        logs.append(log)
    return logs


def _summed(before: Sequence[float], gains: Sequence[float]) -> tuple[float, ...]:
    """Shiryaev and Roberts: evidence of a change before any of the blocks, in nats."""
    logs = before or (-math.inf,) * len(gains)
    return tuple(
        gain + max(0.0, log) + math.log1p(math.exp(-abs(log)))
        for log, gain in zip(logs, gains, strict=True)
    )


def _raise_alarm(
    state: AlarmState, turns: _Turns, *, block: int, settings: AlarmSettings
) -> tuple[AlarmState, Alarm]:
    best = max(range(len(state.scores)), key=state.scores.__getitem__)
    change = state.starts[best]
    alarm = Alarm(
        block=block,
        change_block=change,
        shift=(*settings.shifts, *settings.turns)[best],
        accepted=state.accepted or 0.0,
        dispersion=state.dispersion,
        log_evidence=state.log_evidence,
        expected=turns.expected if best >= len(settings.shifts) else None,
    )
    hold = max(block + 1, change + settings.quiet)
    return msgspec.structs.replace(quiet_alarm(settings), hold=hold), alarm

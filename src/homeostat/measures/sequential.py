"""Anytime-valid tests: they may be looked at after every row and keep their error.

The loop's harm alarm stands on `observe_error` (an e-CUSUM on the served error); its canary
on `bet` (a betting e-process on paired losses). State is explicit and made of plain floats, so
that a replayed decision is the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from homeostat.measures import accepted, evidence

_INDEPENDENT = 1.3  # dispersion below which blocks do not speak against independent rows


class AlarmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Constants of the harm alarm; rates in 0 to 1, threshold in nats, the rest in blocks.

    `is_patient` lets blocks of a rising CUSUM into the baseline once it has fallen back,
    widens the accepted rate by the dispersion, takes the dispersion at its upper end, and sums
    the evidence over all starts (Shiryaev and Roberts) where blocks do not vary more than
    independent rows let them; `least_margin` is the least that is added to the accepted rate.
    Without patience the worst blocks never count as normal: with rows that err together (memory
    0.8, blocks of 200, simulated) false alarms come seven times as often as stated, with it a
    quarter as often.
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


PATIENT = AlarmSettings(
    shifts=(0.045, 0.10, 0.25), standard_errors=1.0, is_patient=True, least_margin=0.002
)
"""For what a person is told: at most the stated rate, also where rows err together."""


class AlarmState(msgspec.Struct, frozen=True, kw_only=True):
    """What the harm alarm carries from block to block.

    `scores` and `starts` belong to the shifts (log evidence, and the block of its last reset);
    `baseline` holds the error rates judged normal, `pending` those of the rise under way;
    `summed` is the log evidence summed over every start, of the patient alarm; nothing is
    judged before block `hold`.
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


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Harm is proved: the error rate has risen above the accepted level.

    `change_block` estimates where the change began; `shift` is the rise that fits best.
    """

    block: int
    change_block: int
    shift: float
    accepted: float
    dispersion: float
    log_evidence: float


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
    if len(state.baseline) < settings.minimum_baseline:
        return msgspec.structs.replace(state, baseline=(*state.baseline, error)), None
    state = _accumulate(state, error, block=block, n_rows=n_rows, settings=settings)
    if state.log_evidence > settings.log_threshold:
        return _raise_alarm(state, block=block, settings=settings)
    if max(state.scores) <= settings.rising:
        baseline = (*state.baseline, *state.pending, error)
        state = msgspec.structs.replace(state, baseline=baseline, pending=())
    elif settings.is_patient:
        state = msgspec.structs.replace(state, pending=(*state.pending, error))
    return state, None


def _accumulate(
    state: AlarmState, error: float, *, block: int, n_rows: int, settings: AlarmSettings
) -> AlarmState:
    recent = state.baseline[-settings.dispersion_blocks :]
    rate = accepted.rate(
        state.baseline,
        block_rows=n_rows,
        standard_errors=settings.standard_errors,
        least_margin=settings.least_margin,
    )
    if settings.is_patient:
        spread = math.sqrt(
            accepted.overdispersion(recent, rate, block_rows=n_rows, is_cautious=True)
        )
        rate = accepted.rate(
            state.baseline,
            block_rows=n_rows,
            standard_errors=settings.standard_errors * spread,
            least_margin=settings.least_margin,
        )
    dispersion = accepted.overdispersion(
        recent, rate, block_rows=n_rows, is_cautious=settings.is_patient
    )
    scores: list[float] = []
    starts: list[int] = []
    gains: list[float] = []
    for score, start, shift in zip(state.scores, state.starts, settings.shifts, strict=True):
        starts.append(block if score <= 0 else start)
        gain = evidence.log_likelihood_ratio(
            error,
            n_rows=n_rows,
            accepted=rate,
            harmful=min(0.95, rate + shift),
            dispersion=dispersion,
        )
        scores.append(max(0.0, score) + gain)
        gains.append(gain)
    summed = _summed(state.summed, gains) if settings.is_patient else ()
    is_independent = bool(summed) and dispersion < _INDEPENDENT
    return msgspec.structs.replace(
        state,
        scores=tuple(scores),
        starts=tuple(starts),
        dispersion=dispersion,
        accepted=rate,
        log_evidence=evidence.log_mean_exp(
            summed if is_independent else [max(0.0, score) for score in scores]
        ),
        summed=summed,
    )


def _summed(before: Sequence[float], gains: Sequence[float]) -> tuple[float, ...]:
    """Shiryaev and Roberts: evidence of a change before any of the blocks, in nats."""
    logs = before or (-math.inf,) * len(gains)
    return tuple(
        gain + max(0.0, log) + math.log1p(math.exp(-abs(log)))
        for log, gain in zip(logs, gains, strict=True)
    )


def _raise_alarm(
    state: AlarmState, *, block: int, settings: AlarmSettings
) -> tuple[AlarmState, Alarm]:
    best = max(range(len(state.scores)), key=state.scores.__getitem__)
    change = state.starts[best]
    alarm = Alarm(
        block=block,
        change_block=change,
        shift=settings.shifts[best],
        accepted=state.accepted or 0.0,
        dispersion=state.dispersion,
        log_evidence=state.log_evidence,
    )
    hold = max(block + 1, change + settings.quiet)
    return msgspec.structs.replace(quiet_alarm(settings), hold=hold), alarm


class Betting(msgspec.Struct, frozen=True, kw_only=True):
    """Wealth of a gambler who bets that a bounded mean is above `null_mean`.

    Values lie in [`low`, `high`]. `log_wealth` belongs to `bets`, shares of the largest bet
    that can never lose all; `n` counts values; `log_peak` is the largest `log_e` so far.
    """

    null_mean: float = 0.0
    low: float = -1.0
    high: float = 1.0
    bets: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
    log_wealth: tuple[float, ...] = ()
    n: int = 0
    total: float = 0.0
    log_peak: float = 0.0

    @property
    def log_e(self) -> float:
        """Log of the mean wealth; an e-process for "the mean is at most `null_mean`"."""
        return evidence.log_mean_exp(self.log_wealth) if self.log_wealth else 0.0

    @property
    def mean(self) -> float | None:
        """Mean of the values; None before the first."""
        return self.total / self.n if self.n else None


def bet(state: Betting, value: float) -> Betting:
    """Bet on one more value.

    Parameters
    ----------
    state
        A `Betting` at its start or after the value before.
    value
        In [`low`, `high`]; given the past, with mean at most `null_mean` under the null.

    Returns
    -------
    Betting
        By Ville's inequality ``P(log_peak ever >= ln(1 / error)) <= error`` under the null,
        however often one looks and whenever one stops.

    Raises
    ------
    ValueError
        When `value` is outside its bounds, or they do not enclose `null_mean`.

    References
    ----------
    .. [1] I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by
       betting", JRSS B 86, 2024.

    Examples
    --------
    >>> state = Betting()
    >>> for _ in range(40):
    ...     state = bet(state, 0.2)
    >>> state.log_e > math.log(1 / 0.05)
    True
    """
    if not state.low < state.null_mean < state.high:
        msg = f"need low < null_mean < high; got {state.low}, {state.null_mean}, {state.high}"
        raise ValueError(msg)
    if not state.low <= value <= state.high:
        msg = f"value must be in {state.low} to {state.high}; got {value}"
        raise ValueError(msg)
    room = state.null_mean - state.low
    gain = (value - state.null_mean) / room
    before = state.log_wealth or (0.0,) * len(state.bets)
    after = tuple(w + math.log1p(b * gain) for w, b in zip(before, state.bets, strict=True))
    return msgspec.structs.replace(
        state,
        log_wealth=after,
        n=state.n + 1,
        total=state.total + value,
        log_peak=max(state.log_peak, evidence.log_mean_exp(after)),
    )

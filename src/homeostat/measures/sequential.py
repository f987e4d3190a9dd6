"""Anytime-valid tests: they may be looked at after every row and keep their error.

The loop's harm alarm stands on `observe_error` (an e-CUSUM on the served error); its canary
on `betting`. State is explicit and made of plain floats, so
that a replayed decision is the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec


class AlarmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Constants of the harm alarm; rates in 0 to 1, threshold in nats, the rest in blocks."""

    shifts: tuple[float, ...] = (0.03, 0.10, 0.25)
    log_threshold: float = 7.0
    minimum_baseline: int = 8
    quiet: int = 8
    dispersion_blocks: int = 60
    rising: float = 1.0


class AlarmState(msgspec.Struct, frozen=True, kw_only=True):
    """What the harm alarm carries from block to block.

    `scores` and `starts` belong to the shifts (log evidence, and the block of its last reset);
    `baseline` holds the error rates judged normal; nothing is judged before block `hold`.
    """

    scores: tuple[float, ...]
    starts: tuple[int, ...]
    baseline: tuple[float, ...] = ()
    hold: int = 0
    dispersion: float = 1.0
    accepted: float | None = None
    log_evidence: float = 0.0


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

    Examples
    --------
    >>> quiet_alarm(AlarmSettings()).scores
    (0.0, 0.0, 0.0)
    """
    n = len(settings.shifts)
    return AlarmState(scores=(0.0,) * n, starts=(0,) * n)


def accepted_rate(baseline: Sequence[float], *, block_rows: int) -> float:
    """Estimate the error rate that counts as normal, rounded up by its standard error.

    Parameters
    ----------
    baseline
        Error rates of blocks judged normal, each in 0 to 1, at least one.
    block_rows
        Rows in a block, 1 or more.

    Returns
    -------
    float
        ``p + max(.005, sqrt(p (1 - p) / rows))`` with ``p`` the mean, at most .49 before.

    Raises
    ------
    ValueError
        When there is no block or no row.

    Examples
    --------
    >>> round(accepted_rate([0.1] * 8, block_rows=200), 4)
    0.1075
    """
    if not baseline or block_rows < 1:
        msg = f"need a block and a row; got {len(baseline)} and {block_rows}"
        raise ValueError(msg)
    p = min(0.49, math.fsum(baseline) / len(baseline))
    return p + max(0.005, math.sqrt(p * (1 - p) / (block_rows * len(baseline))))


def overdispersion(baseline: Sequence[float], rate: float, *, block_rows: int) -> float:
    """Estimate how much more block error rates vary than independent rows would let them.

    Parameters
    ----------
    baseline
        Error rates of blocks judged normal, at least one.
    rate
        Accepted rate, inside (0, 1).
    block_rows
        Rows in a block, 1 or more.

    Returns
    -------
    float
        Variance over the binomial variance, 1 or more.

    Raises
    ------
    ValueError
        When there is no block, or `rate` or `block_rows` is out of range.

    Examples
    --------
    >>> overdispersion([0.1, 0.1], 0.1, block_rows=200)
    1.0
    """
    if not baseline or not 0 < rate < 1 or block_rows < 1:
        msg = (
            f"need blocks, rate inside (0, 1), rows; got {len(baseline)}, {rate}, {block_rows}"
        )
        raise ValueError(msg)
    mean = math.fsum(baseline) / len(baseline)
    variance = math.fsum((e - mean) ** 2 for e in baseline) / len(baseline)
    return max(1.0, variance / (rate * (1 - rate) / block_rows))


def log_likelihood_ratio(
    error: float, *, n_rows: int, accepted: float, harmful: float, dispersion: float = 1.0
) -> float:
    """Return the log evidence of one block for a harmful against the accepted error rate.

    Parameters
    ----------
    error
        Error rate of the block, in 0 to 1.
    n_rows
        Rows in the block, 1 or more.
    accepted, harmful
        Rates inside (0, 1), ``accepted < harmful``.
    dispersion
        1 or more; the log is divided by it.

    Returns
    -------
    float
        In nats. Its exponential is an e-value for "the rate is at most `accepted`" when rows
        are exchangeable within the block; dividing by `dispersion` keeps it one (concavity).

    Raises
    ------
    ValueError
        When an argument is out of range.

    References
    ----------
    .. [1] J. Shin, A. Ramdas and A. Rinaldo, "E-detectors: a nonparametric framework for
       sequential change detection", NEJSDS, 2024.

    Examples
    --------
    >>> log_likelihood_ratio(0.1, n_rows=200, accepted=0.1, harmful=0.2) < 0
    True
    >>> log_likelihood_ratio(0.2, n_rows=200, accepted=0.1, harmful=0.2) > 7
    True
    """
    if not (0 < accepted < harmful < 1 and 0 <= error <= 1 and n_rows > 0 and dispersion >= 1):
        msg = (
            "need 0 < accepted < harmful < 1, error in 0 to 1, rows and dispersion >= 1; "
            f"got {accepted}, {harmful}, {error}, {n_rows}, {dispersion}"
        )
        raise ValueError(msg)
    rise = error * math.log(harmful / accepted)
    fall = (1 - error) * math.log((1 - harmful) / (1 - accepted))
    return n_rows * (rise + fall) / dispersion


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
    A CUSUM of e-values (`log_likelihood_ratio`) for each shift, averaged: the average run
    length to a false alarm is at least ``exp(log_threshold)`` blocks [1]_, up to the plug-in
    of the accepted rate and of the dispersion. The change began at the last reset of the
    largest CUSUM [2]_. A rising CUSUM never enters the baseline.

    References
    ----------
    .. [1] J. Shin, A. Ramdas and A. Rinaldo, "E-detectors", NEJSDS, 2024.
    .. [2] E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954.

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
        state = msgspec.structs.replace(state, baseline=(*state.baseline, error))
    return state, None


def _accumulate(
    state: AlarmState, error: float, *, block: int, n_rows: int, settings: AlarmSettings
) -> AlarmState:
    accepted = accepted_rate(state.baseline, block_rows=n_rows)
    recent = state.baseline[-settings.dispersion_blocks :]
    dispersion = overdispersion(recent, accepted, block_rows=n_rows)
    scores: list[float] = []
    starts: list[int] = []
    for score, start, shift in zip(state.scores, state.starts, settings.shifts, strict=True):
        starts.append(block if score <= 0 else start)
        gain = log_likelihood_ratio(
            error,
            n_rows=n_rows,
            accepted=accepted,
            harmful=min(0.95, accepted + shift),
            dispersion=dispersion,
        )
        scores.append(max(0.0, score) + gain)
    return msgspec.structs.replace(
        state,
        scores=tuple(scores),
        starts=tuple(starts),
        dispersion=dispersion,
        accepted=accepted,
        log_evidence=log_mean_exp([max(0.0, score) for score in scores]),
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


def log_mean_exp(logs: Sequence[float]) -> float:
    """Return ``ln(mean(exp(logs)))`` without overflow.

    Parameters
    ----------
    logs
        At least one value, in nats; ``-inf`` is allowed.

    Returns
    -------
    float
        In nats.

    Raises
    ------
    ValueError
        When there is no value.

    Examples
    --------
    >>> log_mean_exp([1000.0, 1000.0])
    1000.0
    """
    if not logs:
        msg = "the mean of no values is not defined"
        raise ValueError(msg)
    top = max(logs)
    if math.isinf(top):
        return top
    return top + math.log(math.fsum(math.exp(x - top) for x in logs) / len(logs))

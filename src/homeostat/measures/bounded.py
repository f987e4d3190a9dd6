"""Has a bounded loss risen above its accepted level? A CUSUM of bets; for regression's harm.

For losses of 0 and 1 the bets are the likelihood ratio of `sequential.observe_error` again;
this form needs bounds only. State is explicit and made of plain floats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from homeostat.measures import evidence


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Constants: rises in standard deviations of a row's loss, threshold in nats, blocks."""

    rises: tuple[float, ...] = (0.1, 0.3, 0.8)
    log_threshold: float = 7.0
    minimum_baseline: int = 8
    quiet: int = 8
    dispersion_blocks: int = 60
    rising: float = 1.0
    standard_errors: float = 2.0
    largest_bet: float = 0.5


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is carried from block to block; `scores` and `starts` belong to the rises.

    `means` and `variances` are of the losses of blocks judged normal.
    """

    scores: tuple[float, ...]
    starts: tuple[int, ...]
    means: tuple[float, ...] = ()
    variances: tuple[float, ...] = ()
    hold: int = 0
    dispersion: float = 1.0
    accepted: float | None = None
    log_evidence: float = 0.0


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """The mean loss is proved to be above `accepted`, since about `change_block`."""

    block: int
    change_block: int
    rise: float
    accepted: float
    dispersion: float
    log_evidence: float


def quiet(settings: Settings) -> State:
    """Return the state before any block.

    Parameters
    ----------
    settings
        See `Settings`.

    Returns
    -------
    State
        Without evidence and without a baseline.
    """
    n = len(settings.rises)
    return State(scores=(0.0,) * n, starts=(0,) * n)


def log_wealth(
    losses: Sequence[float], *, accepted: float, bet: float, dispersion: float = 1.0
) -> float:
    """Return the log wealth of one bet on the losses of a block.

    Parameters
    ----------
    losses
        Each in 0 to 1.
    accepted
        Level of the null, in (0, 1).
    bet
        Stake for each unit above `accepted`, 0 or more, below ``1 / accepted``.
    dispersion
        1 or more; the log is divided by it.

    Returns
    -------
    float
        In nats; its exponential is an e-value for "given the past, the mean loss is at most
        `accepted`" [1]_, and dividing by `dispersion` keeps it one (concavity).

    Raises
    ------
    ValueError
        When an argument is out of range.

    References
    ----------
    .. [1] I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by
       betting", JRSS B 86, 2024.

    Examples
    --------
    >>> log_wealth([0.5] * 100, accepted=0.25, bet=1.0) > 7
    True
    >>> log_wealth([0.25] * 100, accepted=0.25, bet=1.0)
    0.0
    """
    if not 0 < accepted < 1 or not 0 <= bet < 1 / accepted or dispersion < 1:
        msg = (
            "need accepted inside (0, 1), a bet below 1 / accepted, dispersion of 1 or more; "
            f"got {accepted}, {bet}, {dispersion}"
        )
        raise ValueError(msg)
    if not all(0 <= loss <= 1 for loss in losses):
        msg = "losses must lie in 0 to 1"
        raise ValueError(msg)
    return math.fsum(math.log1p(bet * (loss - accepted)) for loss in losses) / dispersion


def observe(
    state: State, losses: Sequence[float], *, block: int, settings: Settings
) -> tuple[State, Alarm | None]:
    """Judge the losses of one labelled block; at an alarm the state starts anew.

    Parameters
    ----------
    state
        From `quiet` or the block before.
    losses
        Of what was answered, each in 0 to 1, at least two.
    block
        Number of the block, increasing.
    settings
        See `Settings`.

    Returns
    -------
    tuple
        The next state, and the alarm or None.

    Raises
    ------
    ValueError
        When there are fewer than two losses, or one is out of range.

    Notes
    -----
    For each rise a CUSUM ``max(C, 0) + ln(wealth of the block)``, averaged over the rises as
    e-detectors [1]_: with the true level and losses whose mean, given the past, is at most
    that level, ``exp(log_threshold)`` blocks or more pass on average until a false alarm.
    Level and variance are estimated from blocks judged normal, which the theorem does not
    cover; the level is rounded up by `standard_errors`.

    References
    ----------
    .. [1] J. Shin, A. Ramdas and A. Rinaldo, "E-detectors: a nonparametric framework for
       sequential change detection", NEJSDS, 2024.

    Examples
    --------
    >>> state, found = quiet(Settings()), []
    >>> for block in range(12):
    ...     losses = [0.1, 0.2] * 100 if block < 10 else [0.4, 0.5] * 100
    ...     state, alarm = observe(state, losses, block=block, settings=Settings())
    ...     found += [alarm] if alarm else []
    >>> [(alarm.block, alarm.change_block) for alarm in found]
    [(10, 10)]
    """
    n = len(losses)
    if n < 2 or not all(0 <= loss <= 1 for loss in losses):  # noqa: PLR2004 - a variance
        msg = "need two losses or more, each in 0 to 1"
        raise ValueError(msg)
    if block < state.hold:
        return state, None
    mean = math.fsum(losses) / n
    variance = math.fsum((loss - mean) ** 2 for loss in losses) / (n - 1)
    if len(state.means) >= settings.minimum_baseline:
        state = _accumulate(state, losses, block=block, settings=settings)
        if state.log_evidence > settings.log_threshold:
            return _raise(state, block=block, settings=settings)
        if max(state.scores) > settings.rising:
            return state, None
    state = msgspec.structs.replace(
        state, means=(*state.means, mean), variances=(*state.variances, variance)
    )
    return state, None


def _accumulate(
    state: State, losses: Sequence[float], *, block: int, settings: Settings
) -> State:
    n, n_blocks = len(losses), len(state.means)
    mean = math.fsum(state.means) / n_blocks
    variance = max(1e-12, math.fsum(state.variances) / n_blocks)
    recent = state.means[-settings.dispersion_blocks :]
    centre = math.fsum(recent) / len(recent)
    between = math.fsum((m - centre) ** 2 for m in recent) / len(recent)
    dispersion = max(1.0, between / (variance / n))
    noise = math.sqrt(variance / (n * n_blocks))
    accepted = min(0.95, max(1e-6, mean + settings.standard_errors * noise))
    scores: list[float] = []
    starts: list[int] = []
    for score, start, rise in zip(state.scores, state.starts, settings.rises, strict=True):
        step = rise * math.sqrt(variance)
        bet = min(settings.largest_bet / accepted, step / (variance + step**2))
        starts.append(block if score <= 0 else start)
        scores.append(
            max(0.0, score)
            + log_wealth(losses, accepted=accepted, bet=bet, dispersion=dispersion)
        )
    return msgspec.structs.replace(
        state,
        scores=tuple(scores),
        starts=tuple(starts),
        dispersion=dispersion,
        accepted=accepted,
        log_evidence=evidence.log_mean_exp([max(0.0, score) for score in scores]),
    )


def _raise(state: State, *, block: int, settings: Settings) -> tuple[State, Alarm]:
    best = max(range(len(state.scores)), key=state.scores.__getitem__)
    change = state.starts[best]
    alarm = Alarm(
        block=block,
        change_block=change,
        rise=settings.rises[best],
        accepted=state.accepted or 0.0,
        dispersion=state.dispersion,
        log_evidence=state.log_evidence,
    )
    hold = max(block + 1, change + settings.quiet)
    return msgspec.structs.replace(quiet(settings), hold=hold), alarm

"""May a canary go on? Paired losses, failures and answers that are no numbers. Pure.

Called by `entrance`. All evidence is kept as wealth of bets, so that the error of the
policy (`rollout.error`) holds however often one looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from msgspec import structs

from homeostat.lifecycle.loop import entities, guards
from homeostat.lifecycle.policy import entities as policies
from homeostat.measures import betting

ACCEPTED_FAILURES = 0.01
"""Share of requests that may fail without the canary being blamed."""
MIN_ANSWERED = 20
"""Requests a canary must have answered at a step before it takes the next one."""
LATENCY_FACTOR = 2.0
"""How far above the gate's limit the 99th percentile may be before the canary goes."""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What one look at a canary led to."""

    course: entities.Course
    rollout: entities.Rollout
    sentence: str
    evidence: entities.Evidence


def begin(entrants: tuple[str, ...], policy: policies.Policy) -> entities.Rollout:
    """Start a canary with no evidence.

    Parameters
    ----------
    entrants
        The members that answer for the first time.
    policy
        Its `monitoring.tolerance` says how much worse in mean loss is still as good.
    """
    tolerance = policy.monitoring.tolerance
    return entities.Rollout(
        entrants=entrants,
        worse=betting.Betting(),
        sound=betting.Betting(low=tolerance - 1, high=tolerance + 1),
        failing=betting.Betting(null_mean=ACCEPTED_FAILURES, low=0.0),
    )


def observe(
    rollout: entities.Rollout, event: entities.RolloutObserved, policy: policies.Policy
) -> Observed:
    """Add what was seen since the last look and say: continue, advance or roll back.

    Parameters
    ----------
    rollout
        The canary and the evidence so far.
    event
        Paired losses in [-1, 1] in the order their labels came; counts since the last look.
    policy
        `rollout.error` in (0, 1), `rollout.minimum_labels`, `monitoring.tolerance` (how much
        worse in mean loss is still as good), `gates.latency_p99_ms`.

    Returns
    -------
    Observed
        The course, the new evidence, and why.

    Raises
    ------
    ValueError
        When a paired loss is not a number in [-1, 1].

    Notes
    -----
    Three e-processes by betting [1]_, each against ``1 / error``: the canary is worse (mean
    difference > 0; rolls an equal one back with probability at most `error`), the canary is
    sound (mean difference < tolerance; promotes one that is worse by more with probability
    at most `error`), and it fails more often than `ACCEPTED_FAILURES`. By Ville's inequality
    the levels hold at every look. Guards of groups and slices are told in `guards`.

    References
    ----------
    .. [1] Waudby-Smith and Ramdas, *Estimating means of bounded random variables by
       betting*, JRSS B, 2024.
    """
    tolerance = policy.monitoring.tolerance
    failures = [0.0] * event.n_answered + [1.0] * event.n_failed
    seen = structs.replace(
        rollout,
        n_answered_step=rollout.n_answered_step + event.n_answered,
        worse=_bet_all(rollout.worse, event.paired),
        sound=_bet_all(rollout.sound, [tolerance - value for value in event.paired]),
        failing=_bet_all(rollout.failing, failures),
    )
    if event.guarded:
        known = {} if seen.guards is msgspec.UNSET else seen.guards
        grown = guards.grow(known, event.guarded, policy.rollout)
        seen = structs.replace(seen, guards=grown)
    needed = -math.log(policy.rollout.error)
    evidence = _evidence(seen, event, needed=needed)
    course, sentence = _course(seen, event, policy)
    return Observed(course=course, rollout=seen, sentence=sentence, evidence=evidence)


def _course(  # noqa: PLR0911 - one return for each reason
    seen: entities.Rollout, event: entities.RolloutObserved, policy: policies.Policy
) -> tuple[entities.Course, str]:
    needed = -math.log(policy.rollout.error)
    limit = policy.gates.latency_p99_ms
    if event.n_not_loaded:
        return "rollback", "a version of the canary cannot be loaded"
    if event.n_not_finite:
        return "rollback", f"{event.n_not_finite} answers of the canary are not numbers"
    if seen.failing.log_peak >= needed:
        return "rollback", "the canary fails more often than 1 in 100 requests"
    if seen.worse.log_peak >= needed:
        return "rollback", "the canary's loss is proved to be worse on the same rows"
    said = guards.judge(seen.guards or {}, policy.rollout)
    if said.expels:
        return "rollback", f"a guard expels the canary: {said.expels}"
    slow = event.latency_p99_ms
    if limit is not None and slow is not None and slow > LATENCY_FACTOR * limit:
        return "rollback", f"the canary takes {slow:.1f} ms where {limit:.1f} ms is the gate"
    sound = seen.sound.log_peak >= needed and seen.worse.n >= policy.rollout.minimum_labels
    held = _held(said, policy.rollout)
    if sound and held:
        return "continue", held
    in_shadow = not seen.share  # asked of nobody's row; unset where no share was kept
    if seen.share is msgspec.UNSET:
        in_shadow = policy.rollout.strategy == "shadow" and seen.step == 0
    if sound and (in_shadow or seen.n_answered_step >= MIN_ANSWERED):
        return "advance", "the canary is proved not to be worse on the same rows"
    return "continue", "not enough evidence yet"


def _held(said: guards.Judged, rules: policies.Rollout) -> str:
    """Say why guards keep a canary from its next step; empty where they do not."""
    if said.suspects:
        return f"held by guards that suspect it: {', '.join(said.suspects)}"
    if said.open and rules.guards == "prove":
        return f"not proved yet to be no worse: {', '.join(said.open)}"
    return ""


def _evidence(
    seen: entities.Rollout, event: entities.RolloutObserved, *, needed: float
) -> entities.Evidence:
    guarded: entities.Evidence = {}
    for name, one in (seen.guards or {}).items():
        guarded[f"guard.{name}"] = one.worse.mean
        guarded[f"guard.{name}.log_e"] = one.worse.log_peak
    return {
        **guarded,
        "needed": needed,
        "log_e_worse": seen.worse.log_peak,
        "log_e_sound": seen.sound.log_peak,
        "log_e_failing": seen.failing.log_peak,
        "n_paired": seen.worse.n,
        "mean_difference": seen.worse.mean,
        "n_answered": event.n_answered,
        "n_failed": event.n_failed,
        "n_not_finite": event.n_not_finite,
        "n_not_loaded": event.n_not_loaded,
        "latency_p99_ms": event.latency_p99_ms,
    }


def _bet_all(state: betting.Betting, values: Sequence[float]) -> betting.Betting:
    for value in values:
        state = betting.bet(state, value)
    return state

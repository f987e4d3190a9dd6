"""Guardrails of a canary: groups and slices in which it must not be worse. Pure.

Called by `rollout`. Each guard is a pair of tests of non-inferiority [1]_ on values in -1 to 1
whose mean is how much worse the canary does there than what answers now: *expelled* when it is
proved that the mean is above the margin, *sound* when it is proved that it is below. Both keep
their level however often one looks [2]_. The k-th guard of a canary is given the share
``1 / (k (k + 1))`` of `rollout.error`, so that all guards together expel a canary that is worse
nowhere by more than the margin with chance at most `rollout.error`. One whose own evidence
stands above ``1 / rollout.error`` holds the canary where it is, until that is enough for the
share it was given, or gone. To be let on by *prove* needs every guard, each at
`rollout.error`: an intersection-union test needs no correction [3]_.

References
----------
.. [1] ICH E9, *Statistical principles for clinical trials*, section 3.3.2, 1998.
.. [2] Waudby-Smith and Ramdas, *Estimating means of bounded random variables by betting*,
   JRSS B, 2024.
.. [3] Berger, *Multiparameter hypothesis testing and acceptance sampling*, Technometrics 24,
   1982.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from homeostat.lifecycle.policy.entities import Rollout
from homeostat.measures import betting

LOSS = "loss "
ANSWERS = "answers "
LATENCY = "latency"
ACCEPTED_SLOW = 0.01
"""Share of a canary's small batches that may take longer than allowed."""


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence on one group: `number` counts guards in the order they came, from 1."""

    number: int
    worse: betting.Betting
    sound: betting.Betting


class Judged(NamedTuple):
    """What guards say: who expels the canary, in words, who suspects it, who is open."""

    expels: str
    suspects: tuple[str, ...]
    open: tuple[str, ...]


def grow(
    known: Mapping[str, Guard], seen: Mapping[str, tuple[float, ...]], rules: Rollout
) -> dict[str, Guard]:
    """Return the guards after more was seen.

    Parameters
    ----------
    known
        By name; empty at the beginning of a canary.
    seen
        Values in [-1, 1] by name, in the order of their rows: above 0 where the canary did
        worse.
    rules
        Margins.

    Examples
    --------
    >>> rules = Rollout(minimum_labels=20)
    >>> judge(grow({}, {"loss sex=f": (0.3,) * 80}, rules), rules).expels
    'loss sex=f: worse by 0.300 on 80 values, where 0.05 is allowed'
    """
    found = dict(known)
    for name in sorted(seen):
        if name not in found:
            found[name] = _begin(len(found) + 1, margin(name, rules))
        one = found[name]
        worse, sound = one.worse, one.sound
        for value in seen[name]:
            worse = betting.bet(worse, value)
            sound = betting.bet(sound, -value)
        found[name] = Guard(number=one.number, worse=worse, sound=sound)
    return found


def judge(known: Mapping[str, Guard], rules: Rollout) -> Judged:
    """Say what the guards say of a canary.

    Parameters
    ----------
    known
        From `grow`.
    rules
        Error, and how many labels it takes to let a canary on.
    """
    expels, suspects, waits = "", [], []
    for name, one in known.items():
        needed = math.log(one.number * (one.number + 1) / rules.error)
        if not expels and one.worse.log_peak >= needed:
            expels = _too_slow(one) if name == LATENCY else _worse(name, one, rules)
        if one.worse.log_e >= -math.log(rules.error):
            suspects.append(name)
        if one.worse.n >= rules.minimum_labels and one.sound.log_peak < -math.log(rules.error):
            waits.append(name)
    return Judged(expels, tuple(suspects), tuple(waits))


def margin(name: str, rules: Rollout) -> float:
    """Return how much worse is allowed: in mean loss, or in a share of answers or batches.

    Values of answers are half the difference of two rows, one of the group and one of the rest;
    of latency 1 where a batch took too long, else 0.
    """
    if name == LATENCY:
        return ACCEPTED_SLOW
    return rules.answer_margin / 2 if name.startswith(ANSWERS) else rules.group_margin


def _worse(name: str, one: Guard, rules: Rollout) -> str:
    return (
        f"{name}: worse by {one.worse.mean or 0.0:.3f} on {one.worse.n} values, where "
        f"{margin(name, rules):g} is allowed"
    )


def _too_slow(one: Guard) -> str:
    share = one.worse.mean or 0.0
    return (
        f"latency: {share:.0%} of {one.worse.n} small batches took too long, where "
        f"{ACCEPTED_SLOW:.0%} is allowed"
    )


def _begin(number: int, allowed: float) -> Guard:
    return Guard(
        number=number,
        worse=betting.Betting(null_mean=allowed),
        sound=betting.Betting(null_mean=-allowed),
    )

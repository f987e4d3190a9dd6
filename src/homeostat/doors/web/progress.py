"""How a deployment came to where it is: marks on its loss, and the evidence of its canary.

Called by the page of a deployment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from homeostat.doors.web import charts
from homeostat.lifecycle.loop.entities import Decision, LoopState, Retire, Serve
from homeostat.lifecycle.policy.entities import Rollout
from homeostat.lifecycle.predictions.entities import Segment
from homeostat.measures import betting

TONES = {"promote": "good", "rollback": "bad"}


class Bar(NamedTuple):
    """One question about a canary: how much of the evidence that it needs is there."""

    question: str
    tone: str
    share: float
    sentence: str


class Canary(NamedTuple):
    """What is known of a canary so far; `mean` is its loss less the stable one's, a row."""

    entrants: tuple[str, ...]
    step: int
    n_paired: int
    n_needed: int
    mean: float | None
    bars: tuple[Bar, ...]


def canary(state: LoopState | None, policy: Rollout) -> Canary | None:
    """Return the evidence of the canary under way; None without one.

    Parameters
    ----------
    state
        What the loop remembers.
    policy
        Its `error` says how much evidence is needed: ``ln(1 / error)``.
    """
    if state is None or state.rollout is None:
        return None
    seen = state.rollout
    needed = -math.log(policy.error)
    asked = (
        ("Sound: proved not to be worse", "good", seen.sound),
        ("Worse: proved to lose on the same rows", "bad", seen.worse),
        ("Failing: fails more often than 1 in 100", "bad", seen.failing),
    )
    return Canary(
        entrants=seen.entrants,
        step=seen.step + 1,
        n_paired=seen.worse.n,
        n_needed=policy.minimum_labels,
        mean=seen.worse.mean,
        bars=tuple(_bar(question, tone, bet, needed) for question, tone, bet in asked),
    )


def _bar(question: str, tone: str, bet: betting.Betting, needed: float) -> Bar:
    share = min(1.0, max(0.0, bet.log_peak / needed))
    sentence = f"ln e {bet.log_peak:.2f} of {needed:.2f} needed"
    return Bar(question, tone, round(share, 4), sentence)


def marks(decisions: Sequence[Decision], segments: Sequence[Segment]) -> list[charts.Mark]:
    """Return a mark for every promotion and rollback, at the first row served after it.

    Parameters
    ----------
    decisions
        In any order.
    segments
        Of the log, the latest first; they say which row was served when.
    """
    found = []
    served = [one for one in reversed(segments) if one.last_served_at is not None]
    for one in decisions:
        if one.kind not in TONES:
            continue
        row = next((s.first_row for s in served if (s.last_served_at or 0) >= one.at), None)
        if row is not None:
            word = " ".join((one.kind, *_concerned(one)))
            found.append(charts.Mark(float(row), TONES[one.kind], word, one.sentence))
    return found


def _concerned(decision: Decision) -> list[str]:
    """Return the versions that a decision lets answer, or takes away."""
    versions: list[str] = []
    for act in decision.acts:
        if isinstance(act, Serve) and decision.kind == "promote":
            versions.extend(sorted(set(act.canary) - set(act.stable)))
        elif isinstance(act, Retire) and decision.kind == "rollback":
            versions.extend(act.versions)
    return versions

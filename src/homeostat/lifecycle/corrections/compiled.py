"""Corrections as a prediction server applies them: compiled once, a few µs a row, no numpy.

Made by `serving.served` for each arm of a plan; `serving.answering` calls `Applied.apply` on
every batch. Nothing here waits, reads a clock or imports a library of models. The order in
which corrections work is told in `entities`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from homeostat.lifecycle.corrections import conditions, exploring, maps
from homeostat.lifecycle.corrections.entities import (
    Abstain,
    Correction,
    Explore,
    Fallback,
    GroupThreshold,
    Recalibration,
    Ruling,
    Threshold,
)
from homeostat.lifecycle.predictions.entities import ABSTAINED

EVEN = 0.5
_FOREVER = 2**62
_NOTHING: Mapping[int, float] = {}

Labels = tuple[str | None, str]


class Outcome(NamedTuple):
    """What corrections made of a batch.

    Attributes
    ----------
    scores, answers
        One per row. A row in `to_fallback` or `failed` has a score of NaN and no answer; one
        that is left to a person answers ``abstain``, or NaN for a regression.
    fired
        Per row the corrections that changed its score or answer, ``<id>@<version>`` joined by
        commas; empty where none did in the whole batch.
    to_fallback
        Rows that the version `Applied.fallback_version` is to score: call `apply` again with
        what it said.
    failed
        Rows without a score that nothing answers.
    """

    scores: list[float]
    answers: list[Any]
    fired: list[str]
    to_fallback: list[int]
    failed: list[int]

    def tally(self) -> dict[str, int]:
        """Return how many rows each correction changed."""
        return dict(Counter(one for said in self.fired if said for one in said.split(",")))


def compile(  # noqa: A001 - what it does; callers write compiled.compile
    corrections: Sequence[Correction],
    *,
    classes: Sequence[str],
    positive: str | None,
    now_ms: int,
    version: str = "",
    mends: bool = True,
) -> Applied | None:
    """Prepare a deployment's corrections for its batches.

    Parameters
    ----------
    corrections
        Approved ones, of the plan document.
    classes
        All labels of the model; empty for a regression.
    positive
        The label that scores are the probability of; None for a regression.
    now_ms
        Those that ended before are left out.
    version
        What the arm's rows are logged under, such as ``3+4``; a recalibration that was fitted
        to another composite is left out. Empty takes every one.
    mends
        Whether a fallback answers where the members fail; not where another arm does.

    Returns
    -------
    Applied or None
        None when there is nothing to apply, now or later.
    """
    wanted = [
        one
        for one in corrections
        if one.expires_at > now_ms and _fits(one, version, is_class=positive is not None)
    ]
    if not wanted:
        return None
    labels: Labels | None = None
    if positive is not None:
        others = [one for one in classes if one != positive]
        labels = (others[0] if len(others) == 1 else None), positive
    return Applied(wanted, labels=labels, now_ms=now_ms, mends=mends)


class Applied:
    """The corrections of one arm, ready for its batches.

    Parameters
    ----------
    corrections
        Not over yet; each works by the clock that `apply` is given.
    labels
        What is answered below the threshold and from it on; None answers the score.
    now_ms
        Milliseconds UTC.
    mends
        Whether a fallback answers where the members fail.
    """

    def __init__(
        self,
        corrections: Sequence[Correction],
        *,
        labels: Labels | None,
        now_ms: int,
        mends: bool = True,
    ) -> None:
        self._all = sorted(corrections, key=lambda one: one.id)
        self.explores = any(isinstance(one.body, Explore) for one in self._all)
        """Whether keys must be known, now or later."""
        self._labels = labels
        self._mends = mends
        self._force = _Force([], labels, mends=mends)
        self._from_ms = self._until_ms = 0
        self._choose(now_ms)

    @property
    def fallback_version(self) -> int | None:
        """The version that scores what the model cannot; None without one."""
        fallback = self._force.fallback
        return None if fallback is None else fallback.version

    @property
    def fallbacks(self) -> frozenset[int]:
        """The versions that fallbacks ask, now or later."""
        asked = {one.body.version for one in self._all if isinstance(one.body, Fallback)}
        return frozenset(one for one in asked if one is not None)

    def apply(
        self,
        scores: Sequence[float],
        columns: conditions.Columns,
        now_ms: int,
        *,
        fallback: Mapping[int, float] = _NOTHING,
    ) -> Outcome:
        """Correct a batch.

        Parameters
        ----------
        scores
            One per row as the members gave it; NaN where they failed.
        columns
            Validated features and context, by name.
        now_ms
            Decides which corrections work; milliseconds UTC.
        fallback
            Scores by row of the fallback's version, for rows that an earlier call named; NaN
            where that failed too.

        Returns
        -------
        Outcome
            Lists over rows.
        """
        if not self._from_ms <= now_ms < self._until_ms:
            self._choose(now_ms)
        force = self._force
        if force.is_plain:
            return _plain(force, scores)
        return _whole(force, scores, columns, fallback)

    def _choose(self, now_ms: int) -> None:
        """Put those in force that work at this instant, until the next one begins or ends."""
        instants = [at for one in self._all for at in (one.starts_at, one.expires_at)]
        self._from_ms = max((at for at in instants if at <= now_ms), default=0)
        self._until_ms = min((at for at in instants if at > now_ms), default=_FOREVER)
        working = [one for one in self._all if one.starts_at <= now_ms < one.expires_at]
        self._force = _Force(working, self._labels, mends=self._mends)


class _Force:
    """Corrections that work at one instant, by what they do."""

    def __init__(
        self, working: Sequence[Correction], labels: Labels | None, *, mends: bool
    ) -> None:
        self.labels = labels
        self.mends = mends
        self.threshold, self.threshold_mark = EVEN, ""
        self.group: GroupThreshold | None = None
        self.group_mark = ""
        self.maps: tuple[Callable[[float], float], str] | None = None
        self.fallback: Fallback | None = None
        self.fallback_mark = ""
        self.fallback_when: conditions.Holds | None = None
        self.rules: list[tuple[conditions.Holds, Ruling, str]] = []
        self.explore: tuple[Explore, str, str] | None = None
        self.abstains: list[tuple[conditions.Holds, float, float, str]] = []
        for one in working:
            self._take(one)
        self.rules.sort(key=lambda rule: rule[1].answer is None)  # blocking ones first
        self.is_plain = (
            self.group is None
            and self.fallback is None
            and self.maps is None
            and not self.rules
            and not self.abstains
            and self.explore is None
        )

    def _take(self, one: Correction) -> None:
        match one.body:
            case Threshold(at=at):
                self.threshold, self.threshold_mark = at, one.mark
            case GroupThreshold():
                self.group, self.group_mark = one.body, one.mark
            case Recalibration():
                self.maps = maps.mapped(one.body), one.mark
            case Ruling(when=when):
                self.rules.append((conditions.compile_all(when), one.body, one.mark))
            case Abstain(low=low, high=high, when=when):
                least = -math.inf if low is None else low
                below = math.inf if high is None else high
                holds = conditions.compile_all(when)
                self.abstains.append((holds, least, below, one.mark))
            case Explore():
                self.explore = one.body, one.id, one.mark
            case Fallback(when=when):
                self.fallback, self.fallback_mark = one.body, one.mark
                self.fallback_when = conditions.compile_all(when) if when else None

    def said(self, score: float, at: int, columns: conditions.Columns, fired: list[str]) -> Any:
        """Return the answer that a score means for a row."""
        labels = self.labels
        if labels is None:
            return score
        threshold, base, mark = self.threshold, EVEN, self.threshold_mark
        if self.group is not None:
            value = conditions.value_of(self.group.column, at, columns)
            own = None if value is None else self.group.at.get(conditions.text(value))
            if own is not None:
                threshold, base, mark = own, self.threshold, self.group_mark
        is_positive = score >= threshold
        if mark and is_positive != (score >= base):
            fired.append(mark)
        return labels[is_positive]


def _plain(force: _Force, scores: Sequence[float]) -> Outcome:
    """Apply a global threshold, or nothing: the short way."""
    given = list(scores)
    failed = [at for at, one in enumerate(given) if one != one]  # noqa: PLR0124 - NaN
    labels, threshold, mark = force.labels, force.threshold, force.threshold_mark
    if labels is None:
        return Outcome(given, list(given), [], [], failed)
    answers: list[Any] = [labels[one >= threshold] for one in given]
    for at in failed:
        answers[at] = None
    low, high = min(threshold, EVEN), max(threshold, EVEN)
    fired = [mark if low <= one < high else "" for one in given] if mark else []
    return Outcome(given, answers, fired if any(fired) else [], [], failed)


def _whole(
    force: _Force,
    scores: Sequence[float],
    columns: conditions.Columns,
    answered: Mapping[int, float],
) -> Outcome:
    served: list[float] = []
    answers: list[Any] = []
    marks: list[str] = []
    to_fallback: list[int] = []
    failed: list[int] = []
    for at, score in enumerate(scores):
        fired: list[str] = []
        own, wanted = _scored(force, score, at, columns, answered, fired)
        answer: Any = None
        if wanted:
            to_fallback.append(at)
        elif own != own:  # noqa: PLR0124 - NaN
            failed.append(at)
        else:
            own, answer = _decided(force, own, at, columns, fired)
        served.append(own)
        answers.append(answer)
        marks.append(",".join(fired) if fired else "")
    return Outcome(served, answers, marks if any(marks) else [], to_fallback, failed)


def _scored(  # noqa: PLR0917 - once a row: what the loop holds, by place
    force: _Force,
    score: float,
    at: int,
    columns: conditions.Columns,
    answered: Mapping[int, float],
    fired: list[str],
) -> tuple[float, bool]:
    """Return a row's score, and whether the fallback's version must be asked for it first."""
    fallback, when = force.fallback, force.fallback_when
    is_bad = score != score  # noqa: PLR0124 - NaN
    is_due = (is_bad and force.mends) or (when is not None and when(at, columns))
    if fallback is not None and is_due:
        other = fallback.score
        if fallback.version is not None:
            if at not in answered:
                return math.nan, True
            other = answered[at]
        if other is not None and other == other:  # noqa: PLR0124 - NaN: it failed as well
            fired.append(force.fallback_mark)
            return other, False
    if force.maps is not None and not is_bad:
        turned = force.maps[0](score)
        if turned != score:
            fired.append(force.maps[1])
        return turned, False
    return score, False


def _decided(  # noqa: PLR0917 - as `_scored`
    force: _Force, score: float, at: int, columns: conditions.Columns, fired: list[str]
) -> tuple[float, Any]:
    """Return score and answer of a row: by the first rule, by a person, or by the score."""
    for holds, rule, mark in force.rules:
        if holds(at, columns):
            fired.append(mark)
            if rule.answer is not None:
                return score, rule.answer
            fixed = score if rule.score is None else rule.score
            return fixed, force.said(fixed, at, columns, fired)
    for holds, low, high, mark in force.abstains:
        if low <= score < high and holds(at, columns):
            fired.append(mark)
            return score, math.nan if force.labels is None else ABSTAINED
    given = force.said(score, at, columns, fired)
    if force.explore is None:
        return score, given
    body, salt, mark = force.explore
    keys = columns.get(exploring.KEY)
    answer = exploring.answer(body, salt, None if keys is None else keys[at], score, given)
    if answer != given:
        fired.append(mark)
    return score, answer


def _fits(one: Correction, version: str, *, is_class: bool) -> bool:
    """Say whether a correction has a meaning for the arm."""
    body = one.body
    if isinstance(body, Recalibration):
        return is_class and (not version or not body.versions or body.versions == version)
    if isinstance(body, Threshold | GroupThreshold):
        return is_class
    return True

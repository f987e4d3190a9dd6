"""What must hold before a candidate becomes a version; pure; called by pipelines and the loop.

Three answers: a gate passes when the whole interval is on the right side of its bound, fails
when the whole interval is on the wrong side, and is unknown when the rows cannot tell. A
candidate is let in when nothing fails; what is unknown is listed. Latency and size are
measured, not estimated: their value alone decides.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.evaluation import slices
from homeostat.lifecycle.evaluation.entities import (
    CLASS_METRICS,
    METRICS,
    NUMBER_METRICS,
    Estimate,
    Exam,
    Fairness,
    Gate,
    Judged,
    Slice,
    Verdict,
    is_known,
    is_loss,
)

BYTES_PER_MB = 1_000_000
OF_SLICE = "slice:"
"""Begins the name of a gate on a slice that has a name."""

# Name of each gate to its key in the policy.
_BOUNDS = {
    "at_least": "at_least",
    "margin": "margin",
    "worst_slice": "worst_slice_at_least",
    "disparate_impact": "disparate_impact_at_least",
    "latency_p99_ms": "latency_p99_ms",
    "size_mb": "size_mb",
}


class Named(msgspec.Struct, frozen=True):
    """Bounds read back from gates; the fields are those of `Rules`."""

    metric: str
    at_least: float | None = None
    margin: float | None = None
    worst_slice_at_least: float | None = None
    disparate_impact_at_least: float | None = None
    latency_p99_ms: float | None = None
    size_mb: float | None = None
    slices: dict[str, float] | msgspec.UnsetType = msgspec.UNSET


class Rules(Protocol):
    """The `[gates]` of a policy; None switches a gate off."""

    @property
    def metric(self) -> str:
        """Metric of the gates on quality."""

    @property
    def at_least(self) -> float | None:
        """Smallest metric; largest, for a metric of loss."""

    @property
    def margin(self) -> float | None:
        """Largest loss against the champion."""

    @property
    def worst_slice_at_least(self) -> float | None:
        """Smallest metric in any slice; largest, for a metric of loss."""

    @property
    def disparate_impact_at_least(self) -> float | None:
        """Smallest disparate impact."""

    @property
    def latency_p99_ms(self) -> float | None:
        """Longest answer."""

    @property
    def size_mb(self) -> float | None:
        """Largest size of all files."""

    @property
    def slices(self) -> dict[str, float] | msgspec.UnsetType:
        """Smallest metric in each slice that has a name; largest, for a metric of loss."""


def judge(exam: Exam, rules: Rules) -> Judged:
    """Return what each gate says of a candidate.

    Parameters
    ----------
    exam
        What was seen, on which rows.
    rules
        ``policy.gates``; a bound of None is no gate.

    Returns
    -------
    Judged
        ``fail`` when at least one gate fails, ``unknown`` when there are gates and every one
        is unknown, else ``pass``. Only ``fail`` keeps a candidate out.

    Raises
    ------
    InvalidInputError
        When the exam was taken in another metric than the policy's.
    """
    if not is_known(rules.metric) or rules.metric != exam.metric:
        known = dict.fromkeys((*METRICS, *CLASS_METRICS, *NUMBER_METRICS))
        raise errors.InvalidInputError(
            f"[gates] metric is {rules.metric!r}, but the exam was taken in {exam.metric!r}",
            hint=f"take the exam in one of {', '.join(known)}",
            metric=rules.metric,
        )
    gates = [
        gate
        for gate in (
            _at_least(exam, rules),
            _margin(exam, rules),
            _worst_slice(exam, rules),
            *_of_slices(exam, rules),
            _disparate_impact(exam, rules),
            _limit("latency_p99_ms", exam.latency_p99_ms, rules.latency_p99_ms, unit="ms"),
            _limit(
                "size_mb",
                None if exam.size_bytes is None else exam.size_bytes / BYTES_PER_MB,
                rules.size_mb,
                unit="MB",
            ),
        )
        if gate is not None
    ]
    return sum_up(tuple(gates))


def again(exam: Exam, gates: tuple[Gate, ...]) -> Judged:
    """Return what follows from an exam and the bounds that gates name.

    Parameters
    ----------
    exam
        What was seen.
    gates
        Only `name` and `needed` of each are believed.

    Returns
    -------
    Judged
        Equal to what the gates came from, when nobody changed it.

    Raises
    ------
    InvalidInputError
        When there is no gate of a name.
    """
    bounds: dict[str, float] = {}
    of_slices: dict[str, float] = {}
    for gate in gates:
        if gate.name.startswith(OF_SLICE):
            of_slices[gate.name.removeprefix(OF_SLICE)] = gate.needed
            continue
        if gate.name not in _BOUNDS:
            raise errors.InvalidInputError(
                f"there is no gate {gate.name!r}", hint=f"gates are {', '.join(_BOUNDS)}"
            )
        bounds[_BOUNDS[gate.name]] = -gate.needed if gate.name == "margin" else gate.needed
    return judge(exam, Named(exam.metric, **bounds, slices=of_slices or msgspec.UNSET))


def sum_up(gates: tuple[Gate, ...]) -> Judged:
    """Return the verdict that follows from what each gate said.

    Parameters
    ----------
    gates
        In any number.

    Returns
    -------
    Judged
        The one and only verdict these gates allow.
    """
    failed = [gate for gate in gates if gate.verdict == "fail"]
    unknown = tuple(gate.name for gate in gates if gate.verdict == "unknown")
    verdict: Verdict = "pass"
    if failed:
        verdict = "fail"
        sentence = f"Kept out: {'; '.join(gate.sentence for gate in failed)}."
    elif gates and len(unknown) == len(gates):
        verdict = "unknown"
        sentence = f"Let in, but the rows cannot tell for any gate: {', '.join(unknown)}."
    elif unknown:
        sentence = f"Let in: nothing fails; unknown: {', '.join(unknown)}."
    else:
        sentence = f"Let in: all {len(gates)} gates hold." if gates else "Let in: no gates."
    return Judged(verdict=verdict, gates=gates, unknown=unknown, sentence=sentence)


def _at_least(exam: Exam, rules: Rules) -> Gate | None:
    if rules.at_least is None:
        return None
    return _gate(
        "at_least",
        exam.quality,
        rules.at_least,
        what=exam.metric,
        evidence=(exam.rows,),
        is_loss=is_loss(exam.metric),
    )


def _margin(exam: Exam, rules: Rules) -> Gate | None:
    if rules.margin is None or not exam.comparisons:
        return None
    by_metric = {comparison.metric: comparison for comparison in exam.comparisons}
    comparison = by_metric.get(rules.metric)
    if comparison is None:
        return Gate(
            name="margin",
            verdict="unknown",
            seen=None,
            needed=-rules.margin,
            low=None,
            high=None,
            sentence=f"{rules.metric} cannot be compared row by row with the champion",
        )
    return _gate(
        "margin",
        comparison.gain,
        -rules.margin,
        what=f"{rules.metric} minus the champion's",
        evidence=("comparison:champion", exam.rows),
    )


def _worst_slice(exam: Exam, rules: Rules) -> Gate | None:
    needed = rules.worst_slice_at_least
    if needed is None or not exam.slices:
        return None
    judged = [part for part in exam.slices if part.is_judged]
    if not judged:
        return Gate(
            name="worst_slice",
            verdict="unknown",
            seen=None,
            needed=needed,
            low=None,
            high=None,
            sentence=f"all {len(exam.slices)} slices are too small to be judged",
            evidence=tuple(map(_slice_name, exam.slices)),
        )
    # Slices come worst first, and the first of the worst verdict is the one to show.
    return min((_slice_gate(part, needed) for part in judged), key=_severity)


def _of_slices(exam: Exam, rules: Rules) -> list[Gate]:
    """Hold each slice that has a bound of its own against it."""
    wanted = {} if rules.slices is msgspec.UNSET else rules.slices
    parts = {one.category: one for one in exam.slices if one.column == slices.NAMED}
    found = []
    for name, needed in wanted.items():
        part = parts.get(name)
        if part is not None and part.is_judged:
            found.append(_slice_gate(part, needed, name=f"{OF_SLICE}{name}"))
            continue
        why = "cannot be told from these rows"
        if part is not None:
            why = f"has {part.n_rows} rows, too few to be judged"
        gate = Gate(
            name=f"{OF_SLICE}{name}",
            verdict="unknown",
            seen=None,
            needed=needed,
            low=None,
            high=None,
            sentence=f"slice {name} {why}",
        )
        found.append(gate)
    return found


def _slice_gate(part: Slice, needed: float, *, name: str = "worst_slice") -> Gate:
    return _gate(
        name,
        part.estimate,
        needed,
        what=f"{part.metric} for {part.column}={part.category}",
        evidence=(_slice_name(part),),
        is_loss=is_loss(part.metric),
    )


def _slice_name(part: Slice) -> str:
    return f"slice:{part.column}={part.category}"


def _disparate_impact(exam: Exam, rules: Rules) -> Gate | None:
    needed = rules.disparate_impact_at_least
    if needed is not None and exam.task is not msgspec.UNSET:
        return Gate(
            name="disparate_impact",
            verdict="unknown",
            seen=None,
            needed=needed,
            low=None,
            high=None,
            sentence="disparate impact compares shares of a favourable one of two classes; "
            f"the task is {exam.task}",
        )
    if needed is None or not exam.fairness:
        return None
    gates = [_impact_gate(part, needed) for part in exam.fairness]
    return min(gates, key=lambda gate: (_severity(gate), gate.seen or 0.0))


def _severity(gate: Gate) -> int:
    return ("fail", "unknown", "pass").index(gate.verdict)


def _impact_gate(part: Fairness, needed: float) -> Gate:
    who = f"{part.worst_category} against {part.best_category}"
    return _gate(
        "disparate_impact",
        part.disparate_impact,
        needed,
        what=f"disparate impact by {part.column} ({who})",
        evidence=(f"fairness:{part.column}",),
    )


def _limit(name: str, seen: float | None, most: float | None, *, unit: str) -> Gate | None:
    if most is None:
        return None
    verdict: Verdict = "unknown" if seen is None else "pass" if seen <= most else "fail"
    shown = "was not measured" if seen is None else f"is {seen:.4g} {unit}"
    return Gate(
        name=name,
        verdict=verdict,
        seen=seen,
        needed=most,
        low=seen,
        high=seen,
        sentence=f"{name} {shown}, at most {most:.4g} {unit} is allowed",
    )


def _gate(
    name: str,
    seen: Estimate,
    needed: float,
    *,
    what: str,
    evidence: tuple[str, ...],
    is_loss: bool = False,
) -> Gate:
    if seen.value is None or seen.low is None or seen.high is None:
        verdict: Verdict = "unknown"
        shown = f"is not defined on {seen.n_rows} rows"
    else:
        sign = -1.0 if is_loss else 1.0
        worst, best = sorted((sign * seen.low, sign * seen.high))
        bound = sign * needed
        verdict = "pass" if worst >= bound else "fail" if best < bound else "unknown"
        shown = f"is {seen.value:.4g} [{seen.low:.4g}, {seen.high:.4g}] on {seen.n_rows} rows"
    return Gate(
        name=name,
        verdict=verdict,
        seen=seen.value,
        needed=needed,
        low=seen.low,
        high=seen.high,
        sentence=f"{what} {shown}, {needed:.4g} or {'less' if is_loss else 'more'} is needed",
        evidence=evidence,
    )

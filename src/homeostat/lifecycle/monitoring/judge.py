"""Judge one window of predictions against the baseline of the version that answered.

Pure: the live worker and the backtest call `window` with the same frames and get the same
judgement. No label is needed; what labels add is in `blame`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import polars as pl

from homeostat.lifecycle.monitoring import (
    baseline,
    columns,
    entities,
    prevalence,
    shift,
    swapped,
)
from homeostat.measures import drift as distances
from homeostat.measures import summary

DRIFTS = ("covariate-drift", "prediction-drift")
AlarmBudget = entities.AlarmBudget
_EXPLAINING = 0.05
_EXPECTED = {
    "harmless": "harmless, as far as the same cases keep their outcomes",
    "harmful": "more wrong answers are to be expected",
    "unknown": "whether it harms, only labels will tell",
}


def window(
    frame: pl.DataFrame,
    frozen: baseline.Baseline,
    *,
    first_row: int,
    budget: entities.AlarmBudget,
    tolerance: float = 0.02,
) -> entities.Judgement:
    """Judge the rows of one window.

    Parameters
    ----------
    frame
        Rows in the order of the log, one or more: features as plain columns, and ``score``
        where the baseline has one. Other columns are left alone.
    frozen
        Baseline of the version.
    first_row
        Row of the log of the frame's first row.
    budget
        How many false alarms are acceptable; see `AlarmBudget`.
    tolerance
        How much more loss a shift may cause and be harmless, in the share of wrong answers.

    Returns
    -------
    Judgement
        Faults of the feed first, then what has moved, by size. Rows of `broken` are exact
        where a unit changed or a value stood still, to a row or two where values vanished.
        `shift` is there at a level of 5 % already: it is no finding, but explains harm that
        labels have proved. `lacking` names the columns of which nobody can tell whether they
        have moved, since the rows are too few.
    """
    n = frame.height
    end = first_row + n
    seen = summary.summarise_table(frame, frozen.bins)
    if not n:
        return entities.Judgement(first_row=first_row, end_row=end, n_rows=0, summary=seen)
    schema = _schema(frame, frozen, first_row=first_row)
    wrong = {found.column for found, _ in schema}
    looked = {
        name: columns.look(
            frame[name],
            frozen,
            first_row=first_row,
            drift_kind="covariate-drift" if name in frozen.features else "prediction-drift",
        )
        for name in frozen.profiles
        if name in frame.columns and name not in wrong
    }
    looked = _without_swaps(frame, frozen, seen, looked, first_row=first_row)
    faults = [*schema, *(fault for each in looked.values() for fault in each.faults)]
    suspicions = [
        suspicion
        for name, each in looked.items()
        for suspicion in each.suspicions
        # A broken column drags the score along: its drift would be the same news twice.
        if not (faults and name not in frozen.features)
    ]
    moved = _significant(suspicions, level=budget.level)
    likely = _significant(suspicions, level=max(budget.level, _EXPLAINING))
    effect = _effect(likely, frozen, looked, tolerance=tolerance)
    is_told = any(f.kind in DRIFTS for f in moved)
    causes = [cause for _, cause in faults]
    causes += _shift_causes(
        [f for f in moved if f.column in frozen.features], effect if is_told else None
    )
    return entities.Judgement(
        first_row=first_row,
        end_row=end,
        n_rows=n,
        findings=(*(found for found, _ in faults), *moved),
        causes=tuple(causes),
        broken=_joined([(f.first_row, f.end_row) for f, _ in faults]),
        shift=effect,
        summary=seen,
        lacking={name: each.lacking for name, each in looked.items() if each.lacking},
    )


def _effect(
    likely: Sequence[entities.Finding],
    frozen: baseline.Baseline,
    looked: dict[str, columns.Seen],
    *,
    tolerance: float,
) -> entities.ShiftEffect | None:
    """Estimate what the shift of the columns that have likely moved does to the loss."""
    if not any(f.kind in DRIFTS for f in likely):
        return None
    drifted = [f.column for f in likely if f.kind == "covariate-drift" and f.column]
    codes = {name: each.codes for name, each in looked.items()}
    return prevalence.effect(frozen, codes, tolerance=tolerance) or shift.effect(
        frozen, codes, drifted, tolerance=tolerance
    )


def _without_swaps(
    frame: pl.DataFrame,
    frozen: baseline.Baseline,
    seen: summary.TableSummary,
    looked: dict[str, columns.Seen],
    *,
    first_row: int,
) -> dict[str, columns.Seen]:
    """Make a fault of two columns that have changed places, instead of two drifts."""
    whole = [name for name in frozen.features if name in looked and not looked[name].faults]
    for swap in swapped.find(frame, frozen, seen, names=whole):
        for name, fault in swapped.faults(swap, first_row=first_row):
            looked[name] = looked[name]._replace(faults=(fault,), suspicions=())
    return looked


def _schema(
    frame: pl.DataFrame, frozen: baseline.Baseline, *, first_row: int
) -> list[tuple[entities.Finding, entities.Cause]]:
    """Columns that are gone, or hold text where numbers were."""
    faults: list[tuple[entities.Finding, entities.Cause]] = []
    for name in frozen.features:
        if name not in frame.columns:
            sentence = f"column {name} is gone"
        elif frozen.profiles[name].is_number and _holds_text(frame[name]):
            sentence = f"column {name} holds text where numbers were"
        else:
            continue
        found = entities.Finding(
            kind="schema",
            column=name,
            statistic="rows",
            value=float(frame.height),
            needed=0.0,
            first_row=first_row,
            end_row=first_row + frame.height,
            sentence=sentence,
        )
        cause = entities.Cause(
            kind="schema",
            column=name,
            share=1.0,
            sentence=f"the schema has changed: {sentence}",
            evidence=(sentence,),
        )
        faults.append((found, cause))
    return faults


def _holds_text(values: pl.Series) -> bool:
    if values.dtype != pl.String:
        return values.dtype.is_nested()
    return values.cast(pl.Float64, strict=False).null_count() > values.null_count()


def _significant(
    suspicions: Sequence[columns.Suspicion], *, level: float
) -> list[entities.Finding]:
    adjusted = distances.holm([s.chance for s in suspicions], _weights(suspicions))
    found = [
        msgspec.structs.replace(s.finding, p_value=p)
        for s, p in zip(suspicions, adjusted, strict=True)
        if s.is_large and p <= level
    ]
    return sorted(found, key=lambda f: (f.kind not in DRIFTS, -f.value, f.column or ""))


def _weights(suspicions: Sequence[columns.Suspicion]) -> list[float]:
    """Give what was answered half of the level: whatever moves the answers shows there best."""
    answered = [s.finding.kind == "prediction-drift" for s in suspicions]
    n_answered = sum(answered)
    n_others = len(answered) - n_answered
    own = n_others / n_answered if n_answered and n_others else 1.0
    return [own if is_answered else 1.0 for is_answered in answered]


def _shift_causes(
    moved: Sequence[entities.Finding], effect: entities.ShiftEffect | None
) -> list[entities.Cause]:
    """One cause for each column, the loss it is expected to bring with the first."""
    causes: list[entities.Cause] = []
    if effect is not None and effect.prior is not None:
        return [of_prior(effect, evidence=[f.sentence for f in moved])]
    for column in dict.fromkeys(f.column for f in moved):
        evidence = [f.sentence for f in moved if f.column == column]
        sentence = f"other cases arrive than at training: {evidence[0]}"
        if effect and column in effect.columns:
            evidence.append(tell(effect))
            sentence = f"{sentence}; {_EXPECTED[effect.verdict]}"
        cause = entities.Cause(
            kind="covariate-shift",
            column=column,
            share=0.0,
            sentence=sentence,
            evidence=tuple(evidence),
        )
        causes.append(cause)
    return causes


def of_prior(
    effect: entities.ShiftEffect, *, evidence: Sequence[str] = (), share: float = 0.0
) -> entities.Cause:
    """Return the cause of a shift that the shares of the classes explain."""
    before, now = effect.prior or (0.0, 0.0)
    return entities.Cause(
        kind="prior-shift",
        column=None,
        share=share,
        sentence=f"{now:.1%} of the cases are likely positive where {before:.1%} were at "
        f"training, and each class looks as before; {_EXPECTED[effect.verdict]}",
        evidence=(tell(effect), *evidence),
    )


def tell(effect: entities.ShiftEffect) -> str:
    """Say what a shift does to the loss, in a sentence."""
    return (
        f"reference rows weighted like this window are answered wrongly in "
        f"{effect.loss_after:.1%} (before {effect.loss_before:.1%}, error of the change "
        f"{effect.standard_error:.1%}, {effect.effective_rows:.0f} effective rows): "
        f"{effect.verdict}"
    )


def _joined(ranges: list[entities.RowRange]) -> tuple[entities.RowRange, ...] | None:
    """Join ranges that touch; None when there are none."""
    joined: list[entities.RowRange] = []
    for first, end in sorted(ranges):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return tuple(joined) or None

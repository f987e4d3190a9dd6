"""Why rows have their scores; the one way in, called by `doors.predict.explaining`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.explanations import (
    counterfactual,
    entities,
    mixture,
    reasons,
    sampled,
    several,
)
from homeostat.lifecycle.policy import Explain
from homeostat.measures import residual

Floats = NDArray[np.float64]
Columns = Mapping[str, Sequence[Any]]

Member = several.Member
_EVEN = 0.5


class Rules(NamedTuple):
    """What the policy says: see `[explain]`, `[data] protected` and `[model] favourable`."""

    explain: Explain = Explain()
    protected: tuple[str, ...] = ()
    favourable: bool = True


def explain(
    members: Sequence[Member],
    columns: Columns,
    *,
    rules: Rules,
    options: entities.Options,
    thresholds: Sequence[float] | None = None,
    corrector: residual.Applied | None = None,
) -> list[entities.Explanation]:
    """Explain rows.

    Parameters
    ----------
    members
        1 to 3 that answer these rows together.
    columns
        Validated features by name, 1 row or more.
    rules, options
        What may be said, and what is asked for.
    thresholds
        One per row; 0.5 when None. That of `options` goes before.
    corrector
        What goes on from the members' mean: one more part, that no reason names.

    Returns
    -------
    list of Explanation
        One per row; base and contributions add up to the margin, and `gap` says to what.

    Raises
    ------
    UserCodeError
        When a model raises.
    """
    note = ""
    task = members[0].explainer.of.description.task
    if task == "multiclass":
        return several.explain(members, columns, options=options, protected=rules.protected)
    if task == "regression":
        options, note = several.of_numbers(options)
        thresholds = [0.0] * len(next(iter(columns.values())))
    parts = [one.explainer.parts(columns) for one in members]
    mixed = mixture.mixed(parts, [one.weight for one in members])
    if corrector is not None:
        mixed = mixture.corrected(mixed, corrector.corrected(columns, mixed.scores))
    total = sum(one.weight for one in members)
    who = tuple(
        entities.MemberPart(
            version=one.version, weight=one.weight / total, method=one.explainer.method
        )
        for one in members
    )
    n_rows = len(mixed.scores)
    if thresholds is None:
        thresholds = [_EVEN] * n_rows
    if options.threshold is not None:
        thresholds = [options.threshold] * n_rows
    found = []
    for at, threshold in enumerate(thresholds):
        one = _one(at, mixed, who, rules=rules, options=options, threshold=threshold)
        if "counterfactual" in options.kinds:
            row = {name: values[at] for name, values in columns.items()}
            changed, note = _changed(
                row, members, rules, threshold=threshold, corrector=corrector
            )
            one = msgspec.structs.replace(one, counterfactuals=changed, note=note)
        elif note:
            one = msgspec.structs.replace(one, note=note)
        found.append(one)
    return found


def _one(
    at: int,
    mixed: mixture.Mixed,
    who: tuple[entities.MemberPart, ...],
    *,
    rules: Rules,
    options: entities.Options,
    threshold: float,
) -> entities.Explanation:
    moved = dict(zip(mixed.names, mixed.values[at].tolist(), strict=True))
    named: tuple[entities.Reason, ...] = ()
    if "reasons" in options.kinds:
        named = reasons.reasons(
            {name: moved[name] for name in mixed.names if name != mixed.corrector},
            rules.explain,
            protected=rules.protected,
            favourable=rules.favourable,
            top=options.top,
        )
    return entities.Explanation(
        space=mixed.space,
        base=mixed.base,
        contributions=moved,
        margin=float(mixed.margins[at]),
        score=float(mixed.scores[at]),
        threshold=threshold,
        gap=float(mixed.gaps[at]),
        members=who,
        is_exact=all(one.method != sampled.METHOD for one in who),
        reasons=named,
        protected=tuple(name for name in rules.protected if moved.get(name, 0.0) != 0.0),
    )


def _changed(
    row: Mapping[str, Any],
    members: Sequence[Member],
    rules: Rules,
    *,
    threshold: float,
    corrector: residual.Applied | None,
) -> tuple[tuple[entities.Counterfactual, ...], str]:
    total = sum(one.weight for one in members)

    def ask(columns: Columns) -> Floats:
        scores = [one.weight / total * one.explainer.of.scores(columns) for one in members]
        summed: Floats = np.sum(scores, axis=0)
        return summed if corrector is None else corrector.corrected(columns, summed)

    decisive = max(members, key=lambda one: (one.weight, -one.version)).explainer.of.description
    return counterfactual.counterfactuals(
        ask,
        row,
        schema=decisive.schema,
        reference=decisive.reference,
        rules=rules.explain,
        protected=rules.protected,
        favourable=rules.favourable,
        threshold=threshold,
    )

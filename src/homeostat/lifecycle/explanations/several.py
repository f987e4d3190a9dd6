"""Why each of several classes has its probability, and what cannot be told; for `explain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from homeostat.lifecycle.explanations import contributions, entities, mixture, sampled

Columns = Mapping[str, Sequence[Any]]

_TWO = (
    "reasons and counterfactuals speak for or against one of two answers; this deployment "
    "answers "
)


class Member(NamedTuple):
    """A version that answers, with its weight above 0."""

    version: int
    weight: float
    explainer: contributions.Explainer


def of_numbers(options: entities.Options) -> tuple[entities.Options, str]:
    """Return what can be told of a regression, and why that is less than was asked for.

    Parameters
    ----------
    options
        What is asked for.

    Examples
    --------
    >>> of_numbers(entities.Options(kinds=("counterfactual",)))[0].kinds
    ('contributions',)
    """
    return _left(options, "a number")


def _left(options: entities.Options, what: str) -> tuple[entities.Options, str]:
    asked = set(options.kinds) - {"contributions"}
    left = msgspec.structs.replace(options, kinds=("contributions",), threshold=None)
    return left, f"{_TWO}{what}" if asked else ""


def explain(
    members: Sequence[Member],
    columns: Columns,
    *,
    options: entities.Options,
    protected: Sequence[str],
) -> list[entities.Explanation]:
    """Explain rows of several classes.

    Parameters
    ----------
    members
        1 or more that answer these rows together; they may know different classes.
    columns
        Validated features by name, 1 row or more.
    options
        What is asked for; reasons and counterfactuals are not told, and the note says so.
    protected
        Columns that are named where they moved an answer.

    Returns
    -------
    list of Explanation
        One per row: of the class that is answered, with the parts of each class beside it.
    """
    told = [one.explainer.of_classes(columns) for one in members]
    classes = tuple(dict.fromkeys(name for one in told for name in one))
    weights = [one.weight for one in members]
    mixed = {name: _of_class(name, told, weights) for name in classes}
    total = sum(weights)
    who = tuple(
        entities.MemberPart(
            version=one.version, weight=one.weight / total, method=sampled.METHOD
        )
        for one in members
    )
    _, note = _left(options, f"{len(classes)} classes")
    scores = np.stack([mixed[name].scores for name in classes])
    found = []
    for at, best in enumerate(scores.argmax(axis=0).tolist()):
        parts = {name: _part(mixed[name], at) for name in classes}
        chosen = parts[classes[best]]
        found.append(
            entities.Explanation(
                space="probability",
                base=chosen.base,
                contributions=chosen.contributions,
                margin=chosen.score,
                score=chosen.score,
                threshold=0.0,
                gap=chosen.gap,
                members=who,
                is_exact=False,
                protected=tuple(
                    name for name in protected if chosen.contributions.get(name, 0.0) != 0.0
                ),
                note=note,
                answer=classes[best],
                classes=parts,
            )
        )
    return found


def _of_class(
    name: str, told: Sequence[Mapping[str, contributions.Parts]], weights: Sequence[float]
) -> mixture.Mixed:
    """Add up what members say of a class; one that does not know it says nothing at all."""
    parts = [one[name] if name in one else _nothing(next(iter(one.values()))) for one in told]
    return mixture.mixed(parts, weights)


def _nothing(like: contributions.Parts) -> contributions.Parts:
    zeros = np.zeros_like(like.scores)
    return like._replace(
        base=0.0, values=np.zeros_like(like.values), margins=zeros, scores=zeros, gaps=zeros
    )


def _part(mixed: mixture.Mixed, at: int) -> entities.ClassPart:
    return entities.ClassPart(
        base=mixed.base,
        contributions=dict(zip(mixed.names, mixed.values[at].tolist(), strict=True)),
        score=float(mixed.scores[at]),
        gap=float(mixed.gaps[at]),
    )

"""The explanation of members that answer together: weighted, and additive; used by `explain`.

The members' probabilities are averaged, most contributions are in log-odds. Such a member's
contributions are brought to its probability by one factor, the slope of the line from its base
to its answer, ``(p - p0) / (m - m0)``: the rescale rule of DeepLIFT [1]_. They add up to
``p - p0`` by construction, keep their signs and their proportions, and are then weighted as the
members are. No other one-factor scheme is additive.

References
----------
.. [1] A. Shrikumar, P. Greenside, A. Kundaje, "Learning important features through propagating
   activation differences", *ICML* 2017, section 3.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.explanations import contributions, entities

Floats = NDArray[np.float64]

CORRECTOR = "corrector"
_NEAR = 1e-9


class Mixed(NamedTuple):
    """Contributions to what is answered.

    `values` has shape ``(rows, columns)``; `margins`, `scores`, `gaps` have shape ``(rows,)``.
    `corrector` names the part that is no column; empty where there is none.
    """

    space: entities.Space
    names: tuple[str, ...]
    base: float
    values: Floats
    margins: Floats
    scores: Floats
    gaps: Floats
    corrector: str = ""


def mixed(parts: Sequence[contributions.Parts], weights: Sequence[float]) -> Mixed:
    """Add up what members contribute.

    Parameters
    ----------
    parts
        1 or more, of the same rows.
    weights
        One per member, above 0; divided by their sum.

    Returns
    -------
    Mixed
        One member as it is; several in probability, or in the value of a regression.
    """
    if len(parts) == 1:
        (one,) = parts
        told = one.base + one.values.sum(axis=1)
        return Mixed(one.space, one.names, one.base, one.values, told, one.scores, one.gaps)
    names = tuple(dict.fromkeys(name for one in parts for name in one.names))
    n_rows = len(parts[0].scores)
    values, scores, base = np.zeros((n_rows, len(names))), np.zeros(n_rows), 0.0
    for one, weight in zip(parts, weights, strict=True):
        share = weight / sum(weights)
        places = [names.index(name) for name in one.names]
        if one.space == "log-odds":
            values[:, places] += share * _rescaled(one)
            base += share * float(contributions.chance(np.array(one.base)))
        else:
            values[:, places] += share * one.values
            base += share * one.base
        scores += share * one.scores
    told = base + values.sum(axis=1)
    is_value = all(one.space == "value" for one in parts)
    space: entities.Space = "value" if is_value else "probability"
    return Mixed(space, names, base, values, told, scores, np.abs(told - scores))


def corrected(before: Mixed, scores: Floats) -> Mixed:
    """Add the part of a corrector to what members contribute.

    Parameters
    ----------
    before
        Of the members.
    scores
        What the corrector makes of their mean, shape ``(rows,)``.

    Returns
    -------
    Mixed
        One part more, called ``corrector``: how much further the answer is, in the same space,
        than the members' own. All parts and the base add up to what is answered.
    """
    name = CORRECTOR
    while name in before.names:  # a column is called so
        name = f"({name})"
    reached = scores
    if before.space == "log-odds":
        reached = np.log(scores / (1.0 - scores))
    values = np.column_stack([before.values, reached - before.margins])
    return before._replace(
        names=(*before.names, name),
        values=values,
        margins=reached,
        scores=scores,
        corrector=name,
    )


def _rescaled(one: contributions.Parts) -> Floats:
    reached = one.base + one.values.sum(axis=1)
    moved = reached - one.base
    here, there = contributions.chance(np.array(one.base)), contributions.chance(reached)
    is_far = np.abs(moved) > _NEAR
    slopes = np.divide(there - here, moved, out=there * (1.0 - there), where=is_far)
    found: Floats = one.values * slopes[:, None]
    return found

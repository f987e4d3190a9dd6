"""From which score of the members on a row gets the positive answer, by what is in force.

Called where explanations are asked for: by the prediction server, and for rows of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from homeostat.lifecycle.corrections import compiled, conditions, maps
from homeostat.lifecycle.corrections.entities import (
    Correction,
    GroupThreshold,
    Recalibration,
    Threshold,
)

NEVER = 2.0
"""Where a recalibration never reaches the threshold."""
_HALVINGS = 60


def thresholds(
    working: Sequence[Correction],
    columns: Mapping[str, Sequence[Any]],
    *,
    version: str,
    places: Sequence[int],
) -> list[float]:
    """Return for each row the score of the members from which its answer is positive.

    Parameters
    ----------
    working
        Corrections in force.
    columns
        Features and context by name.
    version
        The composite that answers these rows, such as ``3+4``.
    places
        Which rows of the columns.

    Returns
    -------
    list of float
        0 to 1; `NEVER` where no score is enough. Rules, fallbacks and people are not in it.
    """
    usual, turn = compiled.EVEN, None
    group: GroupThreshold | None = None
    for body in (one.body for one in working):
        if isinstance(body, Threshold):
            usual = body.at
        elif isinstance(body, GroupThreshold):
            group = body
        elif isinstance(body, Recalibration) and body.versions in {"", version}:
            turn = maps.mapped(body)
    needed = []
    for at in places:
        threshold = usual
        if group is not None:
            value = conditions.value_of(group.column, at, columns)
            own = None if value is None else group.at.get(conditions.text(value))
            threshold = usual if own is None else own
        needed.append(threshold if turn is None else _before(turn, threshold))
    return needed


def _before(turn: Callable[[float], float], threshold: float) -> float:
    """Return the least score that a recalibration brings to a threshold; `NEVER` if none."""
    low, high = 0.0, 1.0
    if turn(high) < threshold:
        return NEVER
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if turn(middle) >= threshold else (middle, high)
    return high

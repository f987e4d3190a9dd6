"""What guardrails see of a labelled block: groups, slices, answers by group; for `live`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import errors, log
from homeostat.lifecycle.loop import guards, observing
from homeostat.lifecycle.monitoring import slicing
from homeostat.lifecycle.policy import slices
from homeostat.lifecycle.policy.entities import Policy

Floats = NDArray[np.float64]
GROUPS_AT_MOST = 20
"""Groups of one protected column that are guarded, the largest ones."""
EVEN = 0.5

_log = log.get(__name__)


def values(
    rows: pl.DataFrame,
    losses: tuple[Floats, Floats],
    chances: tuple[Floats, Floats] | None,
    *,
    policy: Policy,
) -> dict[str, tuple[float, ...]]:
    """Return by guard how much worse the canary did, row by row.

    Parameters
    ----------
    rows
        Labelled, in log order, with context columns.
    losses
        Of the canary and of what answers now, each shape ``(n,)``, in 0 to 1.
    chances
        Of the positive class, alike; None where there is none.
    policy
        Names protected columns and slices, and says which answer is good for people.

    Returns
    -------
    dict
        Values in [-1, 1]; above 0 where the canary did worse. Empty where guards are off.
    """
    if policy.rollout.guards == "off":
        return {}
    worse = losses[0] - losses[1]
    found: dict[str, tuple[float, ...]] = {}
    for name, inside in _parts(rows, policy):
        found[f"{guards.LOSS}{name}"] = tuple(worse[inside].tolist())
    if chances is None:
        return found
    moved = (chances[0] >= EVEN).astype(np.float64) - (chances[1] >= EVEN)
    harm = -moved if policy.model.favourable else moved
    for name, inside in _groups(rows):
        pairs = min(int(inside.sum()), int((~inside).sum()))
        if pairs:
            apart = (harm[inside][:pairs] - harm[~inside][:pairs]) / 2
            found[f"{guards.ANSWERS}{name}"] = tuple(apart.tolist())
    return found


def _parts(rows: pl.DataFrame, policy: Policy) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield from _groups(rows)
    table = observing.sliceable(rows)
    for name, text in policy.slices.items():
        try:
            inside = slicing.inside(table, slices.parse(text)).to_numpy()
        except errors.InvalidInputError as error:
            _log.warning("a slice cannot guard", slice=name, error=str(error))
            continue
        if inside.any():
            yield slicing.label(name), inside


def _groups(rows: pl.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for column, categories in observing.contexts(rows).items():
        held = np.array(categories, dtype=object)
        names, counts = np.unique(held.astype(str), return_counts=True)
        largest = sorted(zip(-counts, names, strict=True))[:GROUPS_AT_MOST]
        for _, name in largest:
            yield f"{column}={name}", np.asarray(held == name, dtype=np.bool_)

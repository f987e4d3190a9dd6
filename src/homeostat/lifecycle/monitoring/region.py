"""Where a concept has changed: the smallest slice that holds most of the excess loss.

Pure; called by `loop.blaming` with the labelled rows of a harm. Labelled rows of the reference
say how often each group of a column was answered wrongly before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import baseline
from homeostat.measures import bins

Flags = NDArray[np.bool_]

MOST: Final = 0.8
LARGEST: Final = 0.5
HOLDS: Final = 0.6
LEAST_ROWS: Final = 60
_PRIOR_ROWS: Final = 10.0


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """Rows where most of the excess loss is.

    Attributes
    ----------
    column, where
        Which rows: ``income`` and ``below 1200``, for people.
    rows
        Share of the rows that are in it.
    excess
        Share of the excess loss that is in it, on rows that did not choose it.
    """

    column: str
    where: str
    rows: float
    excess: float


def find(
    rows: pl.DataFrame,
    wrong: Flags | NDArray[np.float64],
    frozen: baseline.Baseline,
    *,
    accepted: float | None = None,
) -> Region | None:
    """Find the smallest slice of one column that holds most of the excess loss.

    Parameters
    ----------
    rows
        Features as plain columns.
    wrong
        Shape ``(n,)``: which were answered wrongly, or the loss of each.
    frozen
        With labelled reference rows, which say how often each group was answered wrongly.
    accepted
        Loss that counts for every group before, where the reference does not say it.

    Returns
    -------
    Region or None
        Of every column, groups are taken from the one with most excess loss a row on, until
        they hold four fifths of it on every other row; the column that needs the fewest rows
        is named if on the rest of the rows its slice holds three fifths of the excess, in half
        of the rows at most. None where no slice does, or there are too few rows.
    """
    reference = frozen.reference_wrong.astype(np.float64)
    if rows.height < LEAST_ROWS or (accepted is None and len(reference) < LEAST_ROWS):
        return None
    is_first = np.arange(rows.height) % 2 == 0
    best: tuple[float, str, NDArray[np.intp]] | None = None
    held: dict[str, tuple[NDArray[np.intp], NDArray[np.float64]]] = {}
    for at, name in enumerate(frozen.features):
        if name not in rows.columns:
            continue
        codes = baseline.group(rows[name], frozen.profiles[name], frozen.bins.columns[name])
        groups = codes.astype(np.intp)
        before = (
            _before(frozen.reference_codes[:, at].astype(np.intp), reference, groups)
            if accepted is None
            else accepted
        )
        excess = np.asarray(wrong - before, dtype=np.float64)
        held[name] = (groups, excess)
        chosen = _smallest(groups[is_first], excess[is_first])
        if chosen is not None and (best is None or chosen[0] < best[0]):
            best = (chosen[0], name, chosen[1])
    if best is None:
        return None
    _, name, chosen_groups = best
    groups, excess = held[name]
    inside = np.isin(groups, chosen_groups) & ~is_first
    total = float(excess[~is_first].sum())
    share = float(inside.sum()) / max(1, int((~is_first).sum()))
    part = float(excess[inside].sum()) / total if total > 0 else 0.0
    if share > LARGEST or part < HOLDS:
        return None
    where = _named(frozen, name, sorted(chosen_groups.tolist()))
    return Region(column=name, where=where, rows=share, excess=min(1.0, part))


def _before(
    codes: NDArray[np.intp], wrong: NDArray[np.float64], groups: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return how often rows like each row were answered wrongly, drawn towards the mean."""
    size = int(max(codes.max(initial=0), groups.max(initial=0))) + 1
    n = np.bincount(codes, minlength=size) + _PRIOR_ROWS
    k = np.bincount(codes, weights=wrong, minlength=size) + _PRIOR_ROWS * wrong.mean()
    return np.asarray((k / n)[groups])


def _smallest(
    groups: NDArray[np.intp], excess: NDArray[np.float64]
) -> tuple[float, NDArray[np.intp]] | None:
    """Return the share of rows and the groups that hold most of the excess, if any."""
    total = float(excess.sum())
    n = np.bincount(groups)
    sums = np.bincount(groups, weights=excess)
    if total <= 0:
        return None
    order = np.argsort(-sums / np.maximum(n, 1), kind="stable")
    enough = np.flatnonzero(np.cumsum(sums[order]) >= MOST * total)
    if not len(enough):
        return None
    chosen = order[: enough[0] + 1]
    return float(n[chosen].sum()) / len(groups), chosen


def _named(frozen: baseline.Baseline, name: str, groups: list[int]) -> str:
    """Say which values the groups hold."""
    kept, profile = frozen.bins.columns[name], frozen.profiles[name]
    missing = len(profile.grouped) - 1
    if isinstance(kept, bins.CategoryBins):
        names: Mapping[int, str] = {
            **dict(enumerate(kept.categories)),
            missing - 1: "others",
            missing: "missing",
        }
        return "one of " + ", ".join(names[one] for one in groups[:5])
    edges = [-np.inf, *profile.cuts, np.inf]
    spans: list[list[float]] = []
    for one in (group for group in groups if group < missing):
        low, high = edges[one], edges[one + 1]
        if spans and spans[-1][1] == low:
            spans[-1][1] = high
        else:
            spans.append([low, high])
    told = [_span(low, high) for low, high in spans]
    return " or ".join([*told, *(["missing"] if missing in groups else [])])


def _span(low: float, high: float) -> str:
    if np.isinf(low):
        return f"below {high:.4g}"
    return f"from {low:.4g} up" if np.isinf(high) else f"{low:.4g} to {high:.4g}"

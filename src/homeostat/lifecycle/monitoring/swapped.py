"""Have two columns changed places? Found row by row; for `judge`.

A row speaks for it when each value fits the other's baseline better than its own. A natural
shift does not pass: both columns must have left their own baseline, and each must fill the
other's distribution. Columns that look alike cannot be told apart by their values; columns that
spread alike come to each other's place by moving a little, and must lie further apart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import baseline, entities
from homeostat.measures import bins, drift, summary

Floats = NDArray[np.float64]

_CELLS = 24
_CLIP = 4.0
_LEAST_ROWS = 16
_LEAST_TOTAL = 30.0
_LEAST_MEAN = 0.5
_MOVED = 0.1
_RAW_DISTANCE = 0.25
_RAW_DISTANCE_OF_ALIKE = 0.5
_SPREAD_ALIKE = 1.5
_FIT_DISTANCE = 0.1


class Swap(NamedTuple):
    """Rows ``[first, end)`` of the window hold `one` in the place of `other`, and back."""

    one: str
    other: str
    first: int
    end: int
    evidence: float
    needed: float


def find(
    frame: pl.DataFrame,
    frozen: baseline.Baseline,
    seen: summary.TableSummary,
    *,
    names: Sequence[str],
) -> list[Swap]:
    """Return the pairs of columns that have changed places, the clearest first.

    Parameters
    ----------
    frame
        The window, in time order.
    frozen
        The baseline.
    seen
        Summary of the window.
    names
        Columns without a fault of their own.

    Returns
    -------
    list
        Each column at most once.
    """
    moved = [name for name in names if _distance(name, frozen, seen) >= _MOVED]
    found = [
        swap
        for one, other in itertools.combinations(moved, 2)
        if (swap := _pair(frame, frozen, one, other))
    ]
    chosen: list[Swap] = []
    taken: set[str] = set()
    for swap in sorted(found, key=lambda each: -each.evidence):
        if not {swap.one, swap.other} & taken:
            taken |= {swap.one, swap.other}
            chosen.append(swap)
    return chosen


def faults(
    swap: Swap, *, first_row: int
) -> list[tuple[str, tuple[entities.Finding, entities.Cause]]]:
    """Return the finding and the cause of each of the two columns."""
    first, end = first_row + swap.first, first_row + swap.end
    told = []
    for name, other in ((swap.one, swap.other), (swap.other, swap.one)):
        sentence = (
            f"{name} holds the values of {other} from row {first} to {end}: both fit the "
            f"baseline of the other column, not their own"
        )
        finding = entities.Finding(
            kind="swapped",
            column=name,
            statistic="evidence in nats",
            value=swap.evidence,
            needed=swap.needed,
            first_row=first,
            end_row=end,
            sentence=sentence,
        )
        cause = entities.Cause(
            kind="feed",
            column=name,
            share=1.0,
            sentence=f"the feed is broken: {sentence}",
            evidence=(sentence,),
        )
        told.append((name, (finding, cause)))
    return told


def _distance(name: str, frozen: baseline.Baseline, seen: summary.TableSummary) -> float:
    before, now = frozen.summary.columns[name], seen.columns.get(name)
    if not isinstance(before, summary.NumericSummary):
        return 0.0
    if not isinstance(now, summary.NumericSummary) or not before.n_finite or not now.n_finite:
        return 0.0
    return drift.kolmogorov_smirnov(before.count_values, now.count_values).value


def _pair(frame: pl.DataFrame, frozen: baseline.Baseline, one: str, other: str) -> Swap | None:
    x, y = baseline.numbers(frame[one]), baseline.numbers(frame[other])
    edges = _edges(frozen, one, other)
    if len(edges) < 2:  # noqa: PLR2004 - two constants
        return None
    logs = [_log_shares(frozen, name, edges) for name in (one, other)]
    at = [np.searchsorted(edges, values, side="right") for values in (x, y)]
    gain = logs[1][at[0]] + logs[0][at[1]] - logs[0][at[0]] - logs[1][at[1]]
    gain = np.where(np.isfinite(x) & np.isfinite(y), np.clip(gain, -_CLIP, _CLIP), 0.0)
    totals = np.concatenate([[0.0], np.cumsum(gain)])
    rise = totals - np.minimum.accumulate(totals)
    end = int(np.argmax(rise))
    first = end - int(np.argmin(totals[: end + 1][::-1]))
    n = end - first
    # Rows that follow each other wander together, and tell less than as many others.
    weight = max(frozen.profiles[name].dependence.effect for name in (one, other))
    total = _LEAST_TOTAL * weight
    if n < _LEAST_ROWS * weight or rise[end] < max(total, _LEAST_MEAN * n):
        return None
    parts = ((x[first:end], one, other), (y[first:end], other, one))
    if not all(_fits(part, frozen, own, to) for part, own, to in parts):
        return None
    return Swap(one, other, first, end, float(rise[end]), total)


def _fits(values: Floats, frozen: baseline.Baseline, own: str, other: str) -> bool:
    """Say whether values have left their own baseline and fill the other one's."""
    finite = values[np.isfinite(values)]
    if len(finite) < _LEAST_ROWS:
        return False
    raw, swapped = (_from(finite, frozen, name) for name in (own, other))
    limit = min(_FIT_DISTANCE + 0.9 / math.sqrt(len(finite)), 0.6 * raw)
    return raw >= _least_distance(frozen, own, other) and swapped <= limit


def _least_distance(frozen: baseline.Baseline, own: str, other: str) -> float:
    """Return how far values must have left their own baseline to be another column's."""
    spreads = sorted(_spread(frozen, name) for name in (own, other))
    is_alike = spreads[1] <= _SPREAD_ALIKE * spreads[0]
    return _RAW_DISTANCE_OF_ALIKE if is_alike else _RAW_DISTANCE


def _spread(frozen: baseline.Baseline, name: str) -> float:
    places, shares = _middles(frozen, name)
    return math.sqrt(max(0.0, float(shares @ (places - shares @ places) ** 2)))


def _from(values: Floats, frozen: baseline.Baseline, name: str) -> float:
    kept, before = frozen.bins.columns[name], frozen.summary.columns[name]
    assert isinstance(kept, bins.NumericBins)
    assert isinstance(before, summary.NumericSummary)
    now = summary.summarise_numbers(values, kept)
    return drift.kolmogorov_smirnov(before.count_values, now.count_values).value


def _edges(frozen: baseline.Baseline, one: str, other: str) -> Floats:
    """Return cells in which the two baselines together have about equal shares."""
    places = np.concatenate([_middles(frozen, name)[0] for name in (one, other)])
    shares = np.concatenate([_middles(frozen, name)[1] for name in (one, other)])
    order = np.argsort(places, kind="stable")
    total = np.cumsum(shares[order])
    at = np.searchsorted(total, np.linspace(0, total[-1], _CELLS + 1)[1:-1])
    return np.unique(places[order][np.minimum(at, len(order) - 1)])


def _log_shares(frozen: baseline.Baseline, name: str, edges: Floats) -> Floats:
    places, shares = _middles(frozen, name)
    at = np.searchsorted(edges, places, side="right")
    found = np.bincount(at, shares, len(edges) + 1)
    return np.asarray(np.log((found + 1e-3) / (1 + 1e-3 * len(found))), dtype=np.float64)


def _middles(frozen: baseline.Baseline, name: str) -> tuple[Floats, Floats]:
    """Return the middle of each bin of a column's baseline, and its share."""
    kept, before = frozen.bins.columns[name], frozen.summary.columns[name]
    assert isinstance(kept, bins.NumericBins)
    assert isinstance(before, summary.NumericSummary)
    edges, counts = kept.edge_values, before.count_values
    middles = np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])
    return middles, counts / max(1, counts.sum())

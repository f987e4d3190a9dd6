"""The charts of a drift report: shares of either table, side by side; for `report_columns`."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.measures import bins, quantile, samples, summary

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_BARS = 24
_TAIL = 0.005
_MOST_BARS = 16


class Bar(msgspec.Struct, frozen=True):
    """Share of each table in one cell of the chart."""

    label: str
    reference: float
    current: float


def of_samples(x: samples.Numbers, y: samples.Numbers) -> tuple[Bar, ...]:
    """Return the chart of two sorted samples, outermost half percents at its ends."""

    def at(rows: samples.Numbers, share: float) -> float:
        return float(rows[min(len(rows) - 1, int(share * len(rows)))])

    low, high = min(at(x, _TAIL), at(y, _TAIL)), max(at(x, 1 - _TAIL), at(y, 1 - _TAIL))
    edges = _chart_edges(low, high)
    places = (rows.searchsorted(edges[1:-1]) for rows in (x, y))
    r, c = (
        np.diff(np.concatenate([[0], place, [len(rows)]])) / len(rows)
        for place, rows in zip(places, (x, y), strict=True)
    )
    return _bars(edges, r, c)


def of_summaries(
    kept: bins.NumericBins, before: summary.NumericSummary, after: summary.NumericSummary
) -> tuple[Bar, ...]:
    """Return the chart of two summaries on the same bins."""
    ends = [
        quantile.of(seen, kept, share)
        for seen in (before, after)
        for share in (_TAIL, 1 - _TAIL)
    ]
    known = [end for end in ends if end is not None]
    edges = _chart_edges(min(known), max(known))
    places = kept.edge_values.searchsorted(edges[1:-1])
    shares = []
    for seen in (before, after):
        above = np.concatenate([[0], np.cumsum(seen.count_values)])
        shares.append(np.diff(np.concatenate([[0], above[places], above[-1:]])) / above[-1])
    return _bars(edges, shares[0], shares[1])


def of_categories(counted: pl.DataFrame, r: Counts, c: Counts) -> tuple[Bar, ...]:
    """Return the chart of counted categories, the rarer ones joined."""
    p, q = r / r.sum(), c / c.sum()
    order = np.argsort(-np.maximum(p, q), kind="stable")
    shown = np.sort(order[:_MOST_BARS])
    names = counted["value"].cast(pl.String).gather(shown).to_list()
    found = [Bar(name, float(p[i]), float(q[i])) for name, i in zip(names, shown, strict=True)]
    if len(order) > _MOST_BARS:
        rest = order[_MOST_BARS:]
        found.append(Bar(f"{len(rest)} others", float(p[rest].sum()), float(q[rest].sum())))
    return tuple(found)


def _chart_edges(low: float, high: float) -> Floats:
    if not math.isfinite(high - low) or high <= low:
        low, high = low - abs(low) / 2 - 0.5, low + abs(low) / 2 + 0.5
    return np.linspace(low, high, _BARS + 1)


def _bars(edges: Floats, r: Floats, c: Floats) -> tuple[Bar, ...]:
    return tuple(
        Bar(f"{left:.4g} to {right:.4g}", float(a), float(b))
        for left, right, a, b in zip(edges[:-1], edges[1:], r, c, strict=True)
    )

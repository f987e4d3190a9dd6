"""Reads the stored baseline of a version for prediction workers, which have no polars.

What monitoring keeps beside it is skipped; `rarity` says what it is for.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import numpy as np

from homeostat.measures import rarity, tails


class _Bins(msgspec.Struct, frozen=True):
    """What is read of a column's bins: edges, or categories."""

    edges: bytes = b""
    categories: tuple[str, ...] = ()


class _Seen(msgspec.Struct, frozen=True):
    """What is read of a column's summary; `counts` are bytes beside edges."""

    n: int
    nulls: int
    counts: Any
    others: int = 0
    minimum: float | None = None
    maximum: float | None = None


class _AllBins(msgspec.Struct, frozen=True):
    columns: dict[str, _Bins]


class _AllSeen(msgspec.Struct, frozen=True):
    columns: dict[str, _Seen]


class _Frozen(msgspec.Struct, frozen=True):
    """As much of a stored baseline as is needed here; the rest of it is skipped."""

    features: tuple[str, ...]
    bins: _AllBins
    summary: _AllSeen
    surprise: tails.Tail | None = None


def read(packed: bytes) -> rarity.Reference:
    """Read the stored baseline of a version, without what only monitoring needs.

    Parameters
    ----------
    packed
        As `monitoring.baseline` has packed it.

    Returns
    -------
    Reference
        Ready to be asked.

    Raises
    ------
    ValueError
        When the bytes hold no baseline.
    """
    try:
        found = msgspec.msgpack.decode(zlib.decompress(packed), type=_Frozen)
    except (zlib.error, msgspec.MsgspecError) as broken:
        msg = f"these bytes hold no baseline: {broken}"
        raise ValueError(msg) from broken
    columns = {
        name: _read(found.bins.columns[name], found.summary.columns[name])
        for name in found.features
        if name in found.bins.columns
    }
    return rarity.Reference(columns, found.surprise)


def _read(kept: _Bins, seen: _Seen) -> rarity.Column:
    if not isinstance(seen.counts, bytes):
        return rarity.categories(
            kept.categories, seen.counts, others=seen.others, nulls=seen.nulls
        )
    counts = np.frombuffer(seen.counts, dtype="<i8")
    edges = np.frombuffer(kept.edges, dtype="<f8")
    return rarity.numbers(edges, counts, n=seen.n, ends=(seen.minimum, seen.maximum))

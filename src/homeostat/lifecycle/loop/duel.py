"""Nouns of the duels where exactly one model may answer; part of `entities`."""

from __future__ import annotations

import msgspec


class Duels(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence that others are better than the one that answers alone, since it does.

    `order` numbers its challengers; `wealth` holds log wealth for each of `duels.SCALES`.
    `sums` holds what it follows from: blocks, and the sums of the differences, their squares,
    the products of neighbours, and the newest difference.
    """

    champion: str
    order: tuple[str, ...] = ()
    wealth: dict[str, tuple[float, ...]] = {}
    sums: dict[str, tuple[float, ...]] | msgspec.UnsetType = msgspec.UNSET

"""What was made of what."""

from __future__ import annotations

import msgspec


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """One step from a thing to what was made of it.

    Parameters
    ----------
    source, target
        References, such as ``"snapshot:<id>"`` and ``"run:<id>"``; `source` came first.
    kind
        How the one served the other, such as ``"input"`` or ``"trained"``.
    at
        When it was recorded; milliseconds UTC.
    """

    source: str
    target: str
    kind: str
    at: int

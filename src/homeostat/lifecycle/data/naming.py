"""Names that people mistype: a hint with the nearest one; called where columns are named.

Apart from `tables`, so that the prediction server names a column without reading tables.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_SHOWN = 12


def nearest(name: str, known: Sequence[str]) -> str:
    """Return a hint that names the nearest known name, or the first few.

    Parameters
    ----------
    name
        As it was written.
    known
        The names there are.

    Examples
    --------
    >>> nearest("incme", ["age", "income"])
    "did you mean 'income'?"
    """
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    more = ", …" if len(known) > _SHOWN else ""
    return f"its columns are {', '.join(known[:_SHOWN])}{more}"

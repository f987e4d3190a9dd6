"""How often each category comes, in memory that does not grow with the number of categories.

`bins` freezes the most frequent ones by it, `summary` counts later rows.
"""

from __future__ import annotations

import collections
import heapq
import secrets
from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

ROOM = 8192
"""So many categories are counted exactly, beside those that are asked for by name."""
_LISTED = 50
_SLICE_ROWS = 32_768
_FEW_ROWS = 5_000
_SLICES_A_QUERY = 4
_SLOTS = 1 << 14
_MANY = 1 << 10


class Tally:
    """Rows of each category, of a column of any length.

    Attributes
    ----------
    named
        Rows of each category that was asked for; always exact.
    others
        Rows of other categories, while there are at most 8192 of them; then of the more
        frequent ones only.
    short
        Each count in `others` is too small by at most this many rows, and a category that is
        not there has at most as many: 0 while all are counted, never more than one row in
        8193 of those that were added.

    Notes
    -----
    Where there are more, the count of the first that has no room is taken from all [1]_, as
    in the summaries that add [2]_.

    References
    ----------
    .. [1] J. Misra and D. Gries, "Finding repeated elements", Science of Computer Programming
       2, 1982.
    .. [2] P. Agarwal, G. Cormode, Z. Huang, J. Phillips, Z. Wei and K. Yi, "Mergeable
       summaries", ACM Transactions on Database Systems 38, 2013.

    Examples
    --------
    >>> tally = Tally(["a"])
    >>> tally.add({"a": 2, "b": 1})
    >>> tally.named, tally.others, tally.short
    ({'a': 2}, {'b': 1}, 0)
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        self.named = dict.fromkeys(named, 0)
        self.others: dict[str, int] = {}
        self.short = 0

    def knows(self, name: str) -> bool:
        """Say whether a category is counted at the moment.

        Parameters
        ----------
        name
            Of the category.

        Returns
        -------
        bool
            False for one that had no room.
        """
        return bool(self.named.get(name)) or name in self.others

    def add(self, counted: dict[str, int]) -> None:
        """Add rows of each category.

        Parameters
        ----------
        counted
            Category to count, 1 or more each.
        """
        named, others = self.named, self.others
        for name, count in counted.items():
            if name in named:
                named[name] += count
            else:
                others[name] = others.get(name, 0) + count
        if len(others) > ROOM:
            counts = np.fromiter(others.values(), dtype=np.int64, count=len(others))
            place = len(counts) - 1 - ROOM
            taken = int(np.partition(counts, place)[place])
            left = ((name, count - taken) for name, count in others.items() if count > taken)
            self.others = dict(left)
            self.short += taken


def slices(values: pl.Series) -> Iterator[dict[str, int]]:
    """Count each category of some rows at a time; a column of nested values has none.

    Parameters
    ----------
    values
        A column of any kind.

    Returns
    -------
    Iterator of dict
        Category to count, of the next rows.

    Examples
    --------
    >>> list(slices(pl.Series([True, None, True])))
    [{'true': 2}]
    """
    if values.dtype.is_nested() or values.dtype in {pl.Binary, pl.Object, pl.Null}:
        return
    if len(values) < _FEW_ROWS:  # starting a query costs more than counting in Python
        few = collections.Counter(values.cast(pl.String).to_list())
        yield {name: count for name, count in few.items() if name is not None}
        return
    if values.dtype == pl.String and len(values) > _SLICE_ROWS:
        yield from _texts(values)
        return
    for start in range(0, len(values), _SLICE_ROWS):
        part = values.slice(start, _SLICE_ROWS)
        yield _counted(part.drop_nulls() if part.null_count() else part)


def _counted(values: pl.Series) -> dict[str, int]:
    names, counts = values.rename("value").value_counts(name="n").get_columns()
    if names.dtype != pl.String:
        names = names.cast(pl.String)
    return dict(zip(names.to_list(), counts.to_list(), strict=True))


def _texts(values: pl.Series) -> Iterator[dict[str, int]]:
    """Count texts as `slices` does, those met before by their hash."""
    known = _Known()
    for start in range(0, len(values), _SLICE_ROWS * _SLICES_A_QUERY):
        parts = values.slice(start, _SLICE_ROWS * _SLICES_A_QUERY)
        hashes = np.empty(0, dtype=np.uint64)
        if not known.is_crowded:  # one query for several slices
            hashes = parts.hash(known.seed).to_numpy()
        for begin in range(0, len(parts), _SLICE_ROWS):
            part = parts.slice(begin, _SLICE_ROWS)
            keys = hashes[begin : begin + _SLICE_ROWS]
            if part.null_count():
                if len(keys):
                    keys = keys[part.is_not_null().to_numpy()]
                part = part.drop_nulls()
            yield _counted(part) if known.is_crowded else known.count(part, keys)


class _Known:
    """Texts met before, one for each of the last 14 bits of a hash with a secret seed.

    Another text would have to share all 64 bits with one of them to be taken for it.
    """

    def __init__(self) -> None:
        self.seed = secrets.randbits(32)
        self.is_crowded = False
        self._names: dict[int, str] = {}
        # What stands in a free place ends in other bits than what is looked for there.
        self._hashes: NDArray[np.uint64] = np.arange(_SLOTS, dtype=np.uint64) ^ np.uint64(1)

    def count(self, values: pl.Series, hashes: NDArray[np.uint64]) -> dict[str, int]:
        """Count texts without nulls; `is_crowded` once too many differ for this to pay."""
        places = hashes.view(np.int64) & (_SLOTS - 1)
        is_known = self._hashes.take(places, mode="wrap") == hashes
        new: dict[str, int] = {}
        if not is_known.all():
            rest = values.filter(pl.Series(~is_known))
            new = _counted(rest)
            places = places[is_known]
            self._learn(list(new))
        known = np.fromiter(self._names, dtype=np.intp, count=len(self._names))
        rows = np.bincount(places, minlength=_SLOTS)[known].tolist()
        found = {name: n for name, n in zip(self._names.values(), rows, strict=True) if n}
        for name, n in new.items():
            found[name] = found.get(name, 0) + n
        return found

    def _learn(self, names: list[str]) -> None:
        """Give each text a free place, where there is one."""
        if len(self._names) + len(names) > _MANY:
            self.is_crowded = True
            return
        hashes = pl.Series(names, dtype=pl.String).hash(self.seed).to_numpy()
        for name, key in zip(names, hashes.tolist(), strict=True):
            if (place := key & (_SLOTS - 1)) not in self._names:
                self._names[place] = name
                self._hashes[place] = key


def first(counted: dict[str, int], n: int) -> dict[str, int]:
    """Return the most frequent categories.

    Parameters
    ----------
    counted
        Rows of each category.
    n
        How many, 0 or more.

    Returns
    -------
    dict
        At most `n` of them, the most frequent first; ties go by the alphabet. Thousands are
        not all put in order.

    Examples
    --------
    >>> first({"b": 1, "a": 1, "c": 2}, 2)
    {'c': 2, 'a': 1}
    """
    least = min(heapq.nlargest(n, counted.values()), default=0)
    frequent = (name for name, count in counted.items() if count >= least)
    kept = heapq.nsmallest(n, frequent, key=lambda name: (-counted[name], name))
    return {name: counted[name] for name in kept}


def listed(unseen: dict[str, int]) -> tuple[dict[str, int], int]:
    """Keep the most frequent new categories.

    Parameters
    ----------
    unseen
        Rows of each category.

    Returns
    -------
    tuple
        At most 50 of them, the most frequent first, and the most rows that one of the rest
        has.

    Examples
    --------
    >>> listed({"b": 1, "c": 2})
    ({'c': 2, 'b': 1}, 0)
    """
    kept = first(unseen, _LISTED + 1)
    rest = kept.popitem()[1] if len(kept) > _LISTED else 0
    return kept, rest

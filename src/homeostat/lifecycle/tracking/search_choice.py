"""Choosing runs from columns: which fulfil what is asked for, and the first ones of them.

Called by the memory of runs' search. All is done for all runs at once, a few milliseconds for
a million.
"""

from __future__ import annotations

import bisect
import operator
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import language, records, search_conditions, search_orders
from homeostat.lifecycle.tracking.search_columns import (
    STAGES,
    Columns,
    Key,
    Numbers,
    Texts,
    UnheldError,
)
from homeostat.lifecycle.tracking.search_conditions import Need
from homeostat.lifecycle.tracking.search_plans import Question
from homeostat.lifecycle.tracking.search_statement import Statement

_COMPARE: Final[dict[str, Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_HELD: Final = ("metric", "param", "tag")
_LARGEST_EXACT: Final = 2**53


class _Term(NamedTuple):
    """One thing to order by, smallest first, with its value at the place asked for."""

    values: np.ndarray
    at: Any = None


def keys_of(asked: Question) -> list[Key]:
    """Return the columns that a question needs.

    Parameters
    ----------
    asked
        The question.

    Returns
    -------
    list of Key
        Each once.

    Raises
    ------
    UnheldError
        When it is ordered by what no column holds.
    """
    found = [(need.subject, need.key) for need in asked.needs if need.subject in _HELD]
    for one in asked.orders:
        if one.subject in _HELD:
            found.append((one.subject, one.key))
        elif one.key != "start_time":
            raise UnheldError
    return list(dict.fromkeys(found))


def fulfilling(columns: Columns, asked: Question, tx: Transaction) -> np.ndarray:
    """Return the runs that fulfil all needs columns know of.

    Parameters
    ----------
    columns
        With those of `keys_of`.
    asked
        The question.
    tx
        Compares texts.

    Returns
    -------
    numpy.ndarray
        Places of runs, ascending.

    Raises
    ------
    UnheldError
        When a number cannot be compared exactly.
    """
    if len(asked.stages) == 1:
        held = columns.stages == STAGES[asked.stages[0]]
    else:
        held = columns.stages > 0
    for need in asked.needs:
        if need.subject not in _HELD:
            continue
        column = columns.kept[need.subject, need.key]
        if isinstance(column, Numbers):
            _narrow_numbers(held, column, need)
        else:
            held &= _of_texts(column, need, tx)[column.codes]
    return np.flatnonzero(held)


def _narrow_numbers(held: np.ndarray, column: Numbers, need: Need) -> None:
    if need.is_absent:
        held &= ~column.has
    else:
        held &= column.has
    for one in need.conditions:
        compare = _COMPARE.get(one.comparator)
        if compare is not None:
            held &= compare(column.values, _exact(one.value))
        elif one.comparator not in ("IS NULL", "IS NOT NULL"):
            raise UnheldError


def _exact(value: Any) -> float:
    """Return a number as columns hold numbers."""
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        raise UnheldError
    return float(value)


def _of_texts(column: Texts, need: Need, tx: Transaction) -> np.ndarray:
    """Return for each text by number whether it fulfils a need; the last one is no text."""
    found = np.zeros(len(column.texts) + 1, dtype=bool)
    if need.is_absent:
        found[-1] = all(one.comparator == "IS NULL" for one in need.conditions)
        return found
    left = []
    found[:-1] = True
    for one in need.conditions:
        if one.comparator == "=":
            code = column.code_of(str(one.value))
            found[np.arange(len(found)) != code] = False
        elif one.comparator == "BEGINS":
            heads = (text[: records.HEAD_LENGTH] for text in column.texts)
            found[:-1] &= [head == one.value for head in heads]
        else:
            left.append(one)
    if left and found.any():
        made = Statement(tx)
        held = " AND ".join(search_conditions.text_holds(made, one) for one in left)
        rows = made.rows("SELECT c.key FROM", made.listed(column.texts), "c WHERE", held)
        fulfil = np.zeros(len(found), dtype=bool)
        fulfil[[row[0] for row in rows]] = True
        found &= fulfil
    return found


class Ordered:
    """Some runs that are asked for in an order.

    Parameters
    ----------
    columns
        With those of `keys_of`.
    asked
        The question.
    chosen
        Places of runs.
    place
        Where the page before ended; runs before it are left out.

    Raises
    ------
    UnheldError
        When the place cannot be compared exactly.
    """

    def __init__(
        self,
        columns: Columns,
        asked: Question,
        chosen: np.ndarray,
        *,
        place: Sequence[Any] | None,
    ) -> None:
        self._chosen = chosen
        self._terms: list[_Term] = []
        for n, order in enumerate(asked.orders):
            at = None if place is None else place[2 * n : 2 * n + 2]
            self._terms.extend(_terms(columns, order, chosen, at))
        began, run_id = (None, None) if place is None else (-place[-2], place[-1])
        self._terms.append(_Term(-columns.started[chosen], began))
        at_id: float | None = None
        if run_id is not None:
            first, is_it = columns.place_of(run_id)
            at_id = first if is_it else first - 0.5
        self._terms.append(_Term(chosen, at_id))
        self._left = np.arange(len(chosen))
        if place is not None:
            self._left = np.flatnonzero(self._behind())

    def __len__(self) -> int:
        return len(self._left)

    def _behind(self) -> np.ndarray:
        behind = np.zeros(len(self._chosen), dtype=bool)
        for values, at in reversed(self._terms):
            behind &= values == at
            behind |= values > at
        return behind

    def first(self, n: int) -> np.ndarray:
        """Return the places of the first runs, in order.

        Parameters
        ----------
        n
            Most of them.

        Returns
        -------
        numpy.ndarray
            All when there are no more.
        """
        left, parts = self._left, []
        for term in self._terms:
            if len(left) <= n:
                break
            values = term.values[left]
            last = np.partition(values, n - 1)[n - 1]
            before = left[values < last]
            parts.append(before)
            left = left[values == last]
            n -= len(before)
        found = np.concatenate([*parts, left[:n]])
        order = np.lexsort([term.values[found] for term in reversed(self._terms)])
        first: np.ndarray = self._chosen[found[order]]
        return first


def _terms(columns: Columns, order: language.Order, chosen: np.ndarray, at: Any) -> list[_Term]:
    """Return rank and value of some runs, turned so that the smallest comes first."""
    sign = 1 if order.ascending else -1
    if order.subject == "attribute":
        began = columns.started[chosen]
        return [_Term(sign * began, None if at is None else sign * at[1])]
    column = columns.kept[order.subject, order.key]
    if isinstance(column, Texts):
        return _terms_of_texts(column, chosen, sign, at)
    values = column.values[chosen]
    ranks = np.full(len(chosen), search_orders.MISSING, dtype=np.int8)
    ranks[column.has[chosen]] = search_orders.FINITE
    is_odd = ~np.isfinite(values)
    if is_odd.any():
        for kind in ("-inf", "inf", "nan"):
            wanted = np.isnan(values) if kind == "nan" else values == float(kind)
            rank = search_orders.rank_of(kind, ascending=order.ascending)
            ranks[wanted & column.has[chosen]] = rank
    values[ranks != search_orders.FINITE] = 0.0
    held = None if at is None else sign * _exact(at[1])
    return [_Term(ranks, None if at is None else at[0]), _Term(sign * values, held)]


def _terms_of_texts(column: Texts, chosen: np.ndarray, sign: int, at: Any) -> list[_Term]:
    codes = column.codes[chosen]
    is_there = codes >= 0
    ranks = np.where(is_there, search_orders.FINITE, search_orders.MISSING).astype(np.int8)
    by_code = np.append(column.ranks(), np.int32(-1))
    values = sign * np.where(is_there, by_code[codes], -1)
    if at is None:
        return [_Term(ranks), _Term(values)]
    held: float = -1.0
    if at[0] == search_orders.FINITE:
        code = column.code_of(at[1])
        if code >= 0:
            held = float(by_code[code])
        else:
            held = bisect.bisect_left(sorted(column.texts), at[1]) - 0.5
    return [_Term(ranks, at[0]), _Term(values, sign * held)]

"""Choosing runs from columns: which fulfil what is asked for, and the first ones of them.

Called by the memory of runs' search. All is done for all runs at once, a few milliseconds for
a million.
"""

from __future__ import annotations

import bisect
import operator
from collections.abc import Callable, Sequence
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
_HELD_ATTRIBUTES: Final = ("status", "user_id", "pipeline", "end_time")
_START: Final = ("attribute", "start_time")
_LARGEST_EXACT: Final = 2**53


class _Term(NamedTuple):
    """One thing to order runs by, smallest first; and its value where a page begins."""

    of: Callable[[np.ndarray], np.ndarray]
    at: Any = None


class Wanted(NamedTuple):
    """Columns that a question asks for.

    Parameters
    ----------
    ordering
        What it is ordered by; it cannot be answered without.
    filtering
        What it is filtered by besides; without them the database looks at more runs.
    """

    ordering: tuple[Key, ...]
    filtering: tuple[Key, ...]


def wanted(asked: Question) -> Wanted:
    """Return the columns that a question asks for.

    Parameters
    ----------
    asked
        The question.

    Returns
    -------
    Wanted
        Each once.

    Raises
    ------
    UnheldError
        When it is ordered by what no column holds.
    """
    ordering = [(one.subject, one.key) for one in asked.orders]
    ordering = [key for key in dict.fromkeys(ordering) if key != _START]
    if not all(map(_is_held, ordering)):
        raise UnheldError
    needed = dict.fromkeys((need.subject, need.key) for need in asked.needs)
    filtering = [key for key in needed if _is_held(key) and key not in ordering]
    return Wanted(tuple(ordering), tuple(filtering))


def _is_held(key: Key) -> bool:
    return key[0] in _HELD or (key[0] == "attribute" and key[1] in _HELD_ATTRIBUTES)


def fulfilling(columns: Columns, asked: Question, tx: Transaction) -> np.ndarray:
    """Return the runs that fulfil all needs columns know of.

    Parameters
    ----------
    columns
        With those of `wanted`, or as many of them as there are.
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
        if (need.subject, need.key) == _START:
            _narrow_values(held, columns.started, need)
        column = columns.kept.get((need.subject, need.key))
        if isinstance(column, Numbers):
            _narrow_numbers(held, column, need)
        elif column is not None:
            held &= _of_texts(column, need, tx)[column.codes]
    return np.flatnonzero(held)


def _narrow_numbers(held: np.ndarray, column: Numbers, need: Need) -> None:
    if need.is_absent:
        held &= ~column.has
    else:
        held &= column.has
    _narrow_values(held, column.values, need)


def _narrow_values(held: np.ndarray, values: np.ndarray, need: Need) -> None:
    for one in need.conditions:
        compare = _COMPARE.get(one.comparator)
        if compare is not None:
            held &= compare(values, _exact(one.value))
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
        With those it is ordered by.
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
        self._terms: list[_Term] = []
        for n, order in enumerate(asked.orders):
            at = None if place is None else place[2 * n : 2 * n + 2]
            self._terms.extend(_terms(columns, order, at))
        began, at_id = None, None
        if place is not None:
            first, is_it = columns.place_of(place[-1])
            began, at_id = -place[-2], first if is_it else first - 0.5
        self._terms.append(_Term(lambda runs: -columns.started[runs], began))
        self._terms.append(_Term(lambda runs: runs, at_id))
        self._left = chosen if place is None else self._behind(chosen)

    def __len__(self) -> int:
        return len(self._left)

    def _behind(self, left: np.ndarray) -> np.ndarray:
        """Return the runs behind the place; a term counts where those before are equal."""
        parts = []
        for term in self._terms:
            values = term.of(left)
            parts.append(left[values > term.at])
            left = left[values == term.at]
        return np.concatenate(parts)

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
            values = term.of(left)
            last = np.partition(values, n - 1)[n - 1]
            before = left[values < last]
            parts.append(before)
            left = left[values == last]
            n -= len(before)
        found = np.concatenate([*parts, left[:n]])
        order = np.lexsort([term.of(found) for term in reversed(self._terms)])
        first: np.ndarray = found[order]
        return first


def _terms(columns: Columns, order: language.Order, at: Any) -> list[_Term]:
    """Return rank and value of runs, turned so that the smallest comes first."""
    sign = 1 if order.ascending else -1
    if (order.subject, order.key) == _START:
        began = None if at is None else sign * at[1]
        return [_Term(lambda runs: sign * columns.started[runs], began)]
    column = columns.kept[order.subject, order.key]
    rank = None if at is None else at[0]
    if isinstance(column, Texts):
        by_code = np.append(column.ranks(), np.int32(-1))
        return [
            _Term(lambda runs: _ranks_of_texts(column, runs), rank),
            _Term(lambda runs: sign * by_code[column.codes[runs]], _text_at(column, sign, at)),
        ]
    value = None if at is None else sign * _exact(at[1])
    return [
        _Term(lambda runs: _ranks_of_numbers(column, runs, order), rank),
        _Term(lambda runs: sign * _finite(column, runs), value),
    ]


def _ranks_of_texts(column: Texts, runs: np.ndarray) -> np.ndarray:
    is_there = column.codes[runs] >= 0
    return np.where(is_there, np.int8(search_orders.FINITE), np.int8(search_orders.MISSING))


def _ranks_of_numbers(column: Numbers, runs: np.ndarray, order: language.Order) -> np.ndarray:
    has, values = column.has[runs], column.values[runs]
    ranks = np.where(has, np.int8(search_orders.FINITE), np.int8(search_orders.MISSING))
    if not np.isfinite(values).all():
        for kind in ("-inf", "inf", "nan"):
            wanted = np.isnan(values) if kind == "nan" else values == float(kind)
            rank = search_orders.rank_of(kind, ascending=order.ascending)
            ranks[wanted & has] = rank
    return ranks


def _finite(column: Numbers, runs: np.ndarray) -> np.ndarray:
    """Return values, 0 for what is none or not finite: there the rank says all."""
    values: np.ndarray = column.values[runs]
    values[~(column.has[runs] & np.isfinite(values))] = 0.0
    return values


def _text_at(column: Texts, sign: int, at: Any) -> float | None:
    """Return where the text of a place stands among the texts there are."""
    if at is None:
        return None
    if at[0] != search_orders.FINITE:
        return -1.0 * sign
    code = column.code_of(at[1])
    if code >= 0:
        return float(sign * column.ranks()[code])
    return sign * (bisect.bisect_left(sorted(column.texts), at[1]) - 0.5)

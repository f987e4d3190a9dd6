"""Conditions and orders as SQL that means the same on both databases; called by searches.

Every value is bound. LIKE minds capitals and knows no escape, as in MLflow; ILIKE minds none.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import language, tokens

_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Term(NamedTuple):
    """One thing rows are ordered by.

    Parameters
    ----------
    value
        Never NULL.
    ascending
        Smallest first.
    kind
        int, float or str.
    """

    value: sa.ColumnElement[Any]
    ascending: bool
    kind: type


def holds(
    tx: Transaction, column: sa.ColumnElement[Any], comparator: str, value: language.Value
) -> sa.ColumnElement[bool]:
    """Return a comparison as SQL.

    Parameters
    ----------
    tx
        Whose database it is for.
    column
        What is compared.
    comparator, value
        Of a condition.

    Returns
    -------
    sqlalchemy.ColumnElement
        With the value bound.
    """
    if comparator == "IN":
        return column.in_(list(_listed(value)))
    if comparator == "NOT IN":
        return column.not_in(list(_listed(value)))
    if comparator == "LIKE":
        if tx.dialect == "sqlite":
            return column.op("GLOB", is_comparison=True)(glob(str(value)))
        return column.like(str(value), escape="")
    if comparator == "ILIKE":
        return column.ilike(str(value), escape="" if tx.dialect == "postgresql" else None)
    if comparator == "IS NULL":
        return column.is_(None)
    if comparator == "IS NOT NULL":
        return column.is_not(None)
    compared: sa.ColumnElement[bool] = _COMPARE[comparator](column, value)
    return compared


def sortable(
    tx: Transaction, column: sa.ColumnElement[Any], kind: type
) -> sa.ColumnElement[Any]:
    """Return a column as both databases order it alike: text by its bytes."""
    return sa.collate(column, "C") if kind is str and tx.dialect == "postgresql" else column


def ordering(terms: Sequence[Term]) -> list[sa.ColumnElement[Any]]:
    """Return the ORDER BY of some terms."""
    return [term.value.asc() if term.ascending else term.value.desc() for term in terms]


def behind(terms: Sequence[Term], place: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Return the condition of the rows that come behind a place in an order.

    Parameters
    ----------
    terms
        The order; the last term is unique.
    place
        A value for each term.

    Returns
    -------
    sqlalchemy.ColumnElement
        True for every row behind it.
    """
    ways: list[sa.ColumnElement[bool]] = []
    for n, (term, value) in enumerate(zip(terms, place, strict=True)):
        same = [one.value == at for one, at in zip(terms[:n], place, strict=False)]
        ways.append(
            sa.and_(*same, term.value > value if term.ascending else term.value < value)
        )
    return sa.or_(*ways)


def checked_place(place: Sequence[Any] | None, terms: Sequence[Term]) -> list[Any] | None:
    """Return the place a token held, or refuse one that does not fit; as `tokens.placed`."""
    return tokens.placed(place, [term.kind for term in terms])


def _listed(value: language.Value) -> tuple[str, ...]:
    assert isinstance(value, tuple)
    return value


def glob(pattern: str) -> str:
    """Write a LIKE pattern as GLOB, SQLite's comparison that minds capitals."""
    signs = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(signs.get(sign, sign) for sign in pattern)

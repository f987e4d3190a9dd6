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


def page(
    tx: Transaction,
    columns: Sequence[Any],
    chosen: Sequence[sa.ColumnElement[bool]],
    *,
    terms: Sequence[Term],
    question: Any,
    limit: int,
    after: str,
) -> tuple[list[tuple[Any, ...]], str]:
    """Read the rows of one page; it begins behind a row and never at a count of rows.

    Parameters
    ----------
    tx
        Reading suffices.
    columns
        What is read; tables stand for all of theirs.
    chosen
        Conditions, all of which hold.
    terms
        The order; the last term is unique.
    question
        All that a token stands for, as in `tokens.make`.
    limit
        Most rows on the page.
    after
        Token of the page before, or empty.

    Returns
    -------
    tuple
        Rows of the columns, and the token of the page behind, empty on the last one.

    Raises
    ------
    InvalidInputError
        When `after` is no token, or one of another question.
    """
    place = tokens.placed(tokens.read(after, question), [term.kind for term in terms])
    if place is not None:
        behind = tokens.behind(
            *(terms, place), either=sa.or_, both=sa.and_, beyond=_beyond, same=_same
        )
        chosen = [*chosen, behind]
    asked = (
        sa.select(*columns, *(term.value for term in terms))
        .where(*chosen)
        .order_by(*(one.value.asc() if one.ascending else one.value.desc() for one in terms))
        .limit(limit + 1)
    )
    rows = [tuple(row) for row in tx.execute(asked)]
    shown = [row[: -len(terms)] for row in rows[:limit]]
    if len(rows) <= limit:
        return shown, ""
    return shown, tokens.make(question, rows[limit - 1][-len(terms) :])


def _beyond(term: Term, value: Any) -> sa.ColumnElement[bool]:
    beyond: sa.ColumnElement[bool] = (
        term.value > value if term.ascending else term.value < value
    )
    return beyond


def _same(term: Term, value: Any) -> sa.ColumnElement[bool]:
    same: sa.ColumnElement[bool] = term.value == value
    return same


def _listed(value: language.Value) -> tuple[str, ...]:
    assert isinstance(value, tuple)
    return value


def glob(pattern: str) -> str:
    """Write a LIKE pattern as GLOB, SQLite's comparison that minds capitals."""
    signs = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(signs.get(sign, sign) for sign in pattern)

"""Evaluates a slice on a table; called by summaries, metrics and objectives."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.policy import slices

EVERYBODY = ""
"""The part that is no slice: all rows."""


def inside(rows: pl.DataFrame, condition: slices.Condition) -> pl.Series:
    """Say of each row whether it is in a slice.

    Parameters
    ----------
    rows
        Columns by the names that the slice uses.
    condition
        As `slices.parse` reads it.

    Returns
    -------
    polars.Series
        Booleans, one a row, never null. A comparison with a missing value (null or NaN) is
        false, and ``not`` turns that around.

    Raises
    ------
    InvalidInputError
        When it names a column that is not there, or compares a number with a text.

    Examples
    --------
    >>> rows = pl.DataFrame({"age": [20, None, 40]})
    >>> inside(rows, slices.parse("not age < 25")).to_list()
    [False, True, True]
    """
    if rows.is_empty():  # a log without rows has no columns yet
        return pl.Series("inside", [], dtype=pl.Boolean)
    missing = [name for name in slices.columns(condition) if name not in rows.columns]
    if missing:
        raise _unknown(missing[0], rows.columns)
    found = rows.select(_expression(condition, rows.schema).alias("inside"))["inside"]
    return found if len(found) == rows.height else pl.repeat(found[0], rows.height, eager=True)


def label(name: str) -> str:
    """Return how the part of a stored window is called that is a slice: ``slice=young``."""
    return f"slice={name}"


def _unknown(name: str, known: Iterable[str]) -> errors.InvalidInputError:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = (
        f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known)[:20])}"
    )
    return errors.InvalidInputError(f"there is no column {name!r}", hint=hint, column=name)


def _expression(condition: slices.Condition, schema: pl.Schema) -> pl.Expr:
    if isinstance(condition, slices.Every):
        return pl.all_horizontal(*(_expression(part, schema) for part in condition.parts))
    if isinstance(condition, slices.Either):
        return pl.any_horizontal(*(_expression(part, schema) for part in condition.parts))
    if isinstance(condition, slices.Not):
        return ~_expression(condition.part, schema)
    kind = schema[condition.column]
    column = _column(condition.column, kind)
    if isinstance(condition, slices.Missing):
        return column.is_null() if condition.is_missing else column.is_not_null()
    if isinstance(condition, slices.Like):
        _need_alike(condition.column, kind, "")
        wanted = ".*".join(re.escape(part) for part in condition.pattern.split("%"))
        alike = column.str.contains(f"(?s)^{wanted}$")
        return (alike if condition.is_alike else ~alike).fill_null(value=False)
    if isinstance(condition, slices.Among):
        for value in condition.values:
            _need_alike(condition.column, kind, value)
        hits = [column == pl.lit(value) for value in condition.values]
        hit = pl.any_horizontal(*(one.fill_null(value=False) for one in hits))
        return hit if condition.is_inside else ~hit & column.is_not_null()
    _need_alike(condition.column, kind, condition.value)
    return _compared(column, condition).fill_null(value=False)


def _column(name: str, kind: pl.DataType) -> pl.Expr:
    """Return a column as it is compared: categories as text, NaN as missing."""
    column = pl.col(name)
    if isinstance(kind, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    return column.fill_nan(None) if kind.is_float() else column


def _compared(column: pl.Expr, condition: slices.Compare) -> pl.Expr:
    value = pl.lit(condition.value)
    match condition.operator:
        case "=":
            return column == value
        case "!=":
            return column != value
        case "<":
            return column < value
        case "<=":
            return column <= value
        case ">":
            return column > value
        case ">=":
            return column >= value


def _need_alike(name: str, kind: pl.DataType, value: slices.Value) -> None:
    """Refuse a comparison between kinds: it would hold for no row, whatever the data."""
    if isinstance(value, bool):
        is_fit, needed = kind == pl.Boolean, "truth values"
    elif isinstance(value, str):
        is_fit = isinstance(kind, pl.String | pl.Categorical | pl.Enum)
        needed = "text"
    else:
        is_fit, needed = kind.is_numeric(), "numbers"
    if not is_fit and kind != pl.Null:
        raise errors.InvalidInputError(
            f"column {name!r} is compared with {value!r}, but does not hold {needed}",
            hint=f"it holds {kind}",
            column=name,
        )

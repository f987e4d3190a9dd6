"""Schemas: what a table's columns are, and how two schemas differ.

Snapshots infer one; versions carry it; serving checks requests against it (`requests.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle.data import rows
from homeostat.lifecycle.data.entities import Column, Difference, Kind, Schema

compile_row = rows.compile_row

# A column of texts with this few distinct values is a category whatever the number of rows;
# above, they must also be few for the rows. 255 is what histogram gradient boosting takes.
FEW = 20
MOST = 255
ROWS_PER_CATEGORY = 20
_NAMED = 5
# Kinds that can stand for each other when more rows show more of a column.
_RELATED = ({"integer", "number"}, {"category", "text"})


def infer(frame: pl.DataFrame) -> Schema:
    """Say what the columns of a table are.

    Parameters
    ----------
    frame
        At least one row.

    Returns
    -------
    Schema
        Columns in order. Texts with few distinct values are categories; NaN counts as missing.

    Raises
    ------
    InvalidInputError
        When a column has no value at all, holds infinities, or values that are not plain.

    Examples
    --------
    >>> found = infer(pl.DataFrame({"age": [20, 61], "sex": ["f", "m"], "x": [0.5, None]}))
    >>> [(column.name, column.kind, column.nullable) for column in found.columns]
    [('age', 'integer', False), ('sex', 'category', False), ('x', 'number', True)]
    """
    return Schema(tuple(infer_column(values) for values in frame.iter_columns()))


def infer_column(values: pl.Series) -> Column:
    """Say what one column is; see `infer`."""
    name = values.name
    if values.null_count() == len(values):
        raise InvalidInputError(
            f"column {name!r} has no value in any of its {len(values)} rows",
            hint="drop the column, or mend what fills it",
            column=name,
        )
    kind = kind_of(values)
    if values.dtype.is_float():
        return _number(values)
    minimum = maximum = None
    if kind in {"integer", "number"}:
        minimum, maximum = _real(values.min()), _real(values.max())
    elif kind == "timestamp":
        instants = as_milliseconds(values)
        minimum, maximum = _real(instants.min()), _real(instants.max())
    return Column(
        name=name,
        kind=kind,
        nullable=values.null_count() > 0,
        categories=_categories(values) if kind == "category" else None,
        minimum=minimum,
        maximum=maximum,
    )


def as_milliseconds(values: pl.Series) -> pl.Series:
    """Return a column of dates or times as milliseconds since 1970 UTC, shape kept."""
    return values.cast(pl.Datetime("ms")).dt.epoch("ms")


def differences(before: Schema, after: Schema) -> tuple[Difference, ...]:
    """Say how a schema differs from the one before.

    Parameters
    ----------
    before, after
        Two schemas of one dataset.

    Returns
    -------
    tuple of Difference
        Those of columns that were there first, then added ones; empty when equal.

    Examples
    --------
    >>> old, new = Schema((Column(name="a", kind="text"),)), Schema(())
    >>> [found.sentence for found in differences(old, new)]
    ["column 'a' (text) is gone"]
    """
    found = [entry for column in before.columns for entry in _changed(column, after)]
    for column in after.columns:
        if before.find(column.name) is None:
            sentence = f"column {column.name!r} ({column.kind}) is new"
            found.append(_difference(column, "added", sentence))
    return tuple(found)


def is_related(one: str, other: str) -> bool:
    """Say whether columns of two kinds can stand for each other (integer and number, …)."""
    return one == other or any({one, other} <= related for related in _RELATED)


def _changed(old: Column, after: Schema) -> Iterator[Difference]:
    new = after.find(old.name)
    name = repr(old.name)
    if new is None:
        sentence = f"column {name} ({old.kind}) is gone"
        yield _difference(old, "removed", sentence, breaks=True)
        return
    if new.kind != old.kind:
        breaks = not is_related(old.kind, new.kind)
        sentence = f"column {name} was {old.kind} and is {new.kind}"
        yield _difference(old, "kind", sentence, breaks=breaks)
    if new.nullable and not old.nullable:
        yield _difference(old, "nullable", f"column {name} now has missing values")
    if unseen := sorted(
        set(new.categories or ()) - set(old.categories or new.categories or ())
    ):
        more = f" and {len(unseen) - _NAMED} more" if len(unseen) > _NAMED else ""
        shown = ", ".join(map(repr, unseen[:_NAMED])) + more
        yield _difference(old, "categories", f"column {name} has new categories: {shown}")
    if sentence := _wider(old, new):
        yield _difference(old, "range", sentence)


def _wider(old: Column, new: Column) -> str:
    if None in {old.minimum, old.maximum, new.minimum, new.maximum} or old.kind == "timestamp":
        return ""
    below = (new.minimum or 0.0) < (old.minimum or 0.0)
    above = (new.maximum or 0.0) > (old.maximum or 0.0)
    if not (below or above):
        return ""
    return (
        f"column {old.name!r} now runs from {new.minimum:g} to {new.maximum:g}; "
        f"before, from {old.minimum:g} to {old.maximum:g}"
    )


def _difference(
    column: Column, kind: str, sentence: str, *, breaks: bool = False
) -> Difference:
    return Difference(column=column.name, kind=kind, sentence=sentence, breaks=breaks)


def kind_of(values: pl.Series) -> Kind:
    """Say what kind of column it is; raises InvalidInputError when its values are not plain."""
    dtype = values.dtype
    if dtype.is_integer():
        return "integer"
    if dtype.is_float() or dtype.is_decimal():
        return "number"
    if dtype == pl.Boolean:
        return "boolean"
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return "timestamp"
    if dtype == pl.String:
        return "category" if _is_category(values) else "text"
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        return "category" if values.n_unique() <= MOST else "text"
    raise InvalidInputError(
        f"column {values.name!r} holds {dtype}, which is no plain value",
        hint="a table needs numbers, texts, booleans, dates or times",
        column=values.name,
    )


def _number(values: pl.Series) -> Column:
    infinite = values.is_infinite().fill_null(value=False)
    if infinite.any():
        first = infinite.arg_true()[0]
        raise InvalidInputError(
            f"column {values.name!r} holds an infinite value in {infinite.sum()} rows, "
            f"first in row {first}",
            hint="leave the field empty where a value is unknown",
            column=values.name,
            row=first,
        )
    finite = values.fill_nan(None)
    if finite.null_count() == len(finite):
        raise InvalidInputError(
            f"column {values.name!r} has no number in any of its {len(values)} rows",
            hint="drop the column, or mend what fills it",
            column=values.name,
        )
    return Column(
        name=values.name,
        kind="number",
        nullable=finite.null_count() > 0,
        minimum=_real(finite.min()),
        maximum=_real(finite.max()),
    )


def _is_category(values: pl.Series) -> bool:
    shown = values.drop_nulls()
    distinct = shown.n_unique()
    if distinct == len(shown) and distinct > ROWS_PER_CATEGORY // 2:
        return False  # as many as rows: a name or a key, however short the table
    return distinct <= FEW or distinct <= min(MOST, len(shown) // ROWS_PER_CATEGORY)


def _categories(values: pl.Series) -> tuple[str, ...]:
    return tuple(sorted(values.drop_nulls().cast(pl.String).unique().to_list()))


def _real(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]

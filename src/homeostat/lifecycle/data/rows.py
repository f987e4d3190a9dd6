"""The schema compiled to msgspec types: each request row is checked as training data was.

Serving compiles a version's schema once and calls the result for every row; a bad row is
refused alone, with its path. Unseen categories pass: monitoring flags them.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle.data import tables
from homeostat.lifecycle.data.entities import Column, Schema

RowReader = Callable[..., dict[str, Any]]

# An integer may come as 3.0: tensors and pandas have no other way to say it beside a gap.
_TYPES: dict[str, Any] = {
    "number": float,
    "integer": int | float,
    "boolean": bool,
    "category": str,
    "text": str,
    "timestamp": Any,  # msgspec knows no union of text and time; finished by `_instant`
}
_WORDS = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "category": "a text",
    "text": "a text",
    "timestamp": "a time such as 2026-01-31T12:00:00Z",
}
_LARGEST = 2**63
_SHOWN_CHARACTERS = 40


def compile_row(schema: Schema) -> RowReader:
    """Build the function that checks one request row.

    Parameters
    ----------
    schema
        Of the features a model takes.

    Returns
    -------
    callable
        ``read(row, index=0) -> dict``: the row with every column of the schema, in its order,
        as float, int, bool, str, naive UTC datetime or None. It raises InvalidInputError with
        the path ``rows[index].column`` when a column is unknown (naming the nearest) or
        missing, a value is of another kind, is not finite, or is null where the schema has no
        missing values. A NaN counts as missing.

    Examples
    --------
    >>> read = compile_row(Schema((Column(name="income", kind="number"),)))
    >>> read({"income": 3})
    {'income': 3.0}
    >>> read({"income": "abc"}, 3)
    Traceback (most recent call last):
    ...
    homeostat.foundation.errors.InvalidInputError: rows[3].income: expected a number, got 'abc'
    """
    names = schema.names
    fields = [
        (f"f{place}", _type(column), msgspec.field(name=column.name))
        for place, column in enumerate(schema.columns)
    ]
    form = msgspec.defstruct("Row", fields, forbid_unknown_fields=True, gc=False)
    columns = {column.name: column for column in schema.columns}
    finishers = [
        # msgspec has refused gaps already, except in a time, whose type it does not know.
        (name, finish, column.nullable or column.kind != "timestamp")
        for name, column in columns.items()
        if (finish := _finisher(column)) is not None
    ]

    def read(row: Mapping[str, Any], index: int = 0) -> dict[str, Any]:
        try:
            converted = msgspec.convert(row, form)
            values = dict(zip(names, msgspec.structs.astuple(converted), strict=True))
            for name, finish, skips_gaps in finishers:
                value = values[name]
                if value is not None or not skips_gaps:
                    values[name] = finish(value)
        except (msgspec.ValidationError, OverflowError, ValueError):
            raise _explain(row, columns, index) from None
        return values

    return read


def _type(column: Column) -> Any:
    kind = _TYPES[column.kind]
    # NaN is a float, so a number is checked for gaps when it is finished.
    return kind | None if column.nullable else kind


def _finisher(column: Column) -> Callable[[Any], Any] | None:
    """Return what makes a value of the right type the right value, or raises ValueError."""
    if column.kind == "number":
        return _gap_or_number if column.nullable else _number
    if column.kind == "integer":
        return _gap_or_integer if column.nullable else _integer
    if column.kind == "timestamp":
        return _instant
    return None


def _number(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return value


def _gap_or_number(value: float) -> float | None:
    return None if value != value else _number(value)  # noqa: PLR0124 - the fastest test for NaN


def _integer(value: float) -> int:
    whole = int(value)
    if whole != value or not -_LARGEST <= whole < _LARGEST:
        raise ValueError
    return whole


def _gap_or_integer(value: float) -> int | None:
    return None if value != value else _integer(value)  # noqa: PLR0124 - as above


def _instant(value: Any) -> dt.datetime:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if not isinstance(value, dt.date):
        raise ValueError(value)  # noqa: TRY004 - caught beside other wrong values
    if not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - naive UTC
    return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value


def _explain(row: Any, columns: dict[str, Column], index: int) -> InvalidInputError:
    """Find the first thing wrong with a row, slowly, for a sentence with its path."""
    if not isinstance(row, Mapping):
        return InvalidInputError(f"rows[{index}]: expected an object, got {_shown(row)}")
    for name in row:
        if name not in columns:
            hint = tables.nearest(str(name), list(columns))
            return _wrong(index, str(name), "unknown column", hint=hint)
    for name, column in columns.items():
        if name not in row:
            hint = "send null where it is unknown" if column.nullable else ""
            return _wrong(index, name, "this column is missing", hint=hint)
    for name, column in columns.items():
        if sentence := _complaint(row[name], column):
            return _wrong(index, name, sentence)
    return InvalidInputError(f"rows[{index}] cannot be read")


def _complaint(value: Any, column: Column) -> str:
    if value is None:
        needed = _WORDS[column.kind]
        return "" if column.nullable else f"expected {needed}, got null"
    try:
        converted = msgspec.convert(value, _TYPES[column.kind])
        finish = _finisher(column)
        if finish is not None:
            finish(converted)
    except (msgspec.ValidationError, OverflowError, ValueError):
        is_loose = isinstance(value, float) and not math.isfinite(value)
        needed = "a finite number" if is_loose else _WORDS[column.kind]
        return f"expected {needed}, got {_shown(value)}"
    return ""


def _wrong(index: int, name: str, sentence: str, *, hint: str = "") -> InvalidInputError:
    path = f"rows[{index}].{name}"
    return InvalidInputError(f"{path}: {sentence}", hint=hint, path=path)


def _shown(value: Any) -> str:
    text = repr(value)
    cut = len(text) > _SHOWN_CHARACTERS
    return f"{text[:_SHOWN_CHARACTERS]}…" if cut else text

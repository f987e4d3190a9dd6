"""One value of each kind: what it may be, and what it becomes; used by `rows`."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

from homeostat.lifecycle.data.entities import Column

# An integer may come as 3.0: tensors and pandas have no other way to say it beside a gap.
TYPES: dict[str, Any] = {
    "number": float,
    "integer": int | float,
    "boolean": bool,
    "category": str,
    "text": str,
    "timestamp": Any,  # msgspec knows no union of text and time; finished by `_instant`
}
# What a value of a kind most often is; a column of nothing else needs no conversion.
PLAIN: dict[str, type] = {
    "number": float,
    "integer": int,
    "boolean": bool,
    "category": str,
    "text": str,
}
WORDS = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "category": "a text",
    "text": "a text",
    "timestamp": "a time such as 2026-01-31T12:00:00Z",
}
LARGEST = 2**63


def finisher(column: Column) -> Callable[[Any], Any] | None:
    """Return what makes a value of the right type the right value, or raises ValueError.

    Parameters
    ----------
    column
        Of any kind.

    Returns
    -------
    callable or None
        None where every value of the type is right.
    """
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
    if whole != value or not -LARGEST <= whole < LARGEST:
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


def converter(column: Column) -> Callable[[Any], Any]:
    """Return what converts one value of the usual types, or raises ValueError on any doubt.

    Parameters
    ----------
    column
        Of any kind.

    Returns
    -------
    callable
        For a value as JSON gives it; a gap stays None where the column may have gaps.
    """
    strict = _USUAL[column.kind]
    if not column.nullable:
        return strict
    if column.kind == "number":
        return _usual_gap_or_number
    may_be_nan = column.kind == "integer"

    def convert(value: Any) -> Any:
        # The fastest test for NaN is that it differs from itself.
        if value is None or (may_be_nan and value != value):  # noqa: PLR0124
            return None
        return strict(value)

    return convert


def _usual_number(value: Any) -> float:
    if type(value) is float:
        if value - value == 0.0:
            return value
    elif type(value) is int:
        return float(value)
    raise ValueError


def _usual_gap_or_number(value: Any) -> float | None:
    if type(value) is float:
        if value - value == 0.0:
            return value
        return _gap_or_number(value)
    if type(value) is int:
        return float(value)
    if value is None:
        return None
    raise ValueError


def _usual_integer(value: Any) -> int:
    if type(value) is int or type(value) is float:
        return _integer(value)
    raise ValueError


def _usual_boolean(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise ValueError


def _usual_text(value: Any) -> str:
    if type(value) is str:
        return value
    raise ValueError


_USUAL: dict[str, Callable[[Any], Any]] = {
    "number": _usual_number,
    "integer": _usual_integer,
    "boolean": _usual_boolean,
    "category": _usual_text,
    "text": _usual_text,
    "timestamp": _instant,
}

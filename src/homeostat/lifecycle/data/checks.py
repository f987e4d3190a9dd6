"""Checks on tables: what must hold, and what was seen; run when a snapshot is added.

Thin functions on Polars: each returns the rows in which the check does not hold, so a failing
case can be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import polars as pl

from homeostat.foundation import clock
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.data import tables
from homeostat.lifecycle.data.entities import Check, CheckResult, Column, Schema

_SHOWN_ROWS = 10
_SHOWN_VALUES = 5


def derive(
    schema: Schema, *, key: str | None = None, time: str | None = None
) -> tuple[Check, ...]:
    """Return the checks a schema implies for the next table.

    Parameters
    ----------
    schema
        Of the snapshot before, or of the table itself when it is the first. Values may go
        beyond its bounds by as much as the bounds are apart, and not below zero for the first
        time.
    key
        Column that identifies rows: no gaps, no value twice.
    time
        Column that orders rows: no gaps, never backwards.

    Returns
    -------
    tuple of Check
        The table's first, then each column's in order.
    """
    found = [Check(kind="row-count", minimum=1)]
    if key is not None:
        found.append(Check(kind="key", column=key))
    if time is not None:
        found.append(Check(kind="time-order", column=time))
    for column in schema.columns:
        found += _implied(column, is_open=column.name in {key, time})
    return tuple(found)


def run(
    frame: pl.DataFrame,
    schema: Schema,
    checks: Iterable[Check],
    *,
    now_at: int | None = None,
) -> tuple[CheckResult, ...]:
    """Look at a table.

    Parameters
    ----------
    frame
        At least one row.
    schema
        What its columns were taken to be.
    checks
        What must hold, in the order of the results.
    now_at
        The instant freshness is measured from; milliseconds UTC, now when None.

    Returns
    -------
    tuple of CheckResult
        One for each check.

    Raises
    ------
    InvalidInputError
        When a check names a column neither the table nor the schema has.
    """
    instant = clock.now_ms() if now_at is None else now_at
    return tuple(_run_one(frame, schema, check, instant) for check in checks)


def _implied(column: Column, *, is_open: bool) -> list[Check]:
    """Return the checks of one column; an open one (key, time) has new values each time."""
    name = column.name
    found = [Check(kind="type", column=name)]
    if not column.nullable:
        found.append(Check(kind="no-nulls", column=name))
    if column.kind == "number":
        found.append(Check(kind="finite", column=name))
    if is_open:
        return found
    if column.minimum is not None and column.maximum is not None and column.kind != "timestamp":
        low, high = _allowed(column.minimum, column.maximum)
        found.append(Check(kind="range", column=name, minimum=low, maximum=high))
    if column.categories is not None:
        found.append(Check(kind="categories", column=name, values=column.categories))
    return found


def _allowed(low: float, high: float) -> tuple[float, float]:
    """Return bounds one range wider on either side: new rows go a little beyond old ones.

    A change of unit leaves them all the same; and what was never negative must not become so.
    """
    wide = high - low
    return (0.0 if 0 <= low < wide else low - wide), high + wide


def _run_one(frame: pl.DataFrame, schema: Schema, check: Check, now_at: int) -> CheckResult:
    if check.kind == "row-count":
        return _row_count(frame, check)
    name = check.column or ""
    if name not in frame.columns:
        if schema.find(name) is None:
            tables.need_column(frame.columns, name, role="checked")
        return CheckResult(check=check, passed=False, sentence=f"column {name!r} is gone")
    if check.kind == "type":
        return _type(frame[name], schema, check)
    if check.kind == "freshness":
        return _freshness(frame[name], check, now_at)
    failing, needed = _BY_ROW[check.kind](frame[name], check)
    return _by_row(frame[name], check, failing, needed)


def _row_count(frame: pl.DataFrame, check: Check) -> CheckResult:
    low = check.minimum if check.minimum is not None else 0.0
    high = check.maximum if check.maximum is not None else float("inf")
    passed = low <= frame.height <= high
    sentence = f"{frame.height} rows; needed are {low:g} to {high:g}"
    return CheckResult(check=check, passed=passed, sentence=sentence)


def _type(values: pl.Series, schema: Schema, check: Check) -> CheckResult:
    column = schema.find(values.name)
    seen = "nothing" if values.null_count() == len(values) else schemas.kind_of(values)
    needed = column.kind if column is not None else seen
    passed = schemas.is_related(seen, needed)
    sentence = f"column {values.name!r} is {seen}" + ("" if passed else f", needed is {needed}")
    return CheckResult(check=check, passed=passed, sentence=sentence)


def _freshness(values: pl.Series, check: Check, now_at: int) -> CheckResult:
    newest = schemas.as_milliseconds(values).max()
    allowed = check.max_age_s or 0.0
    if newest is None:
        return CheckResult(check=check, passed=False, sentence=f"{values.name!r} has no time")
    age_s = (now_at - float(newest)) / 1000  # type: ignore[arg-type]
    sentence = f"the newest {values.name!r} is {age_s:.0f} s old; allowed are {allowed:.0f} s"
    return CheckResult(check=check, passed=age_s <= allowed, sentence=sentence)


def _by_row(values: pl.Series, check: Check, failing: pl.Series, needed: str) -> CheckResult:
    rows = failing.fill_null(value=False).arg_true()
    name = values.name
    if not len(rows):
        return CheckResult(check=check, passed=True, sentence=f"column {name!r}: {needed}")
    first = int(rows[0])
    sentence = (
        f"column {name!r}: {needed}, but {len(rows)} of {len(values)} rows are not so; "
        f"first row {first} with {values[first]!r}"
    )
    return CheckResult(
        check=check,
        passed=False,
        sentence=sentence,
        n_failing=len(rows),
        rows=tuple(rows[:_SHOWN_ROWS].to_list()),
    )


def _nulls(values: pl.Series, _check: Check) -> tuple[pl.Series, str]:
    return missing(values), "no value is missing"


def _finite(values: pl.Series, _check: Check) -> tuple[pl.Series, str]:
    if not values.dtype.is_float():
        return pl.repeat(value=False, n=len(values), eager=True), "all values are finite"
    return values.is_infinite(), "all values are finite"


def _range(values: pl.Series, check: Check) -> tuple[pl.Series, str]:
    low = check.minimum if check.minimum is not None else float("-inf")
    high = check.maximum if check.maximum is not None else float("inf")
    numbers = schemas.as_milliseconds(values) if values.dtype.is_temporal() else values
    failing = (numbers < low) | (numbers > high) if numbers.dtype.is_numeric() else None
    if failing is None:
        failing = pl.repeat(value=True, n=len(values), eager=True)
    return failing & ~missing(values), f"values are from {low:g} to {high:g}"


def _categories(values: pl.Series, check: Check) -> tuple[pl.Series, str]:
    allowed = list(check.values or ())
    failing = ~values.cast(pl.String).is_in(allowed)
    shown = ", ".join(map(repr, allowed[:_SHOWN_VALUES]))
    more = f" and {len(allowed) - _SHOWN_VALUES} more" if len(allowed) > _SHOWN_VALUES else ""
    return failing & values.is_not_null(), f"values are {shown}{more}"


def _unique(values: pl.Series, _check: Check) -> tuple[pl.Series, str]:
    return values.is_duplicated() & values.is_not_null(), "no value comes twice"


def _key(values: pl.Series, _check: Check) -> tuple[pl.Series, str]:
    return values.is_duplicated() | missing(values), "every row has a key of its own"


def _time_order(values: pl.Series, _check: Check) -> tuple[pl.Series, str]:
    backwards = (values < values.shift(1)).fill_null(value=False)
    return backwards | missing(values), "time never runs backwards"


def missing(values: pl.Series) -> pl.Series:
    """Say for each row whether its value is missing: null, or NaN in a column of numbers."""
    absent = values.is_null()
    return (
        absent | values.is_nan().fill_null(value=False) if values.dtype.is_float() else absent
    )


_BY_ROW: dict[str, Callable[[pl.Series, Check], tuple[pl.Series, str]]] = {
    "no-nulls": _nulls,
    "finite": _finite,
    "range": _range,
    "categories": _categories,
    "unique": _unique,
    "key": _key,
    "time-order": _time_order,
}

"""Rows as CSV, with types by the schema; read by `invocations` and `labelling`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any, Final

from homeostat.doors.predict import asked
from homeostat.foundation import errors
from homeostat.lifecycle.serving import served

_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


def read(body: bytes, kinds: Mapping[str, str]) -> asked.Asked:
    """Read a table.

    Parameters
    ----------
    body
        UTF-8, separated by commas, names in the first line; an empty field is a gap.
    kinds
        Kind of each feature by name; a field that is not of its kind stays text, for the
        schema to refuse. Other columns are text.

    Returns
    -------
    Asked
        Its columns.

    Raises
    ------
    InvalidInputError
        When it is no CSV, is ragged, or names a column twice.
    TooLargeError
        When there are more rows than one request may score.
    """
    names, rows = table(body, most=served.ROWS_AT_MOST)
    columns = [
        [convert(field) for field in column]
        for convert, column in zip(
            [_CONVERTERS.get(kinds.get(name, ""), _text) for name in names],
            zip(*rows, strict=True) if rows else [()] * len(names),
            strict=True,
        )
    ]
    return asked.Asked(names, columns, len(rows))


def table(body: bytes, *, most: int) -> tuple[list[str], list[list[str]]]:
    """Read names and fields.

    Parameters
    ----------
    body
        As `read` takes it.
    most
        Rows that are taken.

    Returns
    -------
    tuple
        Names, and rows of as many fields each; empty lines are left out.

    Raises
    ------
    InvalidInputError, TooLargeError
        As `read` says.
    """
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        names = next(lines, [])
        if not names or len(set(names)) != len(names):
            raise errors.InvalidInputError(
                "the first line of a CSV gives every column one name; "
                f"seen {', '.join(names)[:200] or 'nothing'}"
            )
        rows: list[list[str]] = []
        for row in lines:
            if not row:
                continue
            if len(row) != len(names):
                raise errors.InvalidInputError(
                    f"rows[{len(rows)}]: {len(row)} fields for {len(names)} columns"
                )
            if len(rows) == most:
                raise errors.TooLargeError(
                    f"one request has up to {most} rows; seen more", hint="send them in parts"
                )
            rows.append(row)
    except UnicodeDecodeError:
        raise errors.InvalidInputError("the body: is no UTF-8") from None
    except csv.Error as error:
        raise errors.InvalidInputError(f"the body: is no CSV: {error}") from None
    return names, rows


def _number(field: str) -> Any:
    return _converted(field, float)


def _integer(field: str) -> Any:
    value = _converted(field, int)
    return _converted(field, float) if isinstance(value, str) else value


def _converted(field: str, kind: Callable[[str], Any]) -> Any:
    if not field.strip():
        return None
    if "_" in field:  # Python reads 1_000 as a number
        return field
    try:
        return kind(field)
    except ValueError:
        return field


def _boolean(field: str) -> Any:
    return _BOOLEANS.get(field.strip().lower(), field or None)


def _text(field: str) -> Any:
    return field or None


_CONVERTERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
}

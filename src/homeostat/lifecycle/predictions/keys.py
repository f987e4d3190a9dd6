"""What a prediction is known by, and its label is joined by: one rule for all ways it comes in.

Called by the doors for keys given beside the rows and with labels, and by `serving` for those
in the column that the policy names as key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeostat.foundation import errors
from homeostat.lifecycle.predictions.entities import LONGEST_KEY


def text(value: Any, *, where: str) -> str:
    """Return a key as text.

    Parameters
    ----------
    value
        A text or a whole number.
    where
        The place in the request, for the message.

    Returns
    -------
    str
        1 to 1000 characters; a number such as 42.0 is 42, as labels and other callers write it.

    Raises
    ------
    InvalidInputError
        When it is neither, is empty, which would join strangers, or too long; names `where`.

    Examples
    --------
    >>> text(42.0, where="keys[0]")
    '42'
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise errors.InvalidInputError(
            f"{where}: expected a text or a whole number as key, got {repr(value)[:40]}",
            path=where,
        )
    found = str(value)
    if not 0 < len(found) <= LONGEST_KEY:
        raise errors.InvalidInputError(
            f"{where}: a key has 1 to {LONGEST_KEY} characters; seen {len(found)}", path=where
        )
    return found


def of_column(values: Sequence[Any], *, column: str, first_row: int = 0) -> list[str | None]:
    """Return the keys of rows from the column that holds them.

    Parameters
    ----------
    values
        One per row, as they came.
    column
        Its name, for the message.
    first_row
        Number of the first row, from 0, for the message.

    Returns
    -------
    list
        None where there is no value; a NaN is none.

    Raises
    ------
    InvalidInputError
        When a value is no key; names its path such as ``rows[3].customer``.
    """
    return [
        value
        if type(value) is str and 0 < len(value) <= LONGEST_KEY
        else None
        if value is None or value != value  # noqa: PLR0124 - a NaN
        else text(value, where=f"rows[{at}].{column}")
        for at, value in enumerate(values, first_row)
    ]


def of_rows(
    named: list[str],
    given: Sequence[str | None] | None,
    found: Sequence[Any] | None,
    *,
    column: str,
) -> list[str]:
    """Return what rows are known by: the key given, else the key column, else their id.

    Parameters
    ----------
    named
        Their ids.
    given, found
        What was said beside the rows, and what stands in the column, if anything.
    column
        Its name, for the message.

    Raises
    ------
    InvalidInputError
        When a value of the column is no key, unless every row was given one.
    """
    if found is not None and (given is None or None in given):
        named = _first(of_column(found, column=column), named)
    return named if given is None else _first(given, named)


def _first(some: Sequence[str | None], others: Sequence[str]) -> list[str]:
    return [b if a is None else a for a, b in zip(some, others, strict=True)]

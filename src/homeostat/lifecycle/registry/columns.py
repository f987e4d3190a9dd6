"""Rows as an estimator wants them: a float matrix or a table; one rule for fitting and serving.

Only numpy at import, as prediction workers import this: pandas is loaded when an estimator was
fitted by column name, and a Polars frame is known by what it can do.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from homeostat.foundation import errors
from homeostat.lifecycle.data.entities import Column, Schema

Floats = NDArray[np.float64]


class Frame(Protocol):
    """A table as Polars has it."""

    @property
    def columns(self) -> list[str]:
        """Names of its columns."""

    def get_column(self, name: str) -> Any:
        """Return a column, with `to_list`."""


Rows = Mapping[str, Sequence[Any]] | Frame

EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - rows carry naive UTC instants
TEXTS = frozenset({"category", "text"})


def lists(rows: Rows, schema: Schema) -> dict[str, Sequence[Any]]:
    """Return the columns of `schema` in its order, each of one length.

    Parameters
    ----------
    rows
        Columns by name; more than those of `schema` are ignored.
    schema
        Of the features.

    Returns
    -------
    dict
        Name to values.

    Raises
    ------
    InvalidInputError
        When a column is missing or lengths differ.
    """
    known = rows if isinstance(rows, Mapping) else rows.columns
    missing = [name for name in schema.names if name not in known]
    if missing:
        raise errors.InvalidInputError(
            f"the rows have no column {missing[0]!r}, which the model needs",
            column=missing[0],
        )
    if not isinstance(rows, Mapping):
        return {name: rows.get_column(name).to_list() for name in schema.names}
    found = {name: rows[name] for name in schema.names}
    sizes = {len(values) for values in found.values()}
    if len(sizes) > 1:
        raise errors.InvalidInputError(f"columns differ in length: {sorted(sizes)}")
    return found


def matrix(rows: Rows, schema: Schema) -> Floats:
    """Return rows as numbers, for estimators without column names.

    Parameters
    ----------
    rows, schema
        As for `lists`.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, k)`` in the order of the schema. A category is its place in
        ``categories`` (NaN when not among them), true is 1, an instant is milliseconds UTC,
        missing is NaN.

    Raises
    ------
    InvalidInputError
        When a column is missing, or free text has no number.
    """
    columns = lists(rows, schema)
    made = [numbers(columns[column.name], column) for column in schema.columns]
    return np.column_stack(made) if made else np.empty((0, 0))


def numbers(values: Sequence[Any], column: Column) -> Floats:
    """Return one column as numbers, by the rule of `matrix`."""
    if column.kind in TEXTS:
        if column.categories is None:
            raise errors.InvalidInputError(
                f"column {column.name!r} is free text, which this estimator cannot take",
                column=column.name,
            )
        places = {name: float(place) for place, name in enumerate(column.categories)}
        return np.array([places.get(value, np.nan) for value in values], dtype=np.float64)
    if column.kind == "timestamp":
        return np.array([_milliseconds(value) for value in values], dtype=np.float64)
    # numpy turns None into NaN, true into 1.
    return np.array(values, dtype=np.float64)


def table(rows: Rows, schema: Schema) -> Any:
    """Return rows as a pandas table, for estimators fitted by column name.

    Parameters
    ----------
    rows, schema
        As for `lists`.

    Returns
    -------
    pandas.DataFrame
        Numbers as float64 where a value may be missing, categories and text as objects with
        None for missing.

    Raises
    ------
    InvalidInputError
        When a column is missing.
    """
    import pandas as pd  # noqa: PLC0415 - the server stays light

    columns = lists(rows, schema)
    made = {column.name: _typed(columns[column.name], column) for column in schema.columns}
    return pd.DataFrame(made, copy=False)


def _typed(values: Sequence[Any], column: Column) -> NDArray[Any]:
    if column.kind in TEXTS:
        made = np.empty(len(values), dtype=object)
        made[:] = list(values)
        return made
    if column.kind == "timestamp":
        return np.array(values, dtype="datetime64[ms]")
    if column.nullable or any(value is None for value in values):
        return np.array(values, dtype=np.float64)
    kinds: dict[str, Any] = {"integer": np.int64, "boolean": np.bool_, "number": np.float64}
    return np.array(values, dtype=kinds[column.kind])


def _milliseconds(value: Any) -> float:
    if value is None:
        return np.nan
    if isinstance(value, dt.datetime):
        plain = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        return (plain - EPOCH).total_seconds() * 1000.0
    return float(value)

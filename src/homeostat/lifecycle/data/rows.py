"""The schema compiled: what a request holds is checked as training data was.

Serving compiles a version's schema once and calls the result for every request; a bad row is
refused alone, with its path. Columns are the fast way, rows the one that finds the sentence.
Categories never seen in training pass both; `unseen` names them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle.data import kinds, naming
from homeostat.lifecycle.data.entities import Column, Schema

RowReader = Callable[..., dict[str, Any]]
ColumnsReader = Callable[[Sequence[str], Sequence[Sequence[Any]], int], list[list[Any]]]

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
        if (finish := kinds.finisher(column)) is not None
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


def compile_columns(schema: Schema) -> ColumnsReader:
    """Build the function that checks the columns of a request, which is how they are scored.

    Parameters
    ----------
    schema
        Of the features a model takes.

    Returns
    -------
    callable
        ``read(names, columns, n_rows) -> columns``: those of the schema, in its order, each a
        list of `n_rows` values as `compile_row` types them. It accepts and refuses what
        `compile_row` does, with the same sentences, whatever the order of `names`.

    Examples
    --------
    >>> read = compile_columns(Schema((Column(name="income", kind="number"),)))
    >>> read(["income"], [[3, 4.5]], 2)
    [[3.0, 4.5]]
    >>> read(["income"], [[3, "abc"]], 2)
    Traceback (most recent call last):
    ...
    homeostat.foundation.errors.InvalidInputError: rows[1].income: expected a number, got 'abc'
    """
    in_list, in_tuple = list(schema.names), schema.names
    known = {column.name: column for column in schema.columns}
    plain = [kinds.PLAIN.get(column.kind) for column in schema.columns]
    numbers = [at for at, kind in enumerate(plain) if kind is float]
    integers = [at for at, kind in enumerate(plain) if kind is int]
    converters = [kinds.converter(column) for column in schema.columns]
    by_column = list(zip(plain, converters, strict=True))
    read_row = compile_row(schema)
    largest = kinds.LARGEST

    def read(
        names: Sequence[str], columns: Sequence[Sequence[Any]], n_rows: int
    ) -> list[list[Any]]:
        if names not in (in_list, in_tuple):
            columns = _ordered(names, columns, known)
        try:
            if n_rows != 1:
                return [
                    _read_column(column, n_rows, kind, convert)
                    for column, (kind, convert) in zip(columns, by_column, strict=True)
                ]
            row = [value for (value,) in columns]
            # One row is most requests: types are compared all at once, numbers summed.
            if (
                list(map(type, row)) == plain
                and math.isfinite(sum([row[at] for at in numbers]))
                and all([-largest <= row[at] < largest for at in integers])  # noqa: C419 - a list is faster
            ):
                return [[value] for value in row]
            return [[convert(value)] for convert, value in zip(converters, row, strict=True)]
        except (OverflowError, ValueError):
            return _by_rows(in_list, columns, n_rows, read_row)

    return read


def compile_unseen(
    schema: Schema,
) -> Callable[[Sequence[Sequence[Any]]], dict[str, list[str]]]:
    """Build the function that finds categories which training never saw.

    Parameters
    ----------
    schema
        Of the features a model takes.

    Returns
    -------
    callable
        ``find(columns) -> dict``, for columns as `compile_columns` returns them: by the name of
        a column the values that are none of its categories, in order, each once. Empty when all
        were seen; a column whose categories are not known has none.

    Examples
    --------
    >>> region = Column(name="region", kind="category", categories=("north", "south"))
    >>> compile_unseen(Schema((region,)))([["north", "moon", "moon"]])
    {'region': ['moon']}
    """
    known = _categories(schema)

    def find(columns: Sequence[Sequence[Any]]) -> dict[str, list[str]]:
        return {
            name: [value for value in dict.fromkeys(columns[at]) if value not in categories]
            for at, name, categories in known
            if not categories.issuperset(columns[at])
        }

    return find


def compile_seen(schema: Schema) -> Callable[[Sequence[Any]], bool]:
    """Build the function that tells whether training saw every category of a row.

    Parameters
    ----------
    schema
        Of the features a model takes.

    Returns
    -------
    callable
        ``is_seen(row) -> bool``, for the values of one row in the order of the schema; False
        where the function of `compile_unseen` finds something.

    Examples
    --------
    >>> region = Column(name="region", kind="category", categories=("north", "south"))
    >>> compile_seen(Schema((region,)))(["north"])
    True
    """
    known = [(at, categories) for at, _, categories in _categories(schema)]

    def is_seen(row: Sequence[Any]) -> bool:
        for at, categories in known:  # noqa: SIM110 - a generator costs more than it asks
            if row[at] not in categories:
                return False
        return True

    return is_seen


def _categories(schema: Schema) -> list[tuple[int, str, frozenset[Any]]]:
    """Return place, name and what may come of each column whose categories are known."""
    return [
        (at, column.name, frozenset({*column.categories, None}))
        for at, column in enumerate(schema.columns)
        if column.kind == "category" and column.categories
    ]


def _ordered(
    names: Sequence[str], columns: Sequence[Sequence[Any]], known: Mapping[str, Column]
) -> list[Sequence[Any]]:
    """Bring columns into the order of the schema, or refuse their names."""
    given = dict(zip(names, columns, strict=True))
    if len(given) != len(names):
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise InvalidInputError(f"column {twice!r} comes twice", path=twice)
    if given.keys() != known.keys():
        raise _explain(dict.fromkeys(names), known, 0)
    return [given[name] for name in known]


def _read_column(
    column: Sequence[Any], n_rows: int, kind: type | None, convert: Callable[[Any], Any]
) -> list[Any]:
    if len(column) != n_rows:
        raise ValueError
    seen = set(map(type, column))
    if kind is float and seen <= {float, int}:
        values = list(map(float, column))
        if math.isfinite(sum(values)):
            return values
    elif seen == {kind} and (
        kind is not int or (min(column) >= -kinds.LARGEST and max(column) < kinds.LARGEST)
    ):
        return list(column)
    return [convert(value) for value in column]


def _by_rows(
    names: list[str], columns: Sequence[Sequence[Any]], n_rows: int, read_row: RowReader
) -> list[list[Any]]:
    """Read values of unusual types, or find the sentence for the first that is wrong."""
    for name, column in zip(names, columns, strict=True):
        if len(column) != n_rows:
            raise InvalidInputError(
                f"column {name!r} has {len(column)} values for {n_rows} rows", path=name
            )
    found = [
        read_row(dict(zip(names, values, strict=True)), at)
        for at, values in enumerate(zip(*columns, strict=True))
    ]
    return [[row[name] for row in found] for name in names]


def _type(column: Column) -> Any:
    kind = kinds.TYPES[column.kind]
    # NaN is a float, so a number is checked for gaps when it is finished.
    return kind | None if column.nullable else kind


def _explain(row: Any, columns: Mapping[str, Column], index: int) -> InvalidInputError:
    """Find the first thing wrong with a row, slowly, for a sentence with its path."""
    if not isinstance(row, Mapping):
        return InvalidInputError(f"rows[{index}]: expected an object, got {_shown(row)}")
    for name in row:
        if name not in columns:
            hint = naming.nearest(str(name), list(columns))
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
        needed = kinds.WORDS[column.kind]
        return "" if column.nullable else f"expected {needed}, got null"
    try:
        converted = msgspec.convert(value, kinds.TYPES[column.kind])
        finish = kinds.finisher(column)
        if finish is not None:
            finish(converted)
    except (msgspec.ValidationError, OverflowError, ValueError):
        is_loose = isinstance(value, float) and not math.isfinite(value)
        needed = "a finite number" if is_loose else kinds.WORDS[column.kind]
        return f"expected {needed}, got {_shown(value)}"
    return ""


def _wrong(index: int, name: str, sentence: str, *, hint: str = "") -> InvalidInputError:
    path = f"rows[{index}].{name}"
    return InvalidInputError(f"{path}: {sentence}", hint=hint, path=path)


def _shown(value: Any) -> str:
    text = repr(value)
    cut = len(text) > _SHOWN_CHARACTERS
    return f"{text[:_SHOWN_CHARACTERS]}…" if cut else text

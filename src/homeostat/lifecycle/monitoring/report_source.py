"""The two tables of a drift report, read one column or less at a time; called by `report`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from polars import selectors

from homeostat.foundation import errors

_PARQUET = b"PAR1"
_ARROW = b"ARROW1"
_TWICE = "_duplicated_0"  # what Polars calls the second column of a name in a CSV file
_OTHERS = (".parquet", ".pq", ".arrow", ".feather", ".ipc")
_GIVE = "give a Parquet or an Arrow file, or a CSV file with a line of names"
_PIECE_ROWS = 1_048_576  # the usual row groups are no longer


class Table(NamedTuple):
    """Names of the columns, rows, and a function that reads one column, from row to row."""

    names: tuple[str, ...]
    n_rows: int
    read: Callable[[str, int, int], pl.Series]

    def column(self, name: str) -> pl.Series:
        """Read one column."""
        return self.read(name, 0, self.n_rows)

    def pieces(self, name: str) -> Iterator[pl.Series]:
        """Read one column, some rows at a time; at least one piece."""
        for start in range(0, max(1, self.n_rows), _PIECE_ROWS):
            yield self.read(name, start, min(_PIECE_ROWS, self.n_rows - start))


def open_table(given: Any, *, role: str) -> Table:
    """Open a table without reading it, where that is possible.

    Parameters
    ----------
    given
        Path of a Parquet, Arrow or CSV file; Polars, pandas or Arrow table; columns by name.
    role
        What the caller calls it (``reference``, ``current``), for messages.

    Returns
    -------
    Table
        Parquet files are read when they are asked for, so memory holds one column or less.

    Raises
    ------
    InvalidInputError
        When it is none of these, the file cannot be read, or two columns have one name.
    """
    if isinstance(given, str | Path):
        return _file(Path(given), role)
    if isinstance(given, pl.LazyFrame):
        given = given.collect()
    if isinstance(given, pl.DataFrame):
        return _frame(given)
    if isinstance(given, Mapping):
        return _frame(pl.DataFrame(given, strict=False))
    if hasattr(given, "iloc") and hasattr(given, "columns"):
        _need_once([str(name) for name in given.columns], role)
        return _pandas_table(given)
    if hasattr(given, "__arrow_c_stream__") or hasattr(given, "__arrow_c_array__"):
        _need_once(getattr(given, "column_names", ()), role)
        return _frame(pl.DataFrame(given))
    raise errors.InvalidInputError(
        f"the {role} table is a {type(given).__name__}; needed is a path of a Parquet, Arrow "
        "or CSV file, or a Polars, pandas or Arrow table"
    )


def _need_once(names: Sequence[str], role: str) -> None:
    """Refuse two columns of one name: nobody could say which one is meant."""
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise errors.InvalidInputError(
            f"the {role} table has several columns named {twice[0]!r}; each needs its own name"
        )


def _frame(frame: pl.DataFrame) -> Table:
    def read(name: str, start: int, n: int) -> pl.Series:
        return frame.get_column(name).slice(start, n)

    return Table(tuple(frame.columns), frame.height, read)


def _pandas_table(given: Any) -> Table:
    names = tuple(str(name) for name in given.columns)
    places = {name: i for i, name in enumerate(names)}
    newest: dict[str, pl.Series] = {}

    def read(name: str, start: int, n: int) -> pl.Series:
        column = given.iloc[:, places[name]]
        if not _is_plain(column):
            return _pandas(column.iloc[start : start + n], name)
        if name not in newest:  # all values together say what type they have; asked once
            newest.clear()
            newest[name] = _pandas(column, name)
        return newest[name].slice(start, n)

    return Table(names, len(given), read)


def _is_plain(column: Any) -> bool:
    """Say whether a pandas column holds any objects, so that its values tell their type."""
    return str(column.dtype) == "object"


def _pandas(column: Any, name: str) -> pl.Series:
    plain = _is_plain(column)
    try:
        return pl.Series(name, column.tolist() if plain else column)
    except (TypeError, ValueError, pl.exceptions.PolarsError):  # values of several types
        known = column.notna().tolist()
        values = zip(column.tolist(), known, strict=True)
        return pl.Series(name, [str(value) if is_known else None for value, is_known in values])


def _csv(path: Path, role: str) -> pl.DataFrame:
    if path.suffix.lower() in _OTHERS:
        raise errors.InvalidInputError(
            f"the {role} table {str(path)!r} is not what its name says it is", hint=_GIVE
        )
    found = pl.read_csv(path, infer_schema_length=None)
    stems = (name.removesuffix(_TWICE) for name in found.columns if name.endswith(_TWICE))
    _need_once([*found.columns, *(name for name in stems if name in found.columns)], role)
    return found


def _file(path: Path, role: str) -> Table:
    try:
        with path.open("rb") as opened:
            begin = opened.read(len(_ARROW))
        if begin == _ARROW:
            return _frame(pl.read_ipc(path))
        if not begin.startswith(_PARQUET):
            return _frame(_csv(path, role))
        scanned = pl.scan_parquet(path, use_statistics=False)  # its footer is read once
        n_rows = scanned.select(pl.len()).collect().item()
        names = tuple(pl.read_parquet_schema(path))
    except (OSError, pl.exceptions.PolarsError) as broken:
        raise errors.InvalidInputError(
            f"the {role} table {str(path)!r} cannot be read: {broken}",
            hint=_GIVE,
        ) from broken

    def part(name: str, start: int, n: int) -> pl.Series:
        picked = scanned.select(selectors.by_name(name))
        return picked.slice(start, n).collect().get_column(name)

    return Table(names, n_rows, part)

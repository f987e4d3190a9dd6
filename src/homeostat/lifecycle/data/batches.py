"""Tables of any size, batch by batch in bounded memory; batch scoring reads them.

Parquet is read row group by row group, CSV block by block as text: what a column of it means is
for the schema of a model to say, which `values` does.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import blake3
import polars as pl

from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle.data import separated, tables

_BLOCK_BYTES = 4 * 1024 * 1024
_HEAD_BYTES = 1024 * 1024
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


class Batch(NamedTuple):
    """Rows that follow each other in their table.

    `first_row` counts from 0 over all files; `share` is how much of the table is read, 0 to 1.
    """

    frame: pl.DataFrame
    first_row: int
    share: float


class Source:
    """The files of one table.

    Parameters
    ----------
    paths
        At least one, read in this order; all with the same columns.

    Attributes
    ----------
    columns
        Names, in the order of the first file.
    is_text
        Whether the values are text, as in a CSV.
    n_rows
        Where the files say so without being read; else None.

    Raises
    ------
    NotFoundError
        When a file is not there.
    InvalidInputError
        When one is of unknown format, unreadable, or has other columns than the first.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        opened = [_open(path) for path in self.paths]
        self.columns = opened[0].columns
        for one in opened:
            if set(one.columns) != set(self.columns):
                odd = sorted(set(one.columns) ^ set(self.columns))
                raise InvalidInputError(
                    f"{one.path} and {self.paths[0]} do not have the same columns: "
                    f"{', '.join(odd)[:400]}"
                )
        kinds = {one.kind for one in opened}
        if len(kinds) > 1:
            raise InvalidInputError(
                f"one table is of one format; seen {', '.join(sorted(kinds))}"
            )
        self.is_text = kinds <= {"csv", "tsv"}
        counts = [one.n_rows for one in opened]
        self.n_rows = None if None in counts else sum(one or 0 for one in counts)
        self._size_bytes = [max(path.stat().st_size, 1) for path in self.paths]

    def batches(self, n_rows: int, *, columns: Sequence[str] | None = None) -> Iterator[Batch]:
        """Read the rows in order.

        Parameters
        ----------
        n_rows
            At most so many in a batch, 1 or more.
        columns
            Only these; all when None.

        Yields
        ------
        Batch
            With at least one row.

        Raises
        ------
        InvalidInputError
            When a file turns out to be cut, ragged or otherwise unreadable.
        """
        wanted = list(self.columns if columns is None else columns)
        row, before = 0, 0
        for path, size in zip(self.paths, self._size_bytes, strict=True):
            for frame, share in _read(path, wanted, n_rows):
                read = (before + share * size) / sum(self._size_bytes)
                for start in range(0, frame.height, n_rows):
                    part = frame.slice(start, n_rows)
                    yield Batch(part, row, read)
                    row += part.height
            before += size

    def digest(self) -> str:
        """Return the BLAKE3 of the bytes of the file; of several, that of their digests."""
        found = [digest(path) for path in self.paths]
        if len(found) == 1:
            return found[0]
        return blake3.blake3("\n".join(found).encode()).hexdigest()


def digest(path: Path) -> str:
    """Return the BLAKE3 of a file's bytes, in hexadecimal."""
    hasher = blake3.blake3()
    with path.open("rb") as file:
        while piece := file.read(_BLOCK_BYTES):
            hasher.update(piece)
    return hasher.hexdigest()


def values(column: pl.Series, kind: str, *, is_text: bool) -> list[Any]:
    """Return a column's values as a request would bring them.

    Parameters
    ----------
    column
        Of a batch.
    kind
        What the model's schema says it is.
    is_text
        Whether it comes from a CSV: then numbers and booleans are read out of the text, and
        what cannot be read stays text, to be refused with its value.

    Returns
    -------
    list
        None where nothing is.

    Examples
    --------
    >>> values(pl.Series(["1.5", "", "abc"]), "number", is_text=True)
    [1.5, None, 'abc']
    """
    if not is_text:
        plain = column.cast(pl.Float64) if column.dtype.is_decimal() else column
        return plain.to_list()
    if kind in {"category", "text"}:
        return column.to_list()
    shown = column.set(column.is_in(separated.MISSING), None)
    if kind == "boolean":
        return [_BOOLEANS.get(str(one).lower(), one) for one in shown.to_list()]
    if kind == "timestamp":
        return shown.to_list()
    whole = shown.cast(pl.Int64, strict=False) if kind == "integer" else None
    numbers = whole
    if numbers is None or numbers.null_count() > shown.null_count():
        numbers = shown.cast(pl.Float64, strict=False)
    if numbers.null_count() == shown.null_count():
        return numbers.to_list()
    pairs = zip(numbers.to_list(), shown.to_list(), strict=True)
    return [text if number is None else number for number, text in pairs]


class _Opened(NamedTuple):
    path: Path
    kind: str
    columns: tuple[str, ...]
    n_rows: int | None


def _open(path: Path) -> _Opened:
    if path.is_dir():
        raise InvalidInputError(
            f"{path} is a folder, not a table", hint="name a file in it, or a pattern of files"
        )
    kind = tables.format_of(path)
    with _readable(path, kind):
        if kind == "parquet":
            from pyarrow import parquet  # noqa: PLC0415 - commands that read no table stay quick

            with parquet.ParquetFile(path) as file:
                names = tuple(file.schema_arrow.names)
                return _Opened(path, kind, names, file.metadata.num_rows)
        if kind == "arrow":
            schema = pl.read_ipc_schema(path)
            return _Opened(path, kind, tuple(schema), None)
        with path.open("rb") as binary:
            head = binary.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
        text = head.decode("utf-8", errors="ignore")
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(kind, text))
        found = next(rows, [])
        separated.refuse_names(found, str(path))
        return _Opened(path, kind, tuple(found), None)


def _separator(kind: str, text: str) -> str:
    return "\t" if kind == "tsv" else separated.separator_of(text)


def _read(path: Path, columns: list[str], n_rows: int) -> Iterator[tuple[pl.DataFrame, float]]:
    kind = tables.format_of(path)
    readers = {"parquet": _parquet, "arrow": _arrow}
    with _readable(path, kind):
        yield from readers.get(kind, _text)(path, columns, n_rows)


def _parquet(
    path: Path, columns: list[str], n_rows: int
) -> Iterator[tuple[pl.DataFrame, float]]:
    from pyarrow import parquet  # noqa: PLC0415 - as above

    # With a buffer of its own a column is read page by page, not a row group at once.
    with parquet.ParquetFile(path, buffer_size=_HEAD_BYTES, pre_buffer=False) as file:
        total = max(file.metadata.num_rows, 1)
        done = 0
        for batch in file.iter_batches(batch_size=n_rows, columns=columns):
            done += batch.num_rows
            yield _frame(batch), done / total


def _arrow(path: Path, columns: list[str], n_rows: int) -> Iterator[tuple[pl.DataFrame, float]]:
    import pyarrow as pa  # noqa: PLC0415 - as above

    del n_rows  # batches of the file are cut by the caller
    with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
        for at in range(file.num_record_batches):
            batch = file.get_batch(at).select(columns)
            yield _frame(batch), (at + 1) / file.num_record_batches


def _text(path: Path, columns: list[str], n_rows: int) -> Iterator[tuple[pl.DataFrame, float]]:
    import pyarrow as pa  # noqa: PLC0415 - as above
    from pyarrow import csv as arrow_csv  # noqa: PLC0415 - as above

    del n_rows
    opened = _open(path)
    size = max(path.stat().st_size, 1)
    with path.open("rb") as binary:
        head = binary.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
        text = head.decode("utf-8", errors="ignore")
        binary.seek(0)
        reader = arrow_csv.open_csv(
            binary,
            read_options=arrow_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                delimiter=_separator(opened.kind, text), newlines_in_values=True
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(opened.columns, pa.string()),
                include_columns=columns,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        for batch in reader:
            yield _frame(batch), min(binary.tell() / size, 1.0)


def _frame(batch: Any) -> pl.DataFrame:
    made = pl.from_arrow(batch)
    assert isinstance(made, pl.DataFrame)
    return made


@contextlib.contextmanager
def _readable(path: Path, kind: str) -> Iterator[None]:
    import pyarrow as pa  # noqa: PLC0415 - as above

    try:
        yield
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        first = str(error).strip().partition("\n")[0][:300]
        raise InvalidInputError(
            f"{path} is not a readable {kind} file: {first}",
            hint="it may be cut or of another format; write it again",
        ) from None

"""Parquet, CSV and Arrow files to Polars frames and back, with a sentence for bad ones.

Called wherever a table is read: snapshots, pipelines, backtests, the command line. The order of
rows is the order in the file, always.
"""

from __future__ import annotations

import glob
import io
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from homeostat.foundation.errors import InvalidInputError, NotFoundError
from homeostat.lifecycle.data import naming, separated

nearest = naming.nearest

FORMATS = ("parquet", "csv", "tsv", "arrow")
_BY_SUFFIX = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_COMPLAINT_CHARACTERS = 160


def read(path: Path) -> pl.DataFrame:
    """Read one table from its file.

    Parameters
    ----------
    path
        A ``.parquet``, ``.csv``, ``.tsv`` or ``.arrow`` file.

    Returns
    -------
    polars.DataFrame
        At least one row and one column, rows in the order of the file.

    Raises
    ------
    NotFoundError
        When there is no such file.
    InvalidInputError
        When it is a folder, of unknown format, empty, cut, ragged or otherwise unreadable.
    """
    data, kind = load(path)
    return decode(data, kind, where=str(path))


def load(path: Path) -> tuple[bytes, str]:
    """Return a table file's bytes and format, not looked into yet.

    Parameters
    ----------
    path
        As `read` takes it.

    Returns
    -------
    tuple
        The bytes, and one of `FORMATS`.

    Raises
    ------
    NotFoundError, InvalidInputError
        As `read` does, apart from the content.
    """
    if path.is_dir():
        raise InvalidInputError(
            f"{path} is a folder, not a table", hint="name a file in it, or a pattern of files"
        )
    kind = format_of(path)
    try:
        return path.read_bytes(), kind
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}", path=str(path)) from None
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from None


def read_all(pattern: str, *, folder: Path) -> pl.DataFrame:
    """Read the tables a pattern names as one, in the order of their names.

    Parameters
    ----------
    pattern
        A path or a glob such as ``data/*.parquet``, relative to `folder`.
    folder
        Where the pattern starts.

    Returns
    -------
    polars.DataFrame
        Their rows, one file after the other.

    Raises
    ------
    NotFoundError
        When no file fits.
    InvalidInputError
        When a file is bad, or the files do not have the same columns.
    """
    paths = find(pattern, folder=folder)
    frames = [read(path) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        if set(frame.columns) != set(frames[0].columns):
            odd = sorted(set(frame.columns) ^ set(frames[0].columns))
            raise InvalidInputError(
                f"{path} and {paths[0]} do not have the same columns: {', '.join(odd)}"
            )
    if len(frames) == 1:
        return frames[0]
    ordered = [frame.select(frames[0].columns) for frame in frames]
    for path, frame in zip(paths, ordered, strict=True):
        _refuse_misfit(path, frame, ordered[0])
    return pl.concat(ordered, how="vertical_relaxed")


def find(pattern: str, *, folder: Path) -> list[Path]:
    """Return the files a pattern names, sorted by name.

    Parameters
    ----------
    pattern
        A path or a glob, relative to `folder`.
    folder
        Where the pattern starts.

    Returns
    -------
    list
        At least one path.

    Raises
    ------
    NotFoundError
        When no file fits.
    """
    # Path.glob refuses absolute patterns, which people give.
    names = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207
    found = sorted(folder / name for name in names)
    if not found:
        raise NotFoundError(
            f"no file fits {pattern!r} in {folder}",
            hint="put a Parquet or CSV file there, or change [data] source",
        )
    return found


def decode(data: bytes, kind: str, *, where: str = "the table") -> pl.DataFrame:
    """Read one table from its bytes.

    Parameters
    ----------
    data
        A whole file.
    kind
        One of `FORMATS`.
    where
        Name of the source, for messages.

    Returns
    -------
    polars.DataFrame
        At least one row and one column.

    Raises
    ------
    InvalidInputError
        When it is empty, cut, ragged or otherwise unreadable.
    """
    if kind not in FORMATS:
        raise InvalidInputError(
            f"{kind!r} is no format of a table", hint=f"known are {', '.join(FORMATS)}"
        )
    if not data:
        raise InvalidInputError(f"{where} is empty: 0 bytes")
    try:
        if kind == "parquet":
            frame = pl.read_parquet(io.BytesIO(data), use_statistics=False)
        elif kind == "arrow":
            frame = pl.read_ipc(io.BytesIO(data))
        else:
            frame = separated.parse(data, "\t" if kind == "tsv" else None, where=where)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise InvalidInputError(
            f"{where} is not a readable {kind} file: {_first_line(error)}",
            hint="it may be cut or of another format; write it again",
        ) from None
    if frame.width == 0 or frame.height == 0:
        raise InvalidInputError(
            f"{where} is empty: {frame.height} rows, {frame.width} columns",
            hint="a table needs a row and a column",
        )
    return frame


def encode(frame: pl.DataFrame) -> bytes:
    """Write a frame as Parquet, zstd, the same bytes for the same frame.

    Parameters
    ----------
    frame
        Any frame.

    Returns
    -------
    bytes
        A whole Parquet file; `decode` gives the frame back.
    """
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def format_of(path: Path) -> str:
    """Tell a table's format from the end of its name.

    Raises
    ------
    InvalidInputError
        When the ending is not known.
    """
    kind = _BY_SUFFIX.get(path.suffix.lower())
    if kind is None:
        raise InvalidInputError(
            f"cannot tell the format of {path} from its name",
            hint=f"known endings are {', '.join(_BY_SUFFIX)}",
        )
    return kind


def need_column(columns: Iterable[str], name: str, *, role: str) -> str:
    """Return `name` when it is a column, or say which is nearest.

    Parameters
    ----------
    columns
        Names of the table's columns.
    name
        The one that is needed.
    role
        What for: ``target``, ``key``, ``time``.

    Raises
    ------
    InvalidInputError
        When there is no such column.
    """
    known = list(columns)
    if name in known:
        return name
    raise InvalidInputError(
        f"the {role} column {name!r} is not in the table",
        hint=nearest(name, known),
        column=name,
    )


def _refuse_misfit(path: Path, frame: pl.DataFrame, first: pl.DataFrame) -> None:
    for name, dtype in frame.schema.items():
        other = first.schema[name]
        is_number = dtype.is_numeric() and other.is_numeric()
        if dtype != other and not is_number and pl.Null not in {dtype, other}:
            raise InvalidInputError(
                f"{path} does not fit the files before it: column {name!r} holds {dtype}, "
                f"there {other}"
            )


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:_COMPLAINT_CHARACTERS]

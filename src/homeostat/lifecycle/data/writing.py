"""Writes a table of any size batch by batch; its name appears when it is whole, or never.

Batch scoring and the export of the prediction log write through it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl

from homeostat.foundation.errors import InvalidInputError, UnavailableError
from homeostat.lifecycle.data import batches, tables


class Draft:
    """A table on its way to its place; use it in a ``with``.

    Parameters
    ----------
    path
        Where it will be; the ending says ``.parquet``, ``.csv``, ``.tsv`` or ``.arrow``. A file
        that is there is replaced in one step, when the new one is whole and on the disk.

    Attributes
    ----------
    n_rows
        Written so far.
    digest
        BLAKE3 of the file's bytes, once it is in its place.

    Raises
    ------
    InvalidInputError
        When its folder is not there or its ending is not known.
    """

    def __init__(self, path: Path) -> None:
        self._kind = tables.format_of(path)
        if not path.absolute().parent.is_dir():
            raise InvalidInputError(f"there is no folder {path.absolute().parent}")
        self.path = path
        self.n_rows = 0
        self.digest = ""
        self._draft = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._file: Any = None
        self._writer: Any = None
        self._schema: Any = None

    def __enter__(self) -> Self:
        try:
            self._file = self._draft.open("wb")
        except OSError as error:
            raise _refused(self.path, error) from None
        return self

    def write(self, frame: pl.DataFrame) -> None:
        """Append rows; the first ones decide on the columns and their types.

        Parameters
        ----------
        frame
            May be without rows: it still says which columns there are.

        Raises
        ------
        UnavailableError
            When the disk refuses.
        """
        try:
            if self._kind in {"csv", "tsv"}:
                separator = "\t" if self._kind == "tsv" else ","
                is_first = self._writer is None
                frame.write_csv(self._file, include_header=is_first, separator=separator)
                self._writer = self._file
            else:
                self._append(frame)
        except OSError as error:
            raise _refused(self.path, error) from None
        self.n_rows += frame.height

    def _append(self, frame: pl.DataFrame) -> None:
        import pyarrow as pa  # noqa: PLC0415 - commands that write no table stay quick
        from pyarrow import parquet  # noqa: PLC0415 - as above

        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self._schema = table.schema
            if self._kind == "parquet":
                self._writer = parquet.ParquetWriter(
                    self._file, self._schema, compression="zstd"
                )
            else:
                self._writer = pa.ipc.new_file(self._file, self._schema)
        if table.num_rows:
            self._writer.write_table(table.cast(self._schema))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._publish()
        except OSError as refusal:
            raise _refused(self.path, refusal) from None
        finally:
            with contextlib.suppress(OSError, ValueError):  # it ends by writing, or it may not
                self._end()
            if self._file is not None:
                self._file.close()
            with contextlib.suppress(OSError):
                self._draft.unlink(missing_ok=True)

    def _end(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None and writer is not self._file:
            writer.close()

    def _publish(self) -> None:
        self._end()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self.digest = batches.digest(self._draft)
        self._draft.replace(self.path)


def _refused(path: Path, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"{path} cannot be written: {error.strerror or error}",
        hint="free space there, or name another place; nothing was left half-written",
    )

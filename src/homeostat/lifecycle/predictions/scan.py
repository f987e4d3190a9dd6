"""The prediction log as one table for people: filtered, as of an instant, batch by batch.

Asked by the API. What is wanted is found in a transaction; rows are unsealed afterwards, one
stored object at a time, so that a log of any size is read in the memory of one object (at most
20,000 rows) and of its labels.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec
import polars as pl

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.data import tables
from homeostat.lifecycle.predictions import actions, join, read, records
from homeostat.lifecycle.predictions.entities import Segment

Format = Literal["arrow", "parquet", "json"]
LABELS = ("label", "event_at", "known_at")
_FILTERED = ("served_at", "members", "version", "answered", "key")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows and columns.

    Attributes
    ----------
    as_of
        Only what was served and known then; milliseconds UTC, now when None.
    since, until
        Served from the first on and before the second; milliseconds UTC.
    versions
        Only rows that one of these scored: a member such as ``3``, or a composite ``3+4``.
    columns
        Only these, in this order; all when empty.
    with_labels
        Whether label, event_at and known_at stand beside each row, null where nothing is known.
    answered
        Only answers (true) or only what was scored in the shadow (false); both when None.
    after_row, limit
        For a page: rows behind this one, and at most so many.
    """

    as_of: int | None = None
    since: int | None = None
    until: int | None = None
    versions: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    with_labels: bool = False
    answered: bool | None = None
    after_row: int = -1
    limit: int | None = None


class Scan:
    """A log that is about to be read; made by `prepare`.

    Parameters
    ----------
    runs
        What is stored together, in the order of the log.
    wanted
        Which rows and columns.
    labels
        The one that counts for each key, as of the instant; None where they are not wanted.
    project
        Namespace of the deployment.
    """

    def __init__(
        self,
        runs: Sequence[read.Run],
        wanted: Wanted,
        *,
        labels: pl.DataFrame | None,
        project: str,
    ) -> None:
        self._runs, self._wanted, self._labels = runs, wanted, labels
        self._project = project

    def schema(self, house: read.Unsealing) -> pl.Schema:
        """Return the columns of the whole table: of all segments, with a type that fits all.

        Parameters
        ----------
        house
            What returns stored bytes.

        Returns
        -------
        polars.Schema
            In the order of the log's columns, or as they were asked for.

        Raises
        ------
        InvalidInputError
            When a column that is wanted is not in the log.
        """
        seen: dict[tuple[tuple[str, Any], ...], pl.DataFrame] = {}
        for run in self._runs:
            empty = read.load(house, run, self._project, end_row=run.first_row)
            seen.setdefault(tuple(empty.schema.items()), empty)
        together = read.stacked(list(seen.values()))
        if self._labels is not None:
            together = join.beside(together, self._labels.clear())
        return self._chosen(together).schema

    def page(self, house: read.Unsealing) -> pl.DataFrame:
        """Read the rows of one page at once; only objects that it needs are opened.

        Parameters
        ----------
        house
            What returns stored bytes.

        Returns
        -------
        polars.DataFrame
            At most `Wanted.limit` rows.

        Raises
        ------
        InvalidInputError
            When a column that is wanted is not in what was opened.
        """
        parts = list(self._parts(house, self._wanted.columns or None))
        together = read.stacked(parts)
        if self._labels is not None and not parts:
            together = join.beside(together, self._labels.clear())
        return self._chosen(together)

    def batches(self, house: read.Unsealing, schema: pl.Schema) -> Iterator[pl.DataFrame]:
        """Read the rows in the order of the log.

        Parameters
        ----------
        house
            What returns stored bytes.
        schema
            From `schema`.

        Yields
        ------
        polars.DataFrame
            With these columns and types, at least one row.
        """
        for table in self._parts(house, [name for name in schema if name not in LABELS]):
            missing = [pl.lit(None).alias(name) for name in schema if name not in table.columns]
            yield table.with_columns(missing).select(list(schema)).cast(schema)

    def _parts(
        self, house: read.Unsealing, columns: Sequence[str] | None
    ) -> Iterator[pl.DataFrame]:
        needed = None if columns is None else tuple(dict.fromkeys([*columns, *_FILTERED]))
        left = self._wanted.limit
        for run in self._runs:
            table = read.load(house, run, self._project, columns=needed)
            table = table.filter(self._condition())
            if left is not None:
                table = table.head(left)
                left -= table.height
            if not table.is_empty():
                labels = self._labels
                yield table if labels is None else join.beside(table, labels)
            if left == 0:
                return

    def _chosen(self, table: pl.DataFrame) -> pl.DataFrame:
        for name in self._wanted.columns:
            if name not in table.columns:
                raise errors.InvalidInputError(
                    f"the log has no column {name[:80]!r}",
                    hint=tables.nearest(name, table.columns),
                )
        return table.select(self._wanted.columns) if self._wanted.columns else table

    def _condition(self) -> pl.Expr:
        wanted, served_at = self._wanted, pl.col("served_at")
        holds = pl.lit(True)
        if wanted.as_of is not None:
            holds &= served_at <= wanted.as_of
        if wanted.since is not None:
            holds &= served_at >= wanted.since
        if wanted.until is not None:
            holds &= served_at < wanted.until
        if wanted.answered is not None:
            holds &= pl.col("answered") == wanted.answered
        if wanted.after_row >= 0:
            holds &= pl.col("row") > wanted.after_row
        if wanted.versions:
            named = list(wanted.versions)
            has_member = pl.col("members").list.set_intersection(named).list.len() > 0
            holds &= has_member | pl.col("version").is_in(named)
        return holds


def prepare(
    tx: Transaction,
    actor: access.Actor,
    house: read.Unsealing,
    *,
    deployment: str,
    wanted: Wanted,
) -> Scan:
    """Find what is to be read.

    Parameters
    ----------
    tx, actor
        Who may read predictions.
    house
        What returns stored bytes; labels are read now.
    deployment
        Its name.
    wanted
        Which rows and columns.

    Returns
    -------
    Scan
        It needs no transaction.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    """
    access.require(actor, "prediction.read")
    actions.get_log(tx, actor, deployment)
    ends = [one for one in (wanted.until, wanted.as_of) if one is not None]
    which: dict[str, Any] = {
        "in_project": tx.project,
        "in_deployment": deployment,
        "since": 0 if wanted.since is None else wanted.since,
        "until": min(ends) if ends else read.END,
        "after_row": wanted.after_row,
    }
    statement = records.SEGMENTS_BETWEEN
    if wanted.versions:
        members = {member for one in wanted.versions for member in one.split("+")}
        statement = records.SEGMENTS_BETWEEN_BY
        which["in_members"] = sorted(members)
    rows = tx.execute(statement, which).mappings()
    runs = read.stored_together(Segment(**row) for row in rows)
    labels = None
    if wanted.with_labels:
        labels = join.last_known(read.labels(house, tx, deployment, as_of=wanted.as_of))
    return Scan(runs, wanted, labels=labels, project=tx.project)


def written(
    frames: Iterator[pl.DataFrame], schema: pl.Schema, *, form: Format
) -> Iterator[bytes]:
    """Write what is scanned, piece by piece.

    Parameters
    ----------
    frames, schema
        What is read, each with these columns and types.
    form
        ``arrow`` is an IPC stream, ``parquet`` a file, ``json`` one object a line.

    Yields
    ------
    bytes
        A piece for each frame, and the end.
    """
    if form == "json":
        for frame in frames:
            yield frame.write_ndjson().encode()
        return
    import pyarrow as pa  # noqa: PLC0415 - the server stays light
    from pyarrow import parquet  # noqa: PLC0415 - as above

    outlet = _Outlet()
    empty = pl.DataFrame(schema=schema).to_arrow(compat_level=pl.CompatLevel.oldest())
    if form == "parquet":
        writer = parquet.ParquetWriter(outlet, empty.schema, compression="zstd")
    else:
        writer = pa.ipc.new_stream(outlet, empty.schema)
    for frame in frames:
        writer.write_table(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
        yield outlet.taken()
    writer.close()
    yield outlet.taken()


class _Outlet(io.RawIOBase):
    """A file that is emptied while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._parts.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)

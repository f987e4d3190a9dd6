"""Add tables and read them from Python; one subject of the SDK."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from homeostat.doors.client import transport
from homeostat.lifecycle.data import entities, tables
from homeostat.lifecycle.data.entities import Dataset, Snapshot
from homeostat.lifecycle.data.profile import ColumnProfile

Datasets = list[Dataset]
Snapshots = list[Snapshot]


class Data:
    """Datasets, each a series of snapshots that never change.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def add(
        self,
        table: Path | str | pl.DataFrame,
        name: str,
        *,
        key: str | None = None,
        time: str | None = None,
        source: str | None = None,
        made_of: tuple[str, ...] = (),
        allow_schema_change: bool = False,
    ) -> Snapshot:
        """Add a table as the next snapshot of a dataset.

        Parameters
        ----------
        table
            A Parquet, CSV or Arrow file, or a frame; its rows keep their order.
        name
            Of the dataset; made when new.
        key, time
            Columns that identify and order rows; those of the newest snapshot when None.
        source
            Where it came from, for people; the path when None.
        made_of
            References it was derived from, such as ``snapshot:<id>``.
        allow_schema_change
            Whether columns may go or change their kind.

        Returns
        -------
        Snapshot
            The one that was there when the bytes are the same.

        Raises
        ------
        NotFoundError
            When there is no such file.
        InvalidInputError
            When the table is bad: empty, cut, ragged, without values, a key twice.
        ConflictError
            When its schema breaks with that of the snapshot before.
        """
        if isinstance(table, pl.DataFrame):
            data, kind = tables.encode(table), "parquet"
        else:
            data, kind = tables.load(Path(table))
            source = str(table) if source is None else source
        entities.check_name(name)
        query: transport.Query = {
            "format": kind,
            "source": source,
            "key": key,
            "time": time,
            "made_of": made_of,
            "allow_schema_change": allow_schema_change,
        }
        path = f"/api/data/{transport.part(name)}/snapshots"
        return self._transport.call("POST", path, answer=Snapshot, query=query, body=data)

    def list(self, *, after: str = "", limit: int = 100) -> Datasets:
        """Return datasets by name.

        Parameters
        ----------
        after
            Last name of the page before.
        limit
            At most so many, 1 to 1000.
        """
        query: transport.Query = {"after": after, "limit": limit}
        return self._transport.call("GET", "/api/data", answer=Datasets, query=query)

    def snapshots(self, name: str, *, before: int | None = None, limit: int = 100) -> Snapshots:
        """Return snapshots of a dataset, the newest first.

        Parameters
        ----------
        name
            Of the dataset.
        before
            Only numbers below this one.
        limit
            At most so many, 1 to 1000.

        Raises
        ------
        NotFoundError
            When there is no such dataset.
        """
        query: transport.Query = {"before": before, "limit": limit}
        path = f"/api/data/{transport.part(name)}/snapshots"
        return self._transport.call("GET", path, answer=Snapshots, query=query)

    def get(self, name: str, *, number: int | None = None) -> Snapshot:
        """Return a snapshot of a dataset, the newest unless said.

        Parameters
        ----------
        name
            Of the dataset.
        number
            Of the snapshot; the newest when None.

        Raises
        ------
        NotFoundError
            When there is no such dataset or number.
        """
        path = f"/api/data/{transport.part(name)}"
        which = "newest" if number is None else f"snapshots/{number}"
        return self._transport.call("GET", f"{path}/{which}", answer=Snapshot)

    def find(self, snapshot_id: str) -> Snapshot:
        """Return a snapshot by its id or reference.

        Raises
        ------
        NotFoundError
            When there is none.
        """
        path = f"/api/snapshots/{transport.part(snapshot_id.removeprefix('snapshot:'))}"
        return self._transport.call("GET", path, answer=Snapshot)

    def read(self, name: str, *, number: int | None = None) -> pl.DataFrame:
        """Return the table of a snapshot, rows in the order they were given.

        Parameters
        ----------
        name
            Of the dataset.
        number
            Of the snapshot; the newest when None.

        Raises
        ------
        NotFoundError
            When there is no such dataset or number.
        CorruptError
            When the stored bytes were changed.
        """
        snapshot = self.get(name, number=number)
        data = self._transport.call("GET", f"{_path(snapshot)}/table", answer=bytes)
        return tables.decode(data, snapshot.format, where=snapshot.reference)

    def profile(self, name: str, *, number: int | None = None) -> tuple[ColumnProfile, ...]:
        """Return what each column of a snapshot holds; errors as `read`.

        Parameters
        ----------
        name
            Of the dataset.
        number
            Of the snapshot; the newest when None.
        """
        path = f"{_path(self.get(name, number=number))}/profile"
        return self._transport.call("GET", path, answer=tuple[ColumnProfile, ...])


def _path(snapshot: Snapshot) -> str:
    return f"/api/data/{transport.part(snapshot.dataset)}/snapshots/{snapshot.number}"

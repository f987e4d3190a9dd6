"""Everything a process stands on, opened once and handed to its doors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar

from homeostat.foundation import blobs, errors
from homeostat.foundation.blobs import keys, master
from homeostat.foundation.database import Database, Transaction, migrate, writer
from homeostat.foundation.events import signing
from homeostat.foundation.settings import Settings

T = TypeVar("T")


class House:
    """The database, its writer, the blobs and the keys of one installation.

    Parameters
    ----------
    settings
        As `settings.load` gave them.
    database, store, master_key, signing_key
        Opened by `open_house`, which is how to make a house.

    Attributes
    ----------
    settings, database, writer, blobs, master_key, signing_key
        Open for as long as the house is.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database,
        store: blobs.Store,
        master_key: blobs.MasterKey,
        signing_key: signing.SigningKey,
    ) -> None:
        self.settings = settings
        self.database = database
        self.blobs = store
        self.master_key = master_key
        self.signing_key = signing_key
        self.writer = writer.Writer(database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, work: Callable[[Transaction], T], *, project: str | None = None) -> T:
        """Read in one consistent view.

        Parameters
        ----------
        work
            Called with the transaction, on this thread.
        project
            Namespace; that of the settings when None.

        Returns
        -------
        object
            What `work` returned.

        Raises
        ------
        UnavailableError
            When the database cannot be reached.
        """
        with self.database.read(project=project or self.settings.project) as tx:
            return work(tx)

    def write(self, work: Callable[[Transaction], T], *, project: str | None = None) -> T:
        """Write through the writer and wait for the commit.

        Parameters
        ----------
        work
            Called with the transaction, on the writer's thread; short, and without waiting.
        project
            Namespace; that of the settings when None.

        Returns
        -------
        object
            What `work` returned, which is safe on disk by now.

        Raises
        ------
        UnavailableError
            When too many writes wait, or the database gave out.
        """
        return self.writer.write(work, project=project or self.settings.project)

    def put_blob(self, owner: str, data: bytes, *, project: str | None = None) -> blobs.Blob:
        """Store bytes sealed with their owner's key; do so before the row that names them.

        Parameters
        ----------
        owner
            Reference of whose they are, such as ``"run:<id>"``; gets a key on first use.
        data
            Any length.
        project
            Namespace; that of the settings when None.

        Returns
        -------
        Blob
            Digest and size of `data`.

        Raises
        ------
        UnavailableError
            When the bytes or the key cannot be written.
        """
        return self.blobs.put(self._writing_key(owner, project), data)

    def put_file(self, owner: str, path: Path, *, project: str | None = None) -> blobs.Blob:
        """Store a file as `put_blob` stores bytes, without holding it in memory.

        Parameters
        ----------
        owner, project
            As for `put_blob`.
        path
            An existing file.

        Returns
        -------
        Blob
            Digest and size of the file.

        Raises
        ------
        NotFoundError
            When there is no such file.
        UnavailableError
            When the bytes or the key cannot be written.
        """
        return self.blobs.put_file(self._writing_key(owner, project), path)

    def get_blob(self, owner: str, digest: str, *, project: str | None = None) -> bytes:
        """Return stored bytes.

        Parameters
        ----------
        owner, project
            As they were put.
        digest
            As `put_blob` gave it.

        Returns
        -------
        bytes
            What was put, proved by its digest.

        Raises
        ------
        NotFoundError
            When the owner has no such blob, or its key was destroyed.
        CorruptError
            When the stored bytes were changed.
        """
        return self.blobs.get(self._reading_key(owner, project), digest)

    def receive_blob(self, owner: str, *, project: str | None = None) -> blobs.Intake:
        """Begin to store content that arrives piece by piece, sealed with its owner's key.

        Parameters
        ----------
        owner, project
            As for `put_blob`.

        Returns
        -------
        Intake
            Its methods block; nothing was read or written yet.
        """
        return self.blobs.receive(lambda: self._writing_key(owner, project))

    def stream_blob(
        self,
        owner: str,
        digest: str,
        *,
        start: int = 0,
        end: int | None = None,
        project: str | None = None,
    ) -> Iterator[bytes]:
        """Yield stored bytes in pieces of up to 4 MiB.

        Parameters
        ----------
        owner, digest, project
            As for `get_blob`.
        start, end
            First byte and the one behind the last; all of it unless given.

        Yields
        ------
        bytes
            In order, each piece proved before it is given.

        Raises
        ------
        NotFoundError, CorruptError
            As `get_blob`.
        """
        key = self._reading_key(owner, project)
        yield from self.blobs.stream(key, digest, start=start, end=end)

    def has_blob(self, owner: str, digest: str, *, project: str | None = None) -> bool:
        """Say whether the owner has the blob and its key still exists."""
        try:
            key = self._reading_key(owner, project)
        except errors.NotFoundError:
            return False
        return self.blobs.exists(key, digest)

    def delete_blob(self, owner: str, digest: str, *, project: str | None = None) -> None:
        """Remove stored bytes that no row names any more; nothing happens without them.

        Parameters
        ----------
        owner, digest, project
            As for `get_blob`.
        """
        with contextlib.suppress(errors.NotFoundError):
            self.blobs.delete(self._reading_key(owner, project), digest)

    def close(self) -> None:
        """Finish the writes that were taken, then close every connection."""
        self.writer.close()
        self.database.close()

    # Keys are looked up each time: one destroyed by another process must seal nothing more.

    def _reading_key(self, owner: str, project: str | None) -> blobs.DataKey:
        return self.read(lambda tx: keys.get(tx, self.master_key, owner), project=project)

    def _writing_key(self, owner: str, project: str | None) -> blobs.DataKey:
        try:
            return self._reading_key(owner, project)
        except errors.NotFoundError:
            return self.write(
                lambda tx: keys.ensure(tx, self.master_key, owner), project=project
            )


def open_house(settings: Settings) -> House:
    """Open an installation; the first time makes its folder, keys and tables.

    Parameters
    ----------
    settings
        As `settings.load` gave them.

    Returns
    -------
    House
        Close it, or use it in a ``with``.

    Raises
    ------
    InvalidInputError
        When the home cannot be made, or an address in the settings fits nothing.
    ConflictError
        When the database was written by a newer release.
    UnavailableError
        When the database cannot be reached.
    CorruptError
        When a key file is damaged.
    """
    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise errors.InvalidInputError(
            f"the home {settings.home} cannot be made: {error.strerror}",
            hint="set HOMEOSTAT_HOME to a folder that can be written",
        ) from error
    master_key = master.load(settings.home, settings.master_key or None)
    # Machines that share a master key share the signing key too: it is made from it.
    signing_key = (
        signing.SigningKey(master_key.derive("signing"))
        if settings.master_key
        else signing.load(settings.home / "signing.key")
    )
    store = blobs.open_store(
        settings.blobs_url,
        s3_endpoint=settings.s3_endpoint or None,
        s3_region=settings.s3_region or None,
        s3_access_key=settings.s3_access_key or None,
        s3_secret_key=settings.s3_secret_key or None,
        spool=settings.home / "incoming",
    )
    database = Database(settings.database_url, signer=signing_key)
    try:
        migrate.upgrade(database)
    except BaseException:
        database.close()
        raise
    return House(
        settings,
        database=database,
        store=store,
        master_key=master_key,
        signing_key=signing_key,
    )

"""Connections to SQLite or PostgreSQL, and the two kinds of transaction on them.

A `House` holds one `Database`; the writer and the readers of every door go through it. Writers
exclude each other on both systems (``BEGIN IMMEDIATE``; an advisory lock), so that an action
may read, decide and write without another process stepping in between.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from homeostat.foundation import errors
from homeostat.foundation.database import borders, changes, transaction

BUSY_TIMEOUT_MS = 20_000
_PAUSE_S = 0.01
_LOOK_S = 0.002
# Of the writer's write-ahead log, when nobody asks for a checkpoint in time; 64 MB.
_MOST_PAGES = 16_000
_PRIMARY = 0xFF  # of SQLite's extended codes
# Any constant no other application of the same PostgreSQL database uses.
WRITE_LOCK = 0x686F6D656F
# Without it an INSERT on PostgreSQL does not say how many rows it made.
OPTIONS = {"preserve_rowcount": True}
LOCK_FOR_WRITING = f"SELECT pg_advisory_xact_lock({WRITE_LOCK})"


class OccupiedError(Exception):
    """Another process writes; nothing was begun."""


class Database:
    """One SQLite file or one PostgreSQL database.

    Parameters
    ----------
    url
        ``sqlite:///PATH``, ``postgresql://...`` or ``postgresql+psycopg://...``.
    signer
        Key of the installation, handed to every transaction; None where nothing is signed.
    schema
        PostgreSQL schema to work in; the server's default when empty.

    Raises
    ------
    InvalidInputError
        When the address names no file, or a system other than these two.
    """

    def __init__(
        self, url: str, *, signer: transaction.Signer | None = None, schema: str = ""
    ) -> None:
        self.signer = signer
        self._url = _parse(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        make = _sqlite_engine if self.is_sqlite else _postgres_engine
        self.reading = make(self._url, is_writer=False, schema=schema)
        self.writing = make(self._url, is_writer=True, schema=schema)
        # A stack: each is used by one thread at a time, the warmest first.
        self._at_hand: list[sa.Connection] = []
        self._writers_own: sa.Connection | None = None
        self._changes: changes.Changes | None = None
        if self.is_sqlite:
            self._changes = changes.Changes(self._writers_raw, self.glance)

    def __repr__(self) -> str:
        return f"Database({self._url.render_as_string(hide_password=True)!r})"

    @contextlib.contextmanager
    def read(self, *, project: str = "default") -> Iterator[transaction.Transaction]:
        """Open a consistent view that cannot change anything.

        Parameters
        ----------
        project
            Namespace to read in.

        Yields
        ------
        Transaction
            All its statements see the same state.

        Raises
        ------
        UnavailableError
            When the database cannot be reached.
        """
        with borders.connected(self.reading) as connection:
            try:
                tx = transaction.Transaction(connection, project=project, signer=self.signer)
                tx.changes = self._changes
                yield tx
            finally:
                connection.rollback()

    @contextlib.contextmanager
    def glance(
        self, *, project: str = "default", most_s: float | None = None
    ) -> Iterator[transaction.Transaction]:
        """Open a view as `read` does, on a connection that is kept at hand.

        For the many short reads of a server: on SQLite taking a connection from the pool and
        beginning on it costs more than most of them do.

        Parameters
        ----------
        project
            Namespace to read in.
        most_s
            Seconds of CPU after which a statement on SQLite is stopped; None for any number.

        Yields
        ------
        Transaction
            All its statements see the same state.

        Raises
        ------
        UnavailableError
            When the database cannot be reached.
        TooLongError
            When a statement was stopped.
        """
        if not self.is_sqlite:
            with self.read(project=project) as tx:
                yield tx
            return
        try:
            connection = self._at_hand.pop()
        except IndexError:
            connection = self.reading.connect()
        try:
            with borders.begun(connection, _begin_to_read), borders.translated(connection):
                tx = transaction.Transaction(connection, project=project, signer=self.signer)
                if most_s is None:
                    tx.changes = self._changes
                    yield tx
                else:
                    with borders.bounded(connection, most_s):
                        yield tx
        finally:
            if connection.invalidated:
                connection.close()
            else:
                self._at_hand.append(connection)

    @contextlib.contextmanager
    def group(self, *, is_patient: bool = True) -> Iterator[sa.Connection]:
        """Begin on the writer's own connection; for the `Writer`, one thread at a time.

        Parameters
        ----------
        is_patient
            Whether to wait for another process that writes; it always does on PostgreSQL.

        Yields
        ------
        sqlalchemy.Connection
            No other process writes until it is committed or given up; what was not committed
            at the end is undone.

        Raises
        ------
        OccupiedError
            When it is not patient and another process writes.
        UnavailableError
            When the database cannot be reached or stays locked.
        """
        if self._changes is None:
            with borders.connected(self.writing) as connection:
                yield connection
            return
        with self._changes.quiet:
            raw = self._writers_raw()
            own = self._writers_own
            assert own is not None
            begin = functools.partial(_begin_to_write, is_patient=is_patient)
            try:
                with borders.begun(own, begin):
                    self._changes.begin(raw)
                    yield own
            finally:
                if own.invalidated:
                    own.close()
                    self._writers_own = None

    def told(self) -> changes.Changes | None:
        """Return whom the writer tells what it writes: nobody where no copies are kept."""
        return None if self._changes is None else self._changes.told()

    def _writers_raw(self) -> Any:
        """Return the driver's connection of the writer; for who holds `Changes.quiet`."""
        if self._writers_own is None:
            self._writers_own = self.writing.connect()
            raw = _raw(self._writers_own)
            raw.execute(f"PRAGMA wal_autocheckpoint={_MOST_PAGES}").close()
            # `_begin_to_write` waits where that is wanted.
            raw.execute("PRAGMA busy_timeout=0").close()
        return _raw(self._writers_own)

    def checkpoint(self) -> None:
        """Bring the pages of SQLite's write-ahead log to their places; for the `Writer`.

        What readers or other processes are in the way of stays for the next time.

        Raises
        ------
        UnavailableError
            When the disk refuses.
        """
        if self._writers_own is not None and self._changes is not None:
            with self._changes.quiet, borders.translated(self._writers_own):
                _raw(self._writers_own).execute("PRAGMA wal_checkpoint(PASSIVE)").close()

    @contextlib.contextmanager
    def write(self, *, project: str = "default") -> Iterator[transaction.Transaction]:
        """Open a transaction that commits on exit and is rolled back on any error.

        Servers use the `Writer` instead, which shares one commit among many requests.

        Parameters
        ----------
        project
            Namespace to write in.

        Yields
        ------
        Transaction
            No other process writes while it is open.

        Raises
        ------
        UnavailableError
            When the database cannot be reached, stays locked, or cannot commit.
        """
        with borders.connected(self.writing) as connection:
            tx = transaction.Transaction(connection, project=project, signer=self.signer)
            try:
                yield tx
            except BaseException:
                borders.give_up(connection)
                raise
            tx.settle()
            borders.commit(connection)
        borders.call_back(tx)

    def close(self) -> None:
        """Close all connections; open transactions of other threads fail."""
        while self._at_hand:
            self._at_hand.pop().close()
        if self._writers_own is not None:
            self._writers_own.close()
        self.reading.dispose()
        self.writing.dispose()


def _raw(connection: sa.Connection) -> Any:
    """Return the driver's connection."""
    return connection.connection.dbapi_connection


def _begin_to_read(raw: Any) -> None:
    raw.execute("BEGIN")


def _begin_to_write(raw: Any, *, is_patient: bool) -> None:
    """Begin to write on SQLite; the driver's error when it stays locked."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            raw.execute("BEGIN IMMEDIATE").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY != sqlite3.SQLITE_BUSY:
                raise
            if not is_patient:
                raise OccupiedError from None
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_S)
        else:
            return


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise errors.InvalidInputError("database_url is no address of a database") from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise errors.InvalidInputError(
                "database_url names no file; several processes share the database",
                hint="use sqlite:///PATH",
            )
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise errors.InvalidInputError(
        f"database_url starts with {parsed.drivername!r}",
        hint="use sqlite:/// or postgresql://",
    )


def _sqlite_engine(url: sa.URL, *, is_writer: bool, schema: str) -> sa.Engine:
    if schema:
        raise errors.InvalidInputError("SQLite has no schemas")
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        url,
        pool_size=2 if is_writer else 8,
        max_overflow=64,
        execution_options=OPTIONS,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
    )
    begin = "BEGIN IMMEDIATE" if is_writer else "BEGIN"

    @sa.event.listens_for(engine, "connect")
    def prepare(raw: Any, _record: Any) -> None:
        # The driver must not open transactions by itself: it would begin them deferred, and
        # two processes that read and then write would fail instead of waiting.
        raw.isolation_level = None
        _use_wal(raw)
        raw.execute("PRAGMA synchronous=FULL").close()
        raw.execute("PRAGMA foreign_keys=ON").close()
        if is_writer:
            # What undoes one request of a group is kept in memory, not in a temporary file:
            # half of what a small write costs.
            raw.execute("PRAGMA temp_store=MEMORY").close()
        else:
            raw.execute("PRAGMA query_only=ON").close()
            # Each thread has its own; the system's cache serves them all.
            raw.execute("PRAGMA cache_size=-512").close()

    @sa.event.listens_for(engine, "begin")
    def start(connection: sa.Connection) -> None:
        # It may have begun at the driver already.
        if not connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
            connection.exec_driver_sql(begin)

    return engine


def _use_wal(raw: Any) -> None:
    """Switch a file to write-ahead logging; SQLite does not wait for others who do the same."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            raw.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _postgres_engine(url: sa.URL, *, is_writer: bool, schema: str) -> sa.Engine:
    engine = sa.create_engine(
        url,
        pool_size=2 if is_writer else 8,
        max_overflow=32,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED" if is_writer else "REPEATABLE READ",
        execution_options=OPTIONS,
        connect_args={"options": f"-csearch_path={schema}"} if schema else {},
    )

    @sa.event.listens_for(engine, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(
            LOCK_FOR_WRITING if is_writer else "SET TRANSACTION READ ONLY"
        )

    return engine

"""One unit of work: what every action receives first and never opens itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

import sqlalchemy as sa

from homeostat.foundation import clock
from homeostat.foundation.database import failures, prepared
from homeostat.foundation.database.changes import Changes
from homeostat.foundation.database.shared import Shared

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]
_PUT_OFF: Final = "put-off"
_MOST_ROWS: Final = 32
_MOST_WAITING: Final = 4096


class Signer(Protocol):
    """Who signs checkpoints and reports of this installation."""

    @property
    def public_key(self) -> bytes:
        """The 32 raw bytes others verify with."""

    def sign(self, data: bytes) -> bytes:
        """Return the 64 bytes of the signature of `data`."""


class Transaction:
    """Statements that take effect together or not at all.

    Parameters
    ----------
    connection
        An open connection on which a transaction has begun.
    project
        Namespace every statement must keep to.
    signer
        Key of the installation; None where nothing can be signed.
    shared
        With the other transactions of its commit; a new one when None.

    Attributes
    ----------
    at
        The instant of everything written here; milliseconds UTC.
    dialect
        ``sqlite`` or ``postgresql``.
    is_broken
        True once the database itself gave out: nothing of the transaction can be saved.
    has_marks
        True once something may have to be undone: a write was tried, or a statement failed.
    memo
        What was read and can only change through transactions of this commit, which must
        then correct it; what a request added is forgotten when the request is undone.
    known
        Rows that were read, of any commit; writes to their table make them forgotten.
    changes
        What this process writes, in a view for which copies of rows may be kept.
    """

    __slots__ = (
        *("_callbacks", "_connection", "_pending", "_raw", "_told", "at", "changes"),
        *("dialect", "has_marks", "is_broken", "known", "memo", "project", "signer"),
    )

    def __init__(
        self,
        connection: sa.Connection,
        *,
        project: str,
        signer: Signer | None = None,
        shared: Shared | None = None,
    ) -> None:
        self._connection = connection
        self._callbacks: list[Callable[[], None]] = []
        self._raw: Any = None
        self.dialect = connection.dialect.name
        self.project = project
        self.signer = signer
        self.at = clock.now_ms()
        self.is_broken = False
        self.has_marks = False
        shared = shared or Shared()
        self.memo = shared.memo
        self.known = shared.known
        self._pending = shared.pending
        self._told = shared.told
        self.changes: Changes | None = None

    def execute(
        self, statement: sa.Executable, parameters: Parameters | None = None
    ) -> sa.CursorResult[Any]:
        """Run one statement.

        Parameters
        ----------
        statement
            Built once at module level where speed counts.
        parameters
            Values by name; a sequence of them runs the statement for each in one go.

        Returns
        -------
        sqlalchemy.CursorResult
            Rows, or the number of rows changed in ``rowcount``.

        Raises
        ------
        ConflictError
            When a unique value exists already.
        UnavailableError
            When the database gave out: full disk, lock held too long, connection lost.
        """
        if self._pending.tables:
            self.flush()
        if not statement.is_select:
            self.has_marks = True
            table = statement.table.name if statement.is_dml else None  # type: ignore[attr-defined]
            self.known.drop(table)
            if self._told is not None:
                self._told.named(table, parameters)
        try:
            return self._connection.execute(statement, parameters)
        except sa.exc.DBAPIError as error:
            known = self._failure(error)
            if known is None:
                raise
            raise known from error

    def run(
        self, statement: prepared.Prepared, parameters: Parameters | None = None
    ) -> prepared.Cursor:
        """Run one prepared statement, at a tenth of what `execute` costs.

        Parameters
        ----------
        statement
            Prepared at module level.
        parameters
            As for `execute`; every one the statement names.

        Returns
        -------
        Cursor
            The driver's own: rows are plain tuples.

        Raises
        ------
        ConflictError, UnavailableError
            As `execute`.
        """
        text = statement.text(self.dialect)
        self._prepare(statement)
        if self._told is not None and statement.is_write:
            self._told.named(statement.target, parameters)
        if parameters is None or isinstance(parameters, Mapping):
            return self._driven(text, parameters or {}, is_many=False)
        return self._driven(text, parameters, is_many=True)

    def insert_rows(
        self, statement: prepared.Prepared, rows: Sequence[tuple[Any, ...]]
    ) -> prepared.Cursor:
        """Run a prepared insert for many rows, at half of what `run` costs.

        Parameters
        ----------
        statement
            Of every column of its table.
        rows
            Values in the order of the table's columns.

        Returns
        -------
        Cursor
            Its `rowcount` is the number of rows that were not there before.

        Raises
        ------
        ConflictError, UnavailableError
            As `execute`.
        """
        self._prepare(statement)
        if self._told is not None:
            self._told.rows(statement.target, rows)
        return self._driven(statement.text_by_place(self.dialect), rows, is_many=True)

    def insert_later(
        self, statement: prepared.Prepared, rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Insert rows together with those of the commit's other requests.

        They are written before the next statement that may look at their table, when there are
        thousands, and at the latest before the commit; what the database says against them is
        raised there.

        Parameters
        ----------
        statement, rows
            As for `insert_rows`.
        """
        self.has_marks = True
        if not statement.is_plain:
            self.known.drop(statement.target)
        if self._pending.add(statement, rows) >= _MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Write what `insert_later` let wait; raises as `execute`."""
        pending = self._pending
        if pending.error is not None:
            raise pending.error
        try:
            for statement, rows in pending.take():
                if self._told is not None:
                    self._told.rows(statement.target, rows)
                self._insert(statement, rows)
        except Exception as error:
            # Whoever catches it has not lost the rows of others by that.
            pending.error = error
            raise

    def _insert(self, statement: prepared.Prepared, rows: list[tuple[Any, ...]]) -> None:
        """Insert rows; on SQLite many by one step of its machine.

        Each step gives the interpreter away and takes it back.
        """
        if self.dialect != "sqlite" or len(rows) == 1:
            self._driven(statement.text_by_place(self.dialect), rows, is_many=True)
            return
        at = 0
        while at < len(rows):
            n = min(_MOST_ROWS, 1 << (len(rows) - at).bit_length() - 1)
            values = list(itertools.chain.from_iterable(rows[at : at + n]))
            self._driven(statement.text_of_rows(n), values, is_many=False)
            at += n

    def state(self) -> tuple[Any, int] | None:
        """Return what is equal while nobody commits; for a transaction that only reads.

        Returns
        -------
        tuple or None
            Of SQLite's connection and its count of others' commits; None on PostgreSQL, which
            has no such count.
        """
        if self.dialect != "sqlite":
            return None
        if self._raw is None:
            self._raw = self._connection.connection.dbapi_connection
        return self._raw, self._raw.execute("PRAGMA data_version").fetchone()[0]

    def _prepare(self, statement: prepared.Prepared) -> None:
        """Bring the database and what is known to where a statement may run."""
        pending = self._pending
        if pending.tables and not pending.tables.isdisjoint(statement.tables(self.dialect)):
            self.flush()
        if statement.is_write:
            self.has_marks = True
            if not statement.is_plain:
                self.known.drop(statement.target)

    def _driven(self, text: str, parameters: Any, *, is_many: bool) -> prepared.Cursor:
        if self._raw is None:
            self._raw = self._connection.connection.dbapi_connection
        cursor = self._raw.cursor()
        try:
            if is_many:
                cursor.executemany(text, parameters)
            else:
                cursor.execute(text, parameters)
        except Exception as error:
            known = self._wrapped(error, text)
            if known is None:
                raise
            raise known from error
        return cast(prepared.Cursor, cursor)

    def _wrapped(self, error: Exception, text: str) -> Exception | None:
        """Make of a driver's error what `execute` makes of it; None for any other error."""
        found = failures.of_driver(
            error, dialect=self._connection.dialect, raw=self._raw, text=text
        )
        return None if found is None else self._failure(found) or found

    def _failure(self, error: sa.exc.DBAPIError) -> Exception | None:
        self.has_marks = True
        known = failures.translate(error)
        self.is_broken = known is not None and known.code == "unavailable"
        return known

    def put_off(self, work: Callable[[Transaction], None]) -> None:
        """Do some work once, right before the commit, however many requests ask for it.

        Parameters
        ----------
        work
            A function of a module; called with a transaction of this project.
        """
        self.memo[_PUT_OFF, self.project, work] = work

    def settle(self) -> None:
        """Do now what was put off; for those who read what it writes."""
        for name in [name for name in self.memo if name[:2] == (_PUT_OFF, self.project)]:
            self.memo.pop(name)(self)
        self.flush()

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the work is safe on disk; never when it is rolled back.

        Parameters
        ----------
        callback
            Short and without arguments; an exception in it is logged and changes nothing.
        """
        self._callbacks.append(callback)

    def callbacks(self) -> list[Callable[[], None]]:
        """Return what to call after the commit, in order of registration."""
        return self._callbacks


def settle(connection: sa.Connection, shared: Shared, *, signer: Signer | None) -> None:
    """Do what the transactions of a commit have put off; called right before it.

    Parameters
    ----------
    connection
        The commit's.
    shared
        By its transactions.
    signer
        As they had it.
    """
    projects = {name[1] for name in shared.memo if name[0] == _PUT_OFF} or {""}
    for project in projects:
        Transaction(connection, project=project, signer=signer, shared=shared).settle()

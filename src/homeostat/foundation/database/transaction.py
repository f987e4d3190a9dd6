"""One unit of work: what every action receives first and never opens itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

import sqlalchemy as sa

from homeostat.foundation import clock
from homeostat.foundation.database import failures, prepared

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]
_PUT_OFF: Final = "put-off"


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
    memo
        Shared by the transactions of one commit; a new one when None.

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
    """

    __slots__ = (
        *("_callbacks", "_connection", "_raw"),
        *("at", "dialect", "has_marks", "is_broken", "memo", "project", "signer"),
    )

    def __init__(
        self,
        connection: sa.Connection,
        *,
        project: str,
        signer: Signer | None = None,
        memo: dict[Any, Any] | None = None,
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
        self.memo = {} if memo is None else memo

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
        self.has_marks = self.has_marks or not statement.is_select
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
        if statement.is_write:
            self.has_marks = True
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
        self.has_marks = True
        return self._driven(statement.text_by_place(self.dialect), rows, is_many=True)

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


def settle(connection: sa.Connection, memo: dict[Any, Any], *, signer: Signer | None) -> None:
    """Do what the transactions of a commit have put off; called right before it.

    Parameters
    ----------
    connection
        The commit's.
    memo
        Shared by its transactions.
    signer
        As they had it.
    """
    for project in {name[1] for name in memo if name[0] == _PUT_OFF}:
        Transaction(connection, project=project, signer=signer, memo=memo).settle()

"""One unit of work: what every action receives first and never opens itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from homeostat.foundation import clock
from homeostat.foundation.database import failures

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]


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

    Attributes
    ----------
    at
        The instant of everything written here; milliseconds UTC.
    is_broken
        True once the database itself gave out: nothing of the transaction can be saved.
    """

    __slots__ = ("_callbacks", "_connection", "at", "is_broken", "project", "signer")

    def __init__(
        self, connection: sa.Connection, *, project: str, signer: Signer | None = None
    ) -> None:
        self._connection = connection
        self._callbacks: list[Callable[[], None]] = []
        self.project = project
        self.signer = signer
        self.at = clock.now_ms()
        self.is_broken = False

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._connection.dialect.name

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
        try:
            return self._connection.execute(statement, parameters)
        except sa.exc.DBAPIError as error:
            known = failures.translate(error)
            self.is_broken = known is not None and known.code == "unavailable"
            if known is None:
                raise
            raise known from error

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

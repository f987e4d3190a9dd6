"""Where transactions begin and end: straight at the driver or through SQLAlchemy.

Called by `engine` for every view and by `writer` for every group of writes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import sqlalchemy as sa

from homeostat.foundation import errors, log
from homeostat.foundation.database import failures, transaction

logger = log.get(__name__)

_STEPS: Final = 2000  # of SQLite's machine, some 50 microseconds


@contextlib.contextmanager
def begun(connection: sa.Connection, begin: Callable[[Any], object]) -> Iterator[None]:
    """Begin straight at the driver, at a tenth of SQLAlchemy's price; undo what is left.

    Parameters
    ----------
    connection
        Outside any transaction.
    begin
        Begins on the driver's connection that it is given.

    Raises
    ------
    UnavailableError
        When the database cannot be reached or stays locked.
    """
    raw: Any = connection.connection.dbapi_connection
    with translated(connection):
        begin(raw)
    try:
        yield
    finally:
        # SQLAlchemy counts one whose commit failed as over, and yet wants it rolled back.
        if connection.get_transaction() is not None or (
            not connection.invalidated and raw.in_transaction
        ):
            give_up(connection)


@contextlib.contextmanager
def translated(connection: sa.Connection) -> Iterator[None]:
    """Raise what the database says, at the driver or through SQLAlchemy, in our words.

    Parameters
    ----------
    connection
        The one in use.

    Raises
    ------
    HomeostatError
        As `failures.translate` says.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        known = failures.translate(error)
        if known is None:
            raise
        raise known from error
    except Exception as error:
        # One that was thrown away cannot be asked for its driver's.
        raw = None if connection.invalidated else connection.connection.dbapi_connection
        found = failures.of_driver(error, dialect=connection.dialect, raw=raw)
        told = None if found is None else failures.translate(found)
        if told is None:
            raise
        raise told from error


class TooLongError(Exception):
    """What was read took longer than it was given."""


@contextlib.contextmanager
def bounded(connection: sa.Connection, most_s: float) -> Iterator[None]:
    """Stop statements on SQLite when they have worked for some time.

    Parameters
    ----------
    connection
        On SQLite.
    most_s
        Seconds of this thread's CPU; waiting for a busy machine does not count.

    Raises
    ------
    TooLongError
        When a statement was stopped; nothing of it is known.
    """
    raw: Any = connection.connection.dbapi_connection
    ends = time.thread_time() + most_s
    is_late = False

    def look() -> bool:
        nonlocal is_late
        is_late = time.thread_time() > ends
        return is_late

    raw.set_progress_handler(look, _STEPS)
    try:
        yield
    except Exception:
        if is_late:
            raise TooLongError from None
        raise
    finally:
        raw.set_progress_handler(None, 0)


@contextlib.contextmanager
def connected(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Take a connection and begin; give it back at the end.

    Parameters
    ----------
    engine
        `Database.reading` or `Database.writing`.

    Yields
    ------
    sqlalchemy.Connection
        With a transaction begun on it.

    Raises
    ------
    UnavailableError
        When there is no connection to be had, or the lock is held too long.
    """
    try:
        connection = engine.connect()
        try:
            connection.begin()
        except BaseException:
            connection.close()
            raise
    except sa.exc.DBAPIError as error:
        known = failures.translate(error)
        if known is None:
            raise
        raise known from error
    except sa.exc.TimeoutError as error:
        raise errors.UnavailableError(
            "all database connections of this process are in use", retry_after_s=1
        ) from error
    try:
        yield connection
    finally:
        connection.close()


def commit(connection: sa.Connection) -> None:
    """Make the work durable, or fail with a sentence and undo it.

    Parameters
    ----------
    connection
        With a transaction begun on it.

    Raises
    ------
    UnavailableError
        When the database refused or was lost; a lost connection leaves the outcome open.
    """
    raw: Any = connection.connection.dbapi_connection
    try:
        if connection.in_transaction():
            connection.commit()
        else:  # begun at the driver
            raw.commit()
    except Exception as error:
        found = (
            error
            if isinstance(error, sa.exc.DBAPIError)
            else failures.of_driver(error, dialect=connection.dialect, raw=raw)
        )
        if found is None:
            raise
        give_up(connection)
        known = failures.translate(found)
        if known is None:
            known = errors.UnavailableError(
                f"the database refused to commit: {str(found.orig).strip()}", retry_after_s=1
            )
        raise known from error


def give_up(connection: sa.Connection) -> None:
    """Roll back; where even that fails, throw the connection away.

    Parameters
    ----------
    connection
        With a transaction begun on it, in whatever state.
    """
    try:
        connection.rollback()
        raw: Any = connection.connection.dbapi_connection
        if getattr(raw, "in_transaction", False):  # begun at the driver
            raw.rollback()
    except sa.exc.DBAPIError:
        connection.invalidate()
    except Exception as error:
        if failures.of_driver(error, dialect=connection.dialect, raw=None) is None:
            raise
        connection.invalidate()


def call_back(tx: transaction.Transaction) -> None:
    """Run what was registered for after the commit; a failing callback is logged.

    Parameters
    ----------
    tx
        Committed.
    """
    for callback in tx.callbacks():
        try:
            callback()
        except Exception:
            # The work is committed; an observer's fault must not look like a failed write.
            logger.exception("a callback after commit failed")

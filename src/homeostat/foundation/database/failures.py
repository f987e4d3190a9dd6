"""What a driver's error means to a person; called by every transaction."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from homeostat.foundation import errors

# Words of SQLite's and PostgreSQL's messages, and the sentence and hint they become.
SENTENCES = (
    ("disk is full", "the disk of the database is full", "free some space, then try again"),
    ("no space left", "the disk of the database is full", "free some space, then try again"),
    ("is locked", "the database is busy with another process", "try again in a moment"),
    ("disk i/o error", "the disk of the database failed to read or write", "check the disk"),
    ("read-only transaction", "the database cannot be written", "use a write"),
    ("readonly database", "the database cannot be written", "check the rights on its folder"),
    (
        "unable to open",
        "the database cannot be opened",
        "check that its folder exists and its rights",
    ),
    ("not a database", "the database file is no SQLite database", "restore it from a backup"),
    ("malformed", "the database file is damaged", "restore it from a backup"),
)


def translate(error: sa.exc.DBAPIError) -> errors.HomeostatError | None:
    """Say in our words what the database said in its own.

    Parameters
    ----------
    error
        Raised by SQLAlchemy around the driver's error.

    Returns
    -------
    HomeostatError or None
        `UnavailableError` when the database gave out, `ConflictError` when a unique value
        exists already, `InvalidInputError` when it cannot keep a value, None for faults of the
        statement, which are ours.
    """
    said = str(error.orig).strip()
    if isinstance(error, sa.exc.IntegrityError):
        if "unique" in said.lower():
            return errors.ConflictError(f"it exists already: {said.splitlines()[0]}")
        return None
    if isinstance(error, sa.exc.DataError):
        # Such as a NUL in a text on PostgreSQL: a caller's mistake, no fault of the database,
        # although the driver that refuses it by itself reports no state either.
        return errors.InvalidInputError(
            f"the database cannot keep this: {said.splitlines()[0]}"
        )
    lower = said.lower()
    for words, sentence, hint in SENTENCES:
        if words in lower:
            return errors.UnavailableError(sentence, hint=hint, retry_after_s=1, said=said)
    if error.connection_invalidated or _is_connection_failure(error):
        return errors.UnavailableError(
            "the database cannot be reached",
            hint="check that it runs and that database_url is right",
            retry_after_s=5,
            said=said.splitlines()[0] if said else "",
        )
    return None


def of_driver(
    error: Exception, *, dialect: sa.Dialect, raw: Any, text: str = ""
) -> sa.exc.DBAPIError | None:
    """Make of a driver's error what SQLAlchemy makes of it; None for any other error.

    Parameters
    ----------
    error
        As raised; the two drivers share no class of errors, SQLAlchemy knows whose is whose.
    dialect
        Of the connection.
    raw
        The driver's connection.
    text
        The statement.

    Returns
    -------
    sqlalchemy.exc.DBAPIError or None
        For `translate`.
    """
    driver: Any = dialect.loaded_dbapi
    if not isinstance(error, driver.Error):
        return None
    is_lost = dialect.is_disconnect(error, raw, None)
    found = sa.exc.DBAPIError.instance(
        text, None, error, driver.Error, connection_invalidated=is_lost, dialect=dialect
    )
    return found if isinstance(found, sa.exc.DBAPIError) else None


def _is_connection_failure(error: sa.exc.DBAPIError) -> bool:
    # PostgreSQL's classes: 08 connection, 53 resources, 57P shutdown, 40 deadlock, 55 lock.
    state = getattr(error.orig, "sqlstate", "")
    if state is None:  # psycopg: the server never answered
        return True
    return (bool(state) and state[:2] in ("08", "40", "53", "55")) or str(state)[:3] == "57P"

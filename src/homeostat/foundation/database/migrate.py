"""Brings a database up to the tables of this release; called when a house is opened.

Alembic is loaded only when there is something to do: a server that finds the newest version
starts without it.
"""

from __future__ import annotations

import functools
from pathlib import Path

import sqlalchemy as sa

from homeostat.foundation import errors
from homeostat.foundation.database import borders, engine

FOLDER = Path(__file__).parent / "migrations"
CURRENT = sa.text("SELECT version_num FROM alembic_version")


@functools.cache
def known_versions() -> tuple[str, ...]:
    """Return the versions this release can bring a database to, oldest first.

    Returns
    -------
    tuple of str
        Four digits each, from the names of the files.
    """
    return tuple(sorted(path.name[:4] for path in (FOLDER / "versions").glob("[0-9]*_*.py")))


def version(database: engine.Database) -> str:
    """Return the version a database is at.

    Parameters
    ----------
    database
        Any, also an empty one.

    Returns
    -------
    str
        Four digits; empty when there are no tables yet.

    Raises
    ------
    UnavailableError
        When the database cannot be reached.
    """
    with borders.connected(database.reading) as connection:
        return _version(connection)


def upgrade(database: engine.Database) -> None:
    """Create or change tables until they are those of this release; nothing when they are.

    Several processes may call this at once: one does the work, the others wait for it.

    Parameters
    ----------
    database
        Any, also an empty one.

    Raises
    ------
    ConflictError
        When the database was written by a newer release.
    UnavailableError
        When it cannot be reached or written.
    """
    if _is_at_head(version(database)):
        return
    from alembic import command, config  # noqa: PLC0415 - 0.2 s that a current database saves

    with borders.connected(database.writing) as connection:
        # Asked again under the write lock: another process may have been faster.
        if _is_at_head(_version(connection)):
            return
        settings = config.Config()
        settings.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
        borders.commit(connection)


def _version(connection: sa.Connection) -> str:
    if not sa.inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(CURRENT).scalar() or "")


def _is_at_head(found: str) -> bool:
    if found and found not in known_versions():
        raise errors.ConflictError(
            f"the database is at version {found}, this release knows {known_versions()[-1]}",
            hint="install the newer release that wrote it",
        )
    return found == known_versions()[-1]

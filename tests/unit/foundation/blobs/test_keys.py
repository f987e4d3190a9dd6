"""Data keys: one per owner, wrapped, destroyed for ever."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from homeostat.foundation import blobs, database
from homeostat.foundation.blobs import keys, master, records
from homeostat.foundation.database import migrate
from homeostat.foundation.errors import CorruptError, NotFoundError


@pytest.fixture
def db(tmp_path):
    opened = database.Database(f"sqlite:///{tmp_path / 'homeostat.db'}")
    migrate.upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def master_key(tmp_path):
    return master.load(tmp_path)


def test_an_owner_keeps_its_key(db, master_key):
    with db.write() as tx:
        made = keys.ensure(tx, master_key, "dataset:a")
        assert keys.ensure(tx, master_key, "dataset:a") == made
        assert keys.ensure(tx, master_key, "dataset:b").secret != made.secret
    with db.read() as tx:
        assert keys.get(tx, master_key, "dataset:a") == made


def test_projects_do_not_share_keys(db, master_key):
    with db.write() as tx:
        here = keys.ensure(tx, master_key, "dataset:a")
    with db.write(project="other") as tx:
        assert keys.ensure(tx, master_key, "dataset:a").secret != here.secret


def test_what_is_stored_is_not_the_key(db, master_key):
    with db.write() as tx:
        made = keys.ensure(tx, master_key, "dataset:a")
        (wrapped,) = tx.execute(sa.select(records.data_keys.c.wrapped)).scalars()
    assert made.secret not in wrapped


def test_another_master_key_opens_nothing(db, master_key, tmp_path):
    with db.write() as tx:
        keys.ensure(tx, master_key, "dataset:a")
        with pytest.raises(CorruptError, match="dataset:a"):
            keys.get(tx, master.load(tmp_path / "other"), "dataset:a")


def test_a_destroyed_key_takes_its_blobs_with_it(db, master_key, tmp_path):
    store = blobs.open_store(str(tmp_path / "blobs"))
    with db.write() as tx:
        first = keys.ensure(tx, master_key, "dataset:a")
        blob = store.put(first, b"rows")
        assert keys.destroy(tx, "dataset:a") == 1
        assert keys.destroy(tx, "dataset:a") == 0
        with pytest.raises(NotFoundError, match="was destroyed"):
            keys.get(tx, master_key, "dataset:a")
        second = keys.ensure(tx, master_key, "dataset:a")
    assert second.generation == 2
    assert not store.exists(second, blob.digest)
    with pytest.raises(NotFoundError):
        store.get(second, blob.digest)


def test_an_owner_without_blobs_has_no_key(db, master_key):
    with db.read() as tx, pytest.raises(NotFoundError, match="stored no blobs"):
        keys.get(tx, master_key, "dataset:a")

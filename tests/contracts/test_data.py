"""Snapshots and data keys on both databases."""

from __future__ import annotations

import concurrent.futures

import polars as pl
import pytest

from homeostat.foundation import access, house, settings
from homeostat.foundation.blobs import keys
from homeostat.foundation.errors import ConflictError, NotFoundError
from homeostat.lifecycle.data import actions, intake, tables
from homeostat.lifecycle.data.inspection import Offer

OWNER = access.local_owner("ada")


@pytest.fixture
def opened(tmp_path, database_url):
    told = settings.Settings(home=tmp_path / "home", database_url=database_url)
    with house.open_house(told) as one:
        yield one


def add(opened, *values, name="loans"):
    data = tables.encode(pl.DataFrame({"x": values}))
    return intake.add(opened, OWNER, name, Offer(data=data, format="parquet"))


def test_snapshots_are_numbered_paged_and_found(opened):
    first, second = add(opened, 1, 2), add(opened, 3)
    assert add(opened, 1, 2) == first
    listed = opened.read(lambda tx: actions.list_snapshots(tx, OWNER, "loans"))
    assert listed == [second, first]
    page = opened.read(lambda tx: actions.list_snapshots(tx, OWNER, "loans", before=2))
    assert page == [first]
    names = opened.read(lambda tx: actions.list_datasets(tx, OWNER, after="k", limit=5))
    assert [dataset.name for dataset in names] == ["loans"]
    assert intake.read_snapshot(opened, second)["x"].to_list() == [3]
    with pytest.raises(ConflictError):
        add(opened, "text", "x")


def test_many_who_add_at_once_get_numbers_without_gaps(opened):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: add(opened, n % 6), range(24)))
    assert sorted({snapshot.number for snapshot in found}) == [1, 2, 3, 4, 5, 6]
    assert len({snapshot.id for snapshot in found}) == 6


def test_an_owner_has_one_key_until_it_is_destroyed(opened):
    def ensure(_):
        return opened.write(lambda tx: keys.ensure(tx, opened.master_key, "run:1"))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert len({key.secret for key in pool.map(ensure, range(16))}) == 1
    blob = opened.put_blob("run:1", b"model")
    assert opened.get_blob("run:1", blob.digest) == b"model"
    opened.write(lambda tx: keys.destroy(tx, "run:1"))
    with pytest.raises(NotFoundError, match="was destroyed"):
        opened.get_blob("run:1", blob.digest)

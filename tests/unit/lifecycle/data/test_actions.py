"""Snapshots are numbered, content-addressed, checked, and recorded."""

from __future__ import annotations

import polars as pl
import pytest

from homeostat.foundation import access, events, lineage
from homeostat.foundation.errors import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
)
from homeostat.lifecycle.data import actions, intake, tables
from homeostat.lifecycle.data.inspection import Offer

OWNER = access.local_owner("ann")
READER = access.Actor("bob", access.Role.VIEWER)
FRAME = pl.DataFrame(
    {"id": ["a", "b", "c"], "income": [1.0, 2.0, None], "region": ["n", "s", "n"]}
)


@pytest.fixture
def opened(house):
    return house


def add(opened, frame=FRAME, *, name="loans", actor=OWNER, key=None, time=None, **more):
    data = tables.encode(frame)
    offer = Offer(data=data, format="parquet", source="x.parquet", key=key, time=time)
    return intake.add(opened, actor, name, offer, **more)


def test_a_snapshot_says_what_is_in_it(opened):
    snapshot = add(opened, key="id")
    assert (snapshot.dataset, snapshot.number, snapshot.n_rows) == ("loans", 1, 3)
    assert snapshot.schema.names == ("id", "income", "region")
    assert snapshot.created_by == "ann"
    assert all(result.passed for result in snapshot.checks)
    assert intake.read_snapshot(opened, snapshot).equals(FRAME)
    assert opened.read(lambda tx: actions.get_snapshot(tx, OWNER, "loans")) == snapshot
    by_id = opened.read(lambda tx: actions.find_snapshot(tx, OWNER, snapshot.reference))
    assert by_id == snapshot


def test_the_summary_is_frozen_with_the_snapshot(opened):
    found = intake.read_summary(opened, add(opened))
    assert found.columns.n_rows == 3
    assert found.columns.columns["income"].mean == 1.5
    assert set(found.bins.columns) == {"id", "income", "region"}


def test_the_same_bytes_are_the_same_snapshot(opened):
    first = add(opened)
    assert add(opened) == first
    assert add(opened, name="other").id != first.id
    recorded = opened.read(lambda tx: events.read(tx, kinds=["snapshot.added"]))
    assert recorded[0].subject == first.reference
    assert len(recorded) == 2


def test_versions_are_numbered_and_follow_each_other(opened):
    first = add(opened, key="id")
    second = add(opened, FRAME.with_columns(income=pl.Series([1.0, 9.0, 2.0])))
    assert (second.number, second.key) == (2, "id")
    assert [d.sentence for d in second.differences] == [
        "column 'income' now runs from 1 to 9; before, from 1 to 2"
    ]
    (failed,) = [result for result in second.checks if not result.passed]
    assert (failed.check.kind, failed.rows) == ("range", (1,))
    edges = opened.read(lambda tx: lineage.ancestors(tx, second.reference))
    assert [(edge.source, edge.kind) for edge in edges] == [(first.reference, "followed-by")]
    listed = opened.read(lambda tx: actions.list_snapshots(tx, READER, "loans"))
    assert [snapshot.number for snapshot in listed] == [2, 1]
    page = opened.read(
        lambda tx: actions.list_snapshots(tx, READER, "loans", before=2, limit=1)
    )
    assert page == [first]
    assert opened.read(lambda tx: actions.get_snapshot(tx, READER, "loans", number=1)) == first
    (dataset,) = opened.read(lambda tx: actions.list_datasets(tx, READER))
    assert (dataset.name, dataset.n_snapshots) == ("loans", 2)


def test_a_broken_schema_is_refused_unless_allowed(opened):
    add(opened)
    changed = FRAME.drop("region").with_columns(income=pl.Series(["x", "y", "z"]))
    with pytest.raises(ConflictError) as refusal:
        add(opened, changed)
    assert "column 'income' was number and is category" in str(refusal.value)
    assert "column 'region' (category) is gone" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert add(opened, changed, allow_schema_change=True).number == 2


def test_what_it_was_made_of_is_known(opened):
    source = add(opened)
    derived = add(opened, FRAME.head(2), name="train", made_of=(source.reference,))
    edges = opened.read(lambda tx: lineage.ancestors(tx, derived.reference))
    assert [(edge.source, edge.kind) for edge in edges] == [(source.reference, "made-of")]


@pytest.mark.parametrize(
    ("frame", "more", "part"),
    [
        (
            FRAME,
            {"key": "idd"},
            "the key column 'idd' is not in the table (did you mean 'id'?)",
        ),
        (FRAME, {"time": "at"}, "the time column 'at' is not in the table"),
        (FRAME, {"key": "region"}, "1 values that come more than once, first 'n' in rows 0, 2"),
        (FRAME, {"key": "income"}, "no value in 1 rows, first in row 2"),
        (FRAME, {"time": "income"}, "the time column 'income' has no value in 1 rows"),
        (FRAME, {"time": "region"}, "no order in time"),
        (FRAME.with_columns(gone=pl.lit(None)), {}, "column 'gone' has no value"),
        (FRAME.clear(), {}, "x.parquet is empty"),
        (FRAME.with_columns(income=pl.lit(float("inf"))), {}, "infinite value in 3 rows"),
        (FRAME, {"name": "a/b"}, "'a/b' cannot name a dataset"),
        (FRAME, {"name": "..\n"}, "cannot name a dataset"),
    ],
)
def test_bad_tables_are_refused_and_nothing_is_kept(opened, frame, more, part):
    with pytest.raises(InvalidInputError) as refusal:
        add(opened, frame, **more)
    assert part in str(refusal.value)
    assert opened.read(lambda tx: actions.list_datasets(tx, OWNER)) == []


def test_a_cut_file_is_refused(opened):
    with pytest.raises(InvalidInputError, match="not a readable parquet"):
        intake.add(
            opened, OWNER, "loans", Offer(data=tables.encode(FRAME)[:50], format="parquet")
        )


def test_a_viewer_may_read_but_not_write(opened):
    with pytest.raises(NotAllowedError):
        add(opened, actor=READER)
    delivery = intake.take(opened, OWNER, "loans", Offer(data=b"a\n1\n", format="csv"))
    with pytest.raises(NotAllowedError):
        opened.write(lambda tx: actions.add_snapshot(tx, READER, "loans", delivery))


def test_what_is_not_there_is_said_to_be_missing(opened):
    add(opened)
    for ask in (
        lambda tx: actions.get_snapshot(tx, OWNER, "none"),
        lambda tx: actions.list_snapshots(tx, OWNER, "none"),
        lambda tx: actions.find_snapshot(tx, OWNER, "snapshot:none"),
    ):
        with pytest.raises(NotFoundError, match="there is no"):
            opened.read(ask)
    with pytest.raises(NotFoundError, match="no snapshot 7; it has 1 to 1"):
        opened.read(lambda tx: actions.get_snapshot(tx, OWNER, "loans", number=7))


def test_projects_do_not_see_each_other(opened):
    add(opened, project="one")
    assert add(opened, project="two").number == 1
    assert opened.read(lambda tx: actions.list_datasets(tx, OWNER), project="three") == []

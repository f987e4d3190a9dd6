"""What lineage promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from homeostat.foundation import lineage


@pytest.fixture
def story(database):
    with database.write() as tx:
        for source, target in [
            ("snapshot:1", "run:1"),
            ("snapshot:2", "run:1"),
            ("run:1", "model:credit@1"),
            ("model:credit@1", "deployment:credit"),
            ("snapshot:9", "run:9"),
        ]:
            lineage.connect(tx, source=source, target=target, kind="made")
    return database


def sources(edges):
    return {edge.source for edge in edges}


def test_ancestors_are_all_that_something_was_made_of(story):
    with story.read() as tx:
        found = lineage.ancestors(tx, "deployment:credit")
    assert sources(found) == {"model:credit@1", "run:1", "snapshot:1", "snapshot:2"}


def test_descendants_are_all_that_was_made_of_it(story):
    with story.read() as tx:
        found = lineage.descendants(tx, "snapshot:2")
    assert {edge.target for edge in found} == {"run:1", "model:credit@1", "deployment:credit"}


def test_the_unknown_has_no_lineage(story):
    with story.read() as tx:
        assert lineage.ancestors(tx, "run:none") == lineage.descendants(tx, "run:none") == []


def test_connecting_twice_keeps_one_edge_and_its_instant(story):
    with story.write() as tx:
        first = lineage.ancestors(tx, "run:9")[0]
        again = lineage.connect(tx, source="snapshot:9", target="run:9", kind="made")
        assert again == first
        lineage.connect(tx, source="snapshot:9", target="run:9", kind="checked")
        assert len(lineage.ancestors(tx, "run:9")) == 2


def test_a_circle_ends(story):
    with story.write() as tx:
        lineage.connect(tx, source="deployment:credit", target="snapshot:1", kind="logged")
        assert len(lineage.ancestors(tx, "run:1")) == 5
        assert len(lineage.descendants(tx, "run:1")) == 4


def test_projects_do_not_see_each_other(story):
    with story.read(project="bank") as tx:
        assert lineage.ancestors(tx, "deployment:credit") == []


def test_a_limit_is_kept(story):
    with story.read() as tx:
        assert len(lineage.ancestors(tx, "deployment:credit", limit=2)) == 2

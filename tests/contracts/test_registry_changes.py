"""What is said of models later, and what may not be taken away, on both databases."""

from __future__ import annotations

from concurrent import futures

import pytest
import sqlalchemy as sa
from alembic import command, config

from homeostat.foundation import access, errors, events, lineage
from homeostat.foundation.database import Database, borders, migrate
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.evaluation import actions as evaluation
from homeostat.lifecycle.evaluation import exam, gates
from homeostat.lifecycle.registry import (
    actions,
    approvals,
    files,
    naming,
    notes,
    search,
    sourcing,
    told,
)
from homeostat.lifecycle.serving import actions as serving

ADA = access.local_owner("ada")
BEN = access.Actor("ben", access.Role.REVIEWER)
EVE = access.Actor("eve", access.Role.VIEWER)
SCHEMA = Schema((Column(name="x", kind="number"),))
POLICY = '[model]\nname = "credit"\ntarget = "y"\ntier = "low"\n[gates]\nat_least = 0.5\n'
FILES = files.describe({"model.skops": b"model"})


def judged_version(tx, actor=ADA):
    said = gates.judge(
        exam.sit([0, 1] * 50, [0.2, 0.8] * 50, rows="rows 0-99"),
        policies.parse(POLICY, where="homeostat.toml").gates,
    )
    report = evaluation.save_report(
        tx,
        actor,
        "credit",
        candidate=files.tree_digest(FILES),
        exam=exam.sit([0, 1] * 50, [0.2, 0.8] * 50, rows="rows 0-99"),
        judged=said,
        policy_digest="p" * 64,
        measured_by="system",
    )
    return actions.register_version(
        tx, actor, "credit", files=FILES, schema=SCHEMA, report_id=report.id, tier="low"
    )


def far_away(tx, model="credit", **more):
    return sourcing.register_source(tx, ADA, model, source="s3://bucket/m", **more)


def kinds(tx):
    return [event.kind for event in events.read(tx)]


def test_what_a_deployment_serves_can_be_neither_renamed_nor_deleted(database):
    with database.write() as tx:
        judged_version(tx)
        judged_version(tx)
        serving.deploy(tx, ADA, "scores", policy=POLICY, number=2)
    with database.write() as tx:
        naming.delete_version(tx, ADA, "credit", 1)
        with pytest.raises(errors.InvalidInputError, match="deployment:scores"):
            naming.delete_version(tx, ADA, "credit", 2)
        with pytest.raises(errors.InvalidInputError, match="deployment:scores"):
            naming.delete_model(tx, ADA, "credit")
        with pytest.raises(errors.InvalidInputError, match="deployment:scores serves it"):
            naming.rename_model(tx, ADA, "credit", to="score")
    with database.read() as tx:
        assert [one.number for one in actions.list_versions(tx, ADA, "credit")] == [2]


def test_a_renamed_version_may_still_answer_on_its_report_and_keeps_its_key(database):
    with database.write() as tx:
        before = judged_version(tx)
        actions.approve(tx, BEN, "credit", 1)
        naming.rename_model(tx, ADA, "credit", to="my score")
    with database.read() as tx:
        after = actions.get_version(tx, ADA, "my score", 1)
        rules = policies.parse(POLICY.replace("credit", "score"), where="homeostat.toml")
        approvals.may_serve(tx, after, rules)
        given = actions.list_approvals(tx, ADA, "my score", 1)
        edges = {(e.source, e.target, e.kind) for e in lineage.ancestors(tx, after.reference)}
    assert (after.owner, after.reference) == (before.owner, "model:my score@1")
    assert [one.actor for one in given] == ["ben"]
    assert ("model:credit@1", "model:my score@1", "renamed") in edges


def test_a_version_without_files_says_why_it_cannot_answer(database):
    with database.write() as tx:
        naming.add_model(tx, ADA, "credit")
        version = far_away(tx)
        with pytest.raises(errors.InvalidInputError, match="s3://bucket/m"):
            actions.approve(tx, BEN, "credit", 1)
        rules = policies.parse(POLICY, where="homeostat.toml")
        with pytest.raises(errors.GateClosedError, match="no files on this server"):
            approvals.may_serve(tx, version, rules)


def test_every_change_leaves_an_event(database):
    with database.write() as tx:
        naming.add_model(tx, ADA, "credit", tags={"a": "b"})
        far_away(tx)
        notes.describe_model(tx, ADA, "credit", description="d")
        notes.describe_version(tx, ADA, "credit", 1, description="d")
        notes.tag_model(tx, ADA, "credit", values={"k": "v"})
        notes.tag_version(tx, ADA, "credit", 1, values={"k": "v"})
        notes.move_stage(tx, ADA, "credit", 1, stage="staging")
        notes.untag_model(tx, ADA, "credit", key="k")
        notes.untag_version(tx, ADA, "credit", 1, key="k")
        actions.set_alias(tx, ADA, "credit", "a", number=1)
        naming.drop_alias(tx, ADA, "credit", "a")
        naming.rename_model(tx, ADA, "credit", to="score")
        naming.delete_version(tx, ADA, "score", 1)
        naming.delete_model(tx, ADA, "score")
        found = kinds(tx)
    assert sorted(found) == sorted(
        [
            *("model.created", "version.registered", "model.described", "version.described"),
            *("model.tagged", "version.tagged", "version.staged", "model.untagged"),
            *("version.untagged", "alias.moved", "alias.moved", "model.renamed"),
            *("version.deleted", "model.deleted"),
        ]
    )


def test_what_changes_nothing_leaves_no_event(database):
    with database.write() as tx:
        naming.add_model(tx, ADA, "credit")
        before = len(kinds(tx))
        assert not notes.untag_model(tx, ADA, "credit", key="k")
        assert not naming.drop_alias(tx, ADA, "credit", "absent")
        assert naming.rename_model(tx, ADA, "credit", to="credit").name == "credit"
        assert len(kinds(tx)) == before


def test_who_only_looks_changes_nothing(database):
    with database.write() as tx:
        naming.add_model(tx, ADA, "credit")
        far_away(tx)
        for attempt in (
            lambda: naming.add_model(tx, EVE, "other"),
            lambda: naming.rename_model(tx, EVE, "credit", to="x"),
            lambda: naming.delete_model(tx, EVE, "credit"),
            lambda: naming.delete_version(tx, EVE, "credit", 1),
            lambda: naming.drop_alias(tx, EVE, "credit", "a"),
            lambda: notes.describe_model(tx, EVE, "credit", description="d"),
            lambda: notes.describe_version(tx, EVE, "credit", 1, description="d"),
            lambda: notes.tag_model(tx, EVE, "credit", values={"k": "v"}),
            lambda: notes.tag_version(tx, EVE, "credit", 1, values={"k": "v"}),
            lambda: notes.untag_model(tx, EVE, "credit", key="k"),
            lambda: notes.untag_version(tx, EVE, "credit", 1, key="k"),
            lambda: notes.move_stage(tx, EVE, "credit", 1, stage="Staging"),
            lambda: sourcing.register_source(tx, EVE, "credit", source="s3://b"),
        ):
            with pytest.raises(errors.NotAllowedError):
                attempt()
        assert told.model(tx, EVE, "credit").model.name == "credit"
        assert len(search.search_versions(tx, EVE).versions) == 1


def test_a_rename_onto_a_deleted_name_with_versions_is_refused(database):
    with database.write() as tx:
        naming.add_model(tx, ADA, "old")
        far_away(tx, "old")
        naming.delete_model(tx, ADA, "old")
        naming.add_model(tx, ADA, "empty")
        naming.delete_model(tx, ADA, "empty")
        naming.add_model(tx, ADA, "credit")
        with pytest.raises(errors.ConflictError, match="keeps its 1 versions"):
            naming.rename_model(tx, ADA, "credit", to="old")
        assert naming.rename_model(tx, ADA, "credit", to="empty").name == "empty"


def test_native_registering_into_a_deleted_name_goes_on_counting(database):
    with database.write() as tx:
        judged_version(tx)
        naming.delete_model(tx, ADA, "credit")
        assert judged_version(tx).number == 2
        assert [one.number for one in actions.list_versions(tx, ADA, "credit")] == [2]
        assert actions.get_model(tx, ADA, "credit").latest == 2


def test_standing_aliases_are_found_without_their_history(database):
    with database.write() as tx:
        naming.add_model(tx, ADA, "credit")
        far_away(tx)
        far_away(tx)
        for number in (1, 2, None, 1):
            actions.set_alias(tx, ADA, "credit", "b", number=number)
        actions.set_alias(tx, ADA, "credit", "a", number=2)
        actions.set_alias(tx, ADA, "credit", "c", number=2)
        actions.set_alias(tx, ADA, "credit", "c", number=None)
        found = [(one.alias, one.number) for one in actions.list_aliases(tx, ADA, "credit")]
        assert found == [("a", 2), ("b", 1)]
        assert [one.place for one in actions.alias_history(tx, ADA, "credit", "b")] == [
            4,
            3,
            2,
            1,
        ]


def test_two_renames_to_one_name_at_once_leave_one(database):
    with database.write() as tx:
        for name in ("one", "two"):
            naming.add_model(tx, ADA, name)

    def rename(name):
        try:
            with database.write() as tx:
                naming.rename_model(tx, ADA, name, to="score")
        except errors.ConflictError:
            return False
        return True

    with futures.ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(rename, ("one", "two"))) == [False, True]


def test_a_page_begins_behind_the_last_row_even_when_others_are_added(database):
    with database.write() as tx:
        for name in ("b", "d", "f"):
            naming.add_model(tx, ADA, name)
    with database.write() as tx:
        first = search.search_models(tx, ADA, limit=2)
        for name in ("a", "c", "e"):
            naming.add_model(tx, ADA, name)
        second = search.search_models(tx, ADA, limit=2, after=first.next)
        assert [one.name for one in (*first.models, *second.models)] == ["b", "d", "e", "f"]
        with pytest.raises(errors.InvalidInputError, match="another filter or order"):
            search.search_models(tx, ADA, limit=2, after=first.next, condition="name = 'b'")


def test_rows_of_before_get_what_is_asked_of_all_rows_now(empty_database_url):
    database = migrate_to(empty_database_url, "0013")
    body = '{"model":"credit","number":1,"created_at":7,"run_id":"r"}'
    with database.write() as tx:
        for text in (
            "INSERT INTO models VALUES ('default','credit','ada','low',2,5,'ada')",
            "INSERT INTO versions VALUES ('default','credit',1,'d','registered','"
            + body
            + "')",
            "INSERT INTO aliases VALUES ('default','credit','c',1,1,1,'ada','')",
            "INSERT INTO aliases VALUES ('default','credit','c',2,1,2,'ada','')",
        ):
            tx.execute(sa.text(text.replace(":", "\\:")))
    migrate.upgrade(database)
    with database.read() as tx:
        asked = "SELECT created_at, updated_at, run_id, stage, description FROM versions"
        assert tuple(tx.execute(sa.text(asked)).one()) == (7, 7, "r", "None", "")
        asked = "SELECT place FROM aliases WHERE is_standing"
        assert tx.execute(sa.text(asked)).scalars().all() == [2]
        assert tx.execute(sa.text("SELECT updated_at FROM models")).scalar_one() == 5
    database.close()


def migrate_to(url, version):
    """A database as a release before left it."""
    database = Database(url)
    with borders.connected(database.writing) as connection:
        told = config.Config()
        told.set_main_option("script_location", str(migrate.FOLDER))
        told.attributes["connection"] = connection
        command.upgrade(told, version)
        borders.commit(connection)
    return database

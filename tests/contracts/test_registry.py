"""Registry and reports keep their promises on both databases."""

from __future__ import annotations

from concurrent import futures

import blake3
import msgspec
import pytest
import sqlalchemy as sa

from homeostat.foundation import access, errors, events, lineage
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.evaluation import actions as evaluation
from homeostat.lifecycle.evaluation import exam, gates, records
from homeostat.lifecycle.registry import actions, approvals, files
from homeostat.lifecycle.registry.entities import File

SCHEMA = Schema((Column(name="x", kind="number"),))
ADA = access.local_owner("ada")
BEN = access.Actor("ben", access.Role.REVIEWER)
LOOP = access.system("loop")


def tree(content=b"model"):
    return files.describe({"model.skops": content, "MLmodel": b"flavors: {}"})


def policy(tier="low", gate=""):
    text = f'[model]\nname = "credit"\ntarget = "y"\ntier = "{tier}"\n[gates]\n{gate}\n'
    return policies.parse(text, where="homeostat.toml")


def register(tx, actor=ADA, *, content=b"model", **facts):
    return actions.register_version(
        tx, actor, "credit", files=tree(content), schema=SCHEMA, **facts
    )


def judged_version(
    tx, actor=ADA, *, content=b"model", at_least=0.5, measured_by="system", **facts
):
    taken = exam.sit([0, 1] * 50, [0.2, 0.8] * 50, rows="rows 0-99")
    gate = "" if at_least is None else f"at_least = {at_least}"
    said = gates.judge(taken, policy(gate=gate).gates)
    report = evaluation.save_report(
        tx,
        actor,
        "credit",
        candidate=files.tree_digest(tree(content)),
        exam=taken,
        judged=said,
        policy_digest="p" * 64,
        measured_by=measured_by,
    )
    return register(tx, actor, content=content, report_id=report.id, **facts)


def test_versions_count_from_one_and_are_listed_newest_first(database):
    with database.write() as tx:
        for content in (b"a", b"b", b"c"):
            register(tx, content=content)
    with database.read() as tx:
        assert [v.number for v in actions.list_versions(tx, ADA, "credit")] == [3, 2, 1]
        assert [
            v.number for v in actions.list_versions(tx, ADA, "credit", before=3, limit=1)
        ] == [2]
        assert actions.get_model(tx, ADA, "credit").latest == 3


def test_versions_registered_at_once_get_different_numbers(database):
    def one(content):
        with database.write() as tx:
            return register(tx, content=b"%d" % content).number

    with futures.ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(one, range(16)))
    assert sorted(numbers) == list(range(1, 17))


def test_a_version_says_where_it_came_from(database):
    with database.write() as tx:
        version = register(
            tx,
            run_id="r1",
            snapshots=("snapshot:s1",),
            trained_rows=(0, 400),
            purpose="initial",
            baseline="b" * 64,
        )
    with database.read() as tx:
        found = actions.get_version(tx, ADA, "credit", 1)
        edges = {(edge.source, edge.kind) for edge in lineage.ancestors(tx, "model:credit@1")}
        last = events.read(tx, kinds=("version.registered",))[-1]
    assert found == version
    assert edges == {("run:r1", "made"), ("snapshot:s1", "trained")}
    assert last.facts["digest"] == version.digest


def test_the_digest_is_of_paths_and_contents(database):
    assert files.tree_digest(tree()) == files.tree_digest(reversed(tree()))
    assert files.tree_digest(tree()) != files.tree_digest(tree(b"other"))


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a//b", "a/../b", "", "a\\b", ".hidden", "a/.b"]
)
def test_a_path_that_leads_elsewhere_is_refused(database, path):
    bad = (File(path=path, digest=blake3.blake3(b"").hexdigest(), size_bytes=0),)
    with database.write() as tx, pytest.raises(errors.InvalidInputError):
        actions.register_version(tx, ADA, "credit", files=bad, schema=SCHEMA)


def test_what_is_not_there_is_named(database):
    with database.read() as tx:
        with pytest.raises(errors.NotFoundError, match="no model 'credit'"):
            actions.get_model(tx, ADA, "credit")
        with pytest.raises(errors.NotFoundError):
            actions.list_versions(tx, ADA, "credit")
    with database.write() as tx:
        register(tx)
        with pytest.raises(errors.NotFoundError, match="no version 2"):
            actions.set_alias(tx, ADA, "credit", "champion", number=2)
        with pytest.raises(errors.NotFoundError, match="no alias"):
            actions.set_alias(tx, ADA, "credit", "champion", number=None)


def test_an_alias_remembers_which_version_it_meant_at_any_instant(database):
    instants = []
    for number in (1, 2, None, 1):
        with database.write() as tx:
            tx.at += 1000 * len(instants)
            if number and number > len(instants):
                register(tx, content=b"%d" % number)
            change = actions.set_alias(tx, ADA, "credit", "champion", number=number)
            instants.append(change.at)
    with database.read() as tx:
        for number, at in zip((1, 2, None, 1), instants, strict=True):
            if number is None:
                with pytest.raises(errors.NotFoundError, match="at that time"):
                    actions.version_at(tx, ADA, "credit", "champion", at=at)
            else:
                assert actions.version_at(tx, ADA, "credit", "champion", at=at).number == number
        with pytest.raises(errors.NotFoundError):
            actions.version_at(tx, ADA, "credit", "champion", at=instants[0] - 1)
        assert actions.version_at(tx, ADA, "credit", "champion").number == 1
        history = actions.alias_history(tx, ADA, "credit", "champion")
        assert [change.number for change in history] == [1, None, 2, 1]
        assert [a.number for a in actions.list_aliases(tx, ADA, "credit")] == [1]


def test_pointing_an_alias_where_it_points_changes_nothing(database):
    with database.write() as tx:
        register(tx)
        first = actions.set_alias(tx, ADA, "credit", "champion", number=1)
        assert actions.set_alias(tx, ADA, "credit", "champion", number=1) == first


def test_second_approval_by_same_person_is_refused(database):
    with database.write() as tx:
        register(tx)
        actions.approve(tx, BEN, "credit", 1, note="looked at it")
        with pytest.raises(errors.ConflictError, match="ben has approved"):
            actions.approve(tx, BEN, "credit", 1)
        assert [a.actor for a in actions.list_approvals(tx, ADA, "credit", 1)] == ["ben"]
        assert actions.get_version(tx, ADA, "credit", 1).status == "approved"


def test_a_trainer_may_not_approve_where_the_tier_is_high(database):
    with database.write() as tx:
        register(tx, tier="high")
        register(tx, BEN_CONTRIBUTES, content=b"b", trained_by="carl")
        for number, actor in ((1, ADA), (2, BEN)):
            with pytest.raises(errors.NotAllowedError, match="second pair of eyes"):
                actions.approve(tx, actor, "credit", number)
        actions.approve(tx, BEN, "credit", 1)


BEN_CONTRIBUTES = access.Actor("ben", access.Role.CONTRIBUTOR)


def test_no_part_of_the_system_and_no_contributor_approves(database):
    with database.write() as tx:
        register(tx)
        with pytest.raises(errors.NotAllowedError, match="no person"):
            actions.approve(tx, LOOP, "credit", 1)
        with pytest.raises(errors.NotAllowedError, match=r"model\.approve"):
            actions.approve(tx, BEN_CONTRIBUTES, "credit", 1)


def test_a_version_no_gate_has_judged_may_not_serve(database):
    with database.write() as tx:
        version = register(tx, tier="low")
        with pytest.raises(errors.GateClosedError, match="no gate has judged it"):
            approvals.may_serve(tx, version, policy())


def test_gates_suffice_in_the_low_tier_and_a_failed_one_closes_it(database):
    with database.write() as tx:
        approvals.may_serve(tx, judged_version(tx, tier="low"), policy())
        failed = judged_version(tx, content=b"b", at_least=1.5)
        with pytest.raises(errors.GateClosedError, match=r"roc_auc is 1 .* 1\.5 or more"):
            approvals.may_serve(tx, failed, policy())


@pytest.mark.parametrize("at_least", [None, 0.5], ids=["no gates", "laxer gates"])
def test_the_policy_it_answers_under_judges_again(database, at_least):
    with database.write() as tx:
        version = judged_version(tx, tier="low", at_least=at_least)
        assert evaluation.get_report(tx, ADA, version.report_id).verdict == "pass"
        with pytest.raises(errors.GateClosedError, match=r"roc_auc is 1 .* 1\.5 or more"):
            approvals.may_serve(tx, version, policy(gate="at_least = 1.5"))
        with pytest.raises(errors.GateClosedError, match="metric is 'brier'"):
            approvals.may_serve(tx, version, policy(gate='metric = "brier"'))
        approvals.may_serve(tx, version, policy(gate="at_least = 0.9"))


def test_an_exam_sent_by_a_client_must_look_at_all_the_policy_asks_and_says_whose_word(
    database,
):
    fair = policies.parse(
        '[model]\nname = "credit"\ntarget = "y"\ntier = "low"\n[data]\nprotected = ["sex"]\n'
        "[gates]\nworst_slice_at_least = 0.6\n"
    )
    with database.write() as tx:
        version = judged_version(tx, tier="low", measured_by="client")
        with pytest.raises(errors.GateClosedError, match="nothing of worst_slice by sex"):
            approvals.may_serve(tx, version, fair)
        with pytest.raises(errors.GateClosedError, match="its exam is the word of ada"):
            approvals.may_serve(tx, version, policy("medium"))


def test_medium_needs_a_person_once_then_the_loop_goes_on_inside_its_envelope(database):
    with database.write() as tx:
        first = judged_version(tx, LOOP, tier="medium")
        with pytest.raises(errors.GateClosedError, match="approval of a person"):
            approvals.may_serve(tx, first, policy("medium"))
        actions.approve(tx, ADA, "credit", 1)
        approvals.may_serve(tx, first, policy("medium"))
        by_loop = judged_version(tx, LOOP, content=b"b")
        approvals.may_serve(tx, by_loop, policy("medium"))
        by_hand = judged_version(tx, ADA, content=b"c")
        with pytest.raises(errors.GateClosedError):
            approvals.may_serve(tx, by_hand, policy("medium"))


def test_high_needs_someone_else_for_each_version(database):
    with database.write() as tx:
        first = judged_version(tx, ADA, tier="high")
        actions.approve(tx, BEN, "credit", 1)
        approvals.may_serve(tx, first, policy("high"))
        second = judged_version(tx, LOOP, content=b"b")
        with pytest.raises(errors.GateClosedError, match="did not train it"):
            approvals.may_serve(tx, second, policy("high"))


def test_a_policy_stricter_than_the_model_counts_and_a_laxer_one_does_not(database):
    with database.write() as tx:
        version = judged_version(tx, ADA, tier="medium")
        with pytest.raises(errors.GateClosedError):
            approvals.may_serve(tx, version, policy("low"))
        actions.approve(tx, ADA, "credit", 1)
        approvals.may_serve(tx, version, policy("low"))
        with pytest.raises(errors.GateClosedError, match="did not train it"):
            approvals.may_serve(tx, version, policy("high"))


def test_a_report_on_other_files_lets_nothing_in(database):
    with database.write() as tx:
        version = judged_version(tx, tier="low")
        with pytest.raises(errors.InvalidInputError, match="other files"):
            register(tx, content=b"swapped", report_id=version.report_id)
        with pytest.raises(errors.NotFoundError):
            register(tx, report_id="none")


def test_a_report_changed_in_the_database_is_found(database):
    with database.write() as tx:
        version = judged_version(tx, tier="low", at_least=1.5)
    with database.write() as tx:
        report = evaluation.verify_report(tx, ADA, version.report_id)
        forged = msgspec.json.encode(msgspec.structs.replace(report, verdict="pass")).decode()
        tx.execute(sa.update(records.reports).values(body=forged))
    with database.read() as tx:
        with pytest.raises(errors.CorruptError, match="was changed"):
            evaluation.verify_report(tx, ADA, version.report_id)
        with pytest.raises(errors.CorruptError):
            approvals.may_serve(tx, version, policy())


def test_reports_of_a_model_come_newest_first(database):
    with database.write() as tx:
        wanted = [judged_version(tx, content=b"%d" % i).report_id for i in range(3)]
    with database.read() as tx:
        found = [report.id for report in evaluation.list_reports(tx, ADA, "credit")]
        assert sorted(found) == sorted(wanted)
        assert found == sorted(found, reverse=True)
        rest = evaluation.list_reports(tx, ADA, "credit", before=found[0])
        assert [report.id for report in rest] == found[1:]


def test_another_project_sees_nothing(database):
    with database.write() as tx:
        version = judged_version(tx)
        actions.set_alias(tx, ADA, "credit", "champion", number=1)
    with database.read(project="other") as tx:
        assert actions.list_models(tx, ADA) == []
        assert evaluation.list_reports(tx, ADA, "credit") == []
        with pytest.raises(errors.NotFoundError):
            actions.get_version(tx, ADA, "credit", 1)
        with pytest.raises(errors.NotFoundError):
            evaluation.get_report(tx, ADA, version.report_id)

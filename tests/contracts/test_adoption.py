"""Trust and judgements stand beside a version and never change it; on both databases."""

from __future__ import annotations

import msgspec
import pytest

from homeostat.foundation import access, errors, events
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.evaluation import actions as evaluation
from homeostat.lifecycle.evaluation import exam, gates
from homeostat.lifecycle.registry import actions, adopted, adoptions, approvals, files, naming
from homeostat.lifecycle.registry.adopted import Adoption

ADA = access.local_owner("ada")
BEN = access.Actor("ben", access.Role.REVIEWER)
EVE = access.Actor("eve", access.Role.CONTRIBUTOR)
SEEN = Schema((Column(name="x", kind="number"),))
POLICY = policies.parse('[model]\nname = "credit"\ntarget = "y"\ntier = "low"\n')


def register(tx, content=b"pickle", **facts):
    stored = files.describe({"MLmodel": b"flavors: {}", "model.pkl": content})
    return actions.register_version(
        tx,
        EVE,
        "credit",
        files=stored,
        schema=Schema(()),
        flavour="mlflow",
        tier="low",
        **facts,
    )


def report_on(tx, version, scores=(0.2, 0.8)):
    taken = exam.sit([0, 1] * 50, list(scores) * 50, rows="rows 0-99")
    return evaluation.save_report(
        tx,
        EVE,
        "credit",
        candidate=version.digest,
        exam=taken,
        judged=gates.judge(taken, POLICY.gates),
        policy_digest="p" * 64,
        measured_by="system",
    )


def adoption_of(version, report, **facts):
    return Adoption(
        **{
            "model": version.model,
            "number": version.number,
            "place": 0,
            "loader": "pickle",
            "description": "d" * 64,
            "baseline": "b" * 64,
            "owner": "model:credit",
            "schema": SEEN,
            "report_id": report.id,
            "snapshot": "snapshot:s",
            "actor": "eve",
            "at": 1,
            **facts,
        }
    )


def judged(tx, version):
    return adoptions.attach(tx, EVE, adoption_of(version, report_on(tx, version)))


def test_a_judgement_completes_a_version_and_leaves_it_as_it_was(database):
    with database.write() as tx:
        version = register(tx)
        other = register(tx, b"other")
        judged(tx, version)
        again = judged(tx, version)
    with database.read() as tx:
        found = actions.get_version(tx, ADA, "credit", 1)
        listed = actions.list_versions(tx, ADA, "credit")
        last = events.read(tx, kinds=("version.judged",))[-1]
    assert (found.schema, found.baseline, found.report_id) == (SEEN, "b" * 64, again.report_id)
    kept = {"schema": version.schema, "baseline": "", "report_id": ""}
    assert msgspec.structs.replace(found, **kept) == version
    assert listed == [other, found]
    assert again.place == 2
    assert last.facts["report"] == again.report_id


def test_a_report_on_other_files_is_not_attached(database):
    with database.write() as tx:
        version, other = register(tx), register(tx, b"other")
        with pytest.raises(errors.InvalidInputError, match="about other files"):
            adoptions.attach(tx, EVE, adoption_of(version, report_on(tx, other)))


def test_what_a_person_approved_is_not_judged_anew_behind_their_back(database):
    with database.write() as tx:
        version = register(tx)
        actions.approve(tx, BEN, "credit", 1)
        judged(tx, version)
    with database.write() as tx, pytest.raises(errors.ConflictError, match="was approved as"):
        judged(tx, version)


def test_a_pickle_may_answer_only_while_it_is_trusted(database):
    def word(tx, *, is_trusted):
        adoptions.set_trust(tx, BEN, "credit", 1, is_trusted=is_trusted, reason="because")

    with database.write() as tx:
        version = register(tx)
        with pytest.raises(errors.GateClosedError, match="no gate has judged it"):
            approvals.may_serve(tx, version, POLICY)
        judged(tx, version)
        found = actions.get_version(tx, ADA, "credit", 1)
        for is_trusted in (None, True, False):
            if is_trusted is not None:
                word(tx, is_trusted=is_trusted)
            assert adopted.loadable(tx, found).is_trusted is bool(is_trusted)
            if is_trusted:
                approvals.may_serve(tx, found, POLICY)
                continue
            with pytest.raises(errors.GateClosedError, match="nobody trusts it") as caught:
                approvals.may_serve(tx, found, POLICY)
            assert "homeostat model trust credit 1" in caught.value.hint


def test_a_model_that_is_only_data_needs_no_trust(database):
    with database.write() as tx:
        version = register(tx)
        adoptions.attach(tx, EVE, adoption_of(version, report_on(tx, version), loader="skops"))
        approvals.may_serve(tx, actions.get_version(tx, ADA, "credit", 1), POLICY)


def test_trust_is_of_one_version_alone(database):
    with database.write() as tx:
        register(tx)
        register(tx)
        adoptions.set_trust(tx, BEN, "credit", 1, is_trusted=True, reason="read")
        assert adopted.is_trusted(tx, "credit", 1)
        assert not adopted.is_trusted(tx, "credit", 2)
        with pytest.raises(errors.NotFoundError):
            adoptions.set_trust(tx, BEN, "credit", 3, is_trusted=True, reason="read")


def test_a_contributor_may_not_trust_and_a_viewer_may_not_judge(database):
    with database.write() as tx:
        version = register(tx)
        with pytest.raises(errors.NotAllowedError, match=r"model\.trust needs 'reviewer'"):
            adoptions.set_trust(tx, EVE, "credit", 1, is_trusted=True, reason="mine")
        viewer = access.Actor("vic", access.Role.VIEWER)
        with pytest.raises(errors.NotAllowedError, match=r"model\.register"):
            adoptions.attach(tx, viewer, adoption_of(version, report_on(tx, version)))


def test_what_was_learned_follows_a_new_name(database):
    with database.write() as tx:
        judged(tx, register(tx))
        adoptions.set_trust(tx, BEN, "credit", 1, is_trusted=True, reason="read")
        naming.rename_model(tx, ADA, "credit", to="loans")
        found = adopted.find(tx, "loans", 1)
        assert found is not None
        assert (found.model, found.owner) == ("loans", "model:credit")
        renamed = actions.get_version(tx, ADA, "loans", 1)
        assert adopted.loadable(tx, renamed).is_trusted
        approvals.may_serve(tx, renamed, POLICY)
        assert adopted.find(tx, "credit", 1) is None


def test_projects_do_not_see_each_others_trust(database):
    with database.write() as tx:
        register(tx)
        adoptions.set_trust(tx, BEN, "credit", 1, is_trusted=True, reason="read")
    with database.read(project="other") as tx:
        assert not adopted.is_trusted(tx, "credit", 1)

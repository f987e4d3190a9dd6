"""Decisions are stored with all they depend on."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa

from homeostat.foundation import access, canonical, errors, events
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import actions, entities, records, replay

POLICY = policies.Policy(model=policies.Model(name="credit", target="defaulted"))
CENTS = entities.WindowJudged(
    first_row=0,
    end_row=200,
    causes=(entities.SeenCause(kind="feed", column="income", factor=100.0),),
    broken=((50, 200),),
)


@pytest.fixture
def begun(house, actor):
    house.write(lambda tx: actions.begin(tx, actor, "credit", version="1"))
    return house


@pytest.fixture
def decided(begun, actor):
    return begun.write(lambda tx: actions.apply_event(tx, actor, "credit", CENTS, POLICY))


def test_a_decision_is_stored_with_its_event_in_the_log(begun, decided, actor):
    (made,) = decided
    assert made.kind == "quarantine"
    assert begun.read(lambda tx: actions.get_decision(tx, actor, made.id)) == made
    (told,) = begun.read(lambda tx: events.read(tx, kinds=["decision.made"]))
    assert told.facts["decision"] == made.id
    assert told.subject == "deployment:credit"
    state = begun.read(lambda tx: actions.get_state(tx, actor, "credit"))
    assert state.quarantined == ((50, 200),)


def test_beginning_again_keeps_what_the_loop_remembers(begun, decided, actor):
    again = begun.write(lambda tx: actions.begin(tx, actor, "credit", version="9"))
    assert again.quarantined == ((50, 200),)


def test_decisions_are_listed_newest_first_and_page_by_page(begun, decided, actor):
    clean = entities.WindowJudged(first_row=200, end_row=400)
    begun.write(lambda tx: actions.apply_event(tx, actor, "credit", clean, POLICY))
    found = begun.read(lambda tx: actions.list_decisions(tx, actor, limit=1))
    assert [one.kind for one in found] == ["release"]
    older = begun.read(lambda tx: actions.list_decisions(tx, actor, before=found[0].id))
    assert [one.id for one in older] == [decided[0].id]
    some = begun.read(lambda tx: actions.list_decisions(tx, actor, kinds=("quarantine",)))
    assert [one.id for one in some] == [decided[0].id]


def test_a_decision_replays_to_the_bit(begun, decided, actor):
    found = begun.read(lambda tx: actions.replay_decision(tx, actor, decided[0].id))
    assert found.identical, found.reason


@pytest.mark.parametrize(
    "change",
    [
        (records.inputs, "document", "100.0", "101.0"),
        (records.decisions, "document", '"income"', '"incoma"'),
        (records.decisions, "document", '"quarantine"', '"retrain"'),
    ],
    ids=["inputs", "evidence", "kind"],
)
def test_a_changed_record_does_not_replay(begun, decided, actor, change):
    table, column, old, new = change
    text = sa.func.replace(table.c[column], old, new)
    begun.write(lambda tx: tx.execute(table.update().values({column: text})))
    found = begun.read(lambda tx: actions.replay_decision(tx, actor, decided[0].id))
    assert not found.identical
    assert found.reason


def forge(house, decision, **changes):
    """Change the decision and its inputs so that each agrees with the other."""
    before = house.read(lambda tx: tx.execute(records.inputs.select()).one())
    inputs = before.document.replace("100.0", "101.0").encode()
    again = replay.conclude(inputs)
    (verdict,) = again.verdicts
    forged = msgspec.structs.replace(
        decision,
        kind=verdict.kind,
        sentence=verdict.sentence,
        evidence=verdict.evidence,
        acts=verdict.acts,
        inputs_digest=again.inputs_digest,
        state_digest=again.state_digest,
    )
    forged = msgspec.structs.replace(forged, **changes)

    def write(tx):
        written = {"digest": again.inputs_digest, "document": inputs.decode()}
        tx.execute(records.inputs.update().values(written))
        document = canonical.encode(forged).decode()
        tx.execute(
            records.decisions.update().values(
                document=document, inputs_digest=again.inputs_digest
            )
        )

    house.write(write)


@pytest.mark.parametrize("changes", [{}, {"at": 1}], ids=["same instant", "other instant"])
def test_inputs_and_decision_changed_together_do_not_replay(begun, decided, actor, changes):
    forge(begun, decided[0], **changes)
    found = begun.read(lambda tx: actions.replay_decision(tx, actor, decided[0].id))
    assert not found.identical
    assert "the log of events" in found.reason


def test_acts_and_evidence_are_held_by_the_log_of_events(begun, decided, actor):
    (told,) = begun.read(lambda tx: events.read(tx, kinds=["decision.made"]))
    assert told.facts["document"] == canonical.digest(canonical.encode(decided[0]))


def test_inputs_name_the_release_and_those_before_it_was_told_keep_their_bytes(begun, decided):
    row = begun.read(lambda tx: tx.execute(records.inputs.select()).one())
    given = msgspec.json.decode(row.document, type=replay.Inputs)
    assert given.release == replay.RELEASE
    bare = msgspec.structs.replace(given, release="")
    assert set(msgspec.json.decode(canonical.encode(bare))) == {"state", "event", "policy"}


def test_a_difference_says_which_release_decided(begun, decided):
    row = begun.read(lambda tx: tx.execute(records.inputs.select()).one())
    inputs = row.document.replace(f'"release":"{replay.RELEASE}"', '"release":"0.0.1"').encode()
    assert b"0.0.1" in inputs
    older = msgspec.structs.replace(
        decided[0], inputs_digest=canonical.digest(inputs), sentence="Something else."
    )
    found = replay.compare(older, inputs, told=replay.facts(older))
    assert not found.identical
    assert f"decided by release 0.0.1, replayed by {replay.RELEASE}" in found.reason


def test_an_unknown_decision_or_deployment_is_said_to_be_unknown(begun, actor):
    with pytest.raises(errors.NotFoundError):
        begun.read(lambda tx: actions.get_decision(tx, actor, "0" * 32))
    with pytest.raises(errors.NotFoundError):
        begun.read(lambda tx: actions.get_state(tx, actor, "nobody"))


def test_a_viewer_may_read_and_not_decide(begun, decided):
    viewer = access.Actor("vera", access.Role.VIEWER, access.Kind.PERSON)
    begun.read(lambda tx: actions.list_decisions(tx, viewer))
    with pytest.raises(errors.NotAllowedError):
        begun.write(lambda tx: actions.apply_event(tx, viewer, "credit", CENTS, POLICY))


def test_decisions_survive_json(decided):
    written = msgspec.json.encode(decided[0])
    assert msgspec.json.decode(written, type=entities.Decision) == decided[0]

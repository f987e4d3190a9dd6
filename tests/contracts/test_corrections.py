"""Corrections and their cases on every database: approved, dated, counted, decided once."""

from __future__ import annotations

import msgspec
import pytest

from homeostat.foundation import access, errors, events, jobs, settings
from homeostat.foundation import house as house_module
from homeostat.lifecycle.corrections import actions, checking, firing, reviewing, stored
from homeostat.lifecycle.corrections.entities import (
    Abstain,
    Clause,
    GroupThreshold,
    Ruling,
    Threshold,
)
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import frames

ADA, BOB = access.local_owner("ada"), access.local_owner("bob")
EVE = access.Actor("eve", access.Role.VIEWER)
PLACE = checking.Place("credit", "medium", frozenset({"income", "sex"}), ("0", "1"), True)
HIGH = PLACE._replace(tier="high")
DAY = 86_400_000
SERVED_AT = 480_000 * 3_600_000


@pytest.fixture(name="house")
def _house(database_url, tmp_path):
    told = settings.load(home=tmp_path / "home", database_url=database_url)
    with house_module.open_house(told) as opened:
        opened.write(lambda tx: predictions.open_log(tx, ADA, "credit"))
        yield opened


def propose(house, body, *, actor=ADA, place=PLACE, days=30, **more):
    def write(tx):
        expires_at = tx.at + days * DAY
        return actions.propose(
            tx, actor, place, body, reason="the board asks", expires_at=expires_at, **more
        )

    return house.write(write)


def approve(house, correction, *, actor=ADA, place=PLACE, **more):
    return house.write(lambda tx: actions.approve(tx, actor, place, correction.id, **more))


def kinds(house, correction):
    def read(tx):
        return [one.kind for one in events.read(tx, subject=correction.reference)]

    return house.read(read)


def in_force(house):
    return [one.mark for one in house.read(lambda tx: stored.in_force(tx, "credit"))]


def test_a_correction_waits_for_approval_works_and_is_withdrawn(house):
    made = propose(house, Threshold(at=0.3))
    assert (made.status, in_force(house)) == ("proposed", [])
    assert approve(house, made).status == "active"
    assert in_force(house) == [made.mark]
    house.write(lambda tx: actions.withdraw(tx, BOB, made.id, reason="no longer"))
    assert in_force(house) == []
    told = house.read(lambda tx: actions.get_correction(tx, EVE, made.id))
    assert (told.status, told.ended_by, told.end_reason) == ("withdrawn", "bob", "no longer")
    assert kinds(house, made) == [
        "correction.proposed",
        "correction.approved",
        "correction.withdrawn",
    ]


def test_a_change_is_a_new_version_and_the_old_one_works_until_it_is_approved(house):
    first = propose(house, Threshold(at=0.3))
    approve(house, first)
    second = propose(house, Threshold(at=0.4), correction=first.id)
    assert (second.version, in_force(house)) == (2, [first.mark])
    approve(house, second)
    assert in_force(house) == [second.mark]
    shown = house.read(lambda tx: actions.show(tx, EVE, first.id))
    assert [(one.version, one.status) for one in shown.versions] == [
        (2, "active"),
        (1, "replaced"),
    ]


def test_two_thresholds_cannot_work_at_once_but_two_rules_can(house):
    approve(house, propose(house, Threshold(at=0.3)))
    with pytest.raises(errors.ConflictError, match="in force already"):
        approve(house, propose(house, Threshold(at=0.4)))
    rule = Ruling(when=(Clause("income", "lt", 0),), answer="0")
    for _ in range(2):
        approve(house, propose(house, rule))
    assert len(in_force(house)) == 3


def test_where_the_tier_is_high_a_second_pair_of_eyes_approves(house):
    made = propose(house, Threshold(at=0.3), place=HIGH)
    with pytest.raises(errors.NotAllowedError, match="second pair of eyes"):
        approve(house, made, place=HIGH)
    assert approve(house, made, place=HIGH, actor=BOB).status == "active"


def test_no_part_of_the_system_and_no_viewer_approves(house):
    made = propose(house, Threshold(at=0.3))
    for actor in (access.system("loop"), EVE):
        with pytest.raises(errors.NotAllowedError):
            approve(house, made, actor=actor)


def test_a_threshold_by_group_is_approved_with_a_reason_only(house):
    made = propose(house, GroupThreshold(column="sex", at={"f": 0.4}))
    with pytest.raises(errors.InvalidInputError, match="on which grounds"):
        approve(house, made)
    assert approve(house, made, note="legal opinion 12").note == "legal opinion 12"


def test_a_correction_expires_by_the_clock_and_the_audit_log_says_so(house, monkeypatch):
    made = approve(house, propose(house, Threshold(at=0.3), days=1))
    with pytest.raises(errors.NotFoundError):
        house.write(lambda tx: actions.expire(tx, ADA, "nothing", 1))
    waiting = house.read(jobs.newest)
    assert [(one.kind, one.run_after_at) for one in waiting] == [
        (actions.EXPIRE, made.expires_at)
    ]
    house.write(lambda tx: actions.expire(tx, ADA, made.id, 1))
    assert "correction.expired" not in kinds(house, made)
    monkeypatch.setattr("homeostat.foundation.clock.now_ms", lambda: made.expires_at)
    assert in_force(house) == []
    house.write(lambda tx: actions.expire(tx, ADA, made.id, 1))
    assert kinds(house, made)[-1] == "correction.expired"
    told = house.read(lambda tx: actions.get_correction(tx, EVE, made.id))
    assert told.status == "expired"


def test_what_comes_at_once_is_refused_the_second_time(house):
    made = propose(house, Threshold(at=0.3))
    approve(house, made)
    with pytest.raises(errors.ConflictError, match="only what is proposed"):
        approve(house, made)
    house.write(lambda tx: actions.withdraw(tx, ADA, made.id, reason="over"))
    with pytest.raises(errors.ConflictError, match="over already"):
        house.write(lambda tx: actions.withdraw(tx, ADA, made.id, reason="over"))


# --- the log -------------------------------------------------------------------------------


def accept(house, fired, answers, *, number=1):
    """Hand over a segment of one batch and do with it what the server does."""
    n = len(fired)
    made = [f"{SERVED_AT:012x}{number:010x}{at:010x}" for at in range(n)]
    batch = frames.Batch(
        SERVED_AT,
        1,
        "stable",
        True,
        "1",
        made,
        [f"key {at}" for at in range(n)],
        [[1000.0 + at for at in range(n)]],
        [["f"] * n],
        [0.5] * n,
        answers,
        ["1"],
        [[0.5] * n],
        fired=fired,
    )
    name = f"{number:032x}"
    parts = (frames.Opened(name, "credit", 0), LAYOUT, batch)
    raw = b"".join(map(frames.encode, parts))
    sealed = predictions.seal_segment(house, "credit", segment=name, raw=raw)

    def write(tx):
        def then(segment):
            firing.add(tx, "credit", sealed.touched)
            reviewing.open_cases(tx, ADA, segment, sealed.touched.held)

        return predictions.accept_segment(tx, ADA, sealed, then=then)

    house.write(write)
    return made


LAYOUT = frames.Layout(("income",), ("number",), ("sex",))


@pytest.fixture
def band(house):
    """A correction in force that leaves a band of scores to a person."""
    return approve(house, propose(house, Abstain(low=0.4, high=0.6, due_h=2)))


def since_ever(made):
    """Return a correction as if it had been approved before the frames of these tests."""
    return msgspec.structs.replace(made, approved_at=0)


def test_what_fires_is_counted_once_for_each_segment(house, band):
    for _ in range(2):
        accept(house, ["", band.mark, "", band.mark], ["0", "abstain", "1", "abstain"])
    accept(house, [band.mark, ""], ["abstain", "0"], number=2)
    seen = house.read(lambda tx: firing.of(tx, since_ever(band)))
    assert (seen.n_fired, seen.n_rows, seen.n_fired_day) == (3, 6, 0)


def test_nothing_is_counted_where_there_are_no_corrections(house):
    accept(house, ["", ""], ["0", "1"])
    made = propose(house, Threshold(at=0.3))
    seen = house.read(lambda tx: firing.of(tx, since_ever(made)))
    assert seen.n_rows == 0


def test_rows_left_to_a_person_become_cases_with_what_was_served(house, band):
    ids = accept(house, ["", band.mark, band.mark], ["0", "abstain", "abstain"])
    accept(house, ["", band.mark, band.mark], ["0", "abstain", "abstain"])  # handed over again
    queue = house.read(lambda tx: reviewing.list_cases(tx, ADA))
    assert [one.id for one in queue] == ids[1:]
    assert [one.due_at - one.served_at for one in queue] == [2 * 3_600_000] * 2
    one = house.read(lambda tx: reviewing.get_case(tx, ADA, house, ids[1]))
    assert (one.key, one.features, one.reason) == (
        "key 1",
        {"income": 1001.0},
        "the board asks",
    )
    after = house.read(lambda tx: reviewing.list_cases(tx, ADA, after=ids[1]))
    assert [one.id for one in after] == ids[2:]


def test_a_case_is_claimed_by_one_and_decided_once(house, band):
    (case,) = accept(house, [band.mark], ["abstain"])

    def write(action, **more):
        return house.write(lambda tx: action(tx, more.pop("actor", ADA), case, **more))

    assert write(reviewing.claim).claimed_by == "ada"
    with pytest.raises(errors.ConflictError, match="claimed by ada"):
        write(reviewing.claim, actor=BOB)
    write(reviewing.release)
    with pytest.raises(errors.InvalidInputError, match="no label"):
        write(reviewing.decide, answer="maybe", classes=("0", "1"))
    decided = write(reviewing.decide, actor=BOB, answer="1", classes=("0", "1"), note="seen")
    assert (decided.state, decided.decided_by, decided.answer) == ("decided", "bob", "1")
    with pytest.raises(errors.ConflictError, match="decided by bob"):
        write(reviewing.decide, answer="0", classes=("0", "1"))
    assert house.read(lambda tx: reviewing.list_cases(tx, ADA)) == []
    told = house.read(lambda tx: events.read(tx, subject=f"case:{case}"))
    assert [one.kind for one in told] == ["case.claimed", "case.released", "case.decided"]

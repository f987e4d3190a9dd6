"""What asks the live loop for a fit: a person, new code, new data, a dataset above a model."""

from __future__ import annotations

import msgspec
import pytest

import living
from homeostat.doors import cli
from homeostat.foundation import access, house, jobs, settings
from homeostat.lifecycle.alerting import actions as alerting
from homeostat.lifecycle.data import inspection, intake, tables
from homeostat.lifecycle.loop import carrying, cooling, entities, left, triggers, wanting
from homeostat.lifecycle.monitoring import actions as monitoring
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.serving import actions as serving

ON = ("harm", "code", "new-data", "upstream", "performance")


@pytest.fixture
def life(tmp_path, home):
    told = settings.load(home=home, code=tmp_path / "code")
    with house.open_house(told) as opened:
        one = living.Living(opened, on=ON)
        limits = '[retraining]\nupstream = ["rates"]\ncooldown = "6h"'
        one.policy = one.policy.replace("[retraining]", limits)
        one.policy += """
[objectives.fast]
of = "latency"
target = 0.99
within = "50ms"

[objectives.right]
of = "accuracy"
target = 0.9

[envelope]
rows_at_least = 2000
ask = ["board"]

[alerts]
webhooks = { all = "https://example.org/all", board = "https://example.org/board" }
tell = ["all"]
"""
        one.train()
        one.deploy()
        one.live(600)
        yield one


def add(life, name, *, n=1500):
    frame = life.lender.applications(n)
    offer = inspection.Offer(data=tables.encode(frame), format="parquet", key=None)
    snapshot = intake.add(life.house, life.owner, name, offer)
    life.work()
    return snapshot


def look_at_code(life):
    payload = {"deployment": living.NAME, "reason": wanting.CODE}
    life.house.write(lambda tx: jobs.enqueue(tx, life.owner, wanting.ASK, payload=payload))
    life.work()


def started(life):
    return [one for one in life.decisions() if one.kind == "retrain"]


def says(life, capsys, *words):
    code = cli.invoke(["--home", str(life.house.settings.home), *words, "--json"])
    told = capsys.readouterr()
    assert code == 0, told.err
    return msgspec.json.decode(told.out)


def test_from_causes_of_fits_to_a_person_who_is_asked_and_a_loop_that_is_blind(life, capsys):
    see_causes_ask_for_fits(life)
    see_a_person_asked_outside_of_the_envelope(life, capsys)
    see_performance_ask_for_a_fit_and_speed_not(life)
    see_what_is_not_known_without_labels(life, capsys)
    see_a_loop_that_cannot_go_on_say_so(life, capsys)
    see_a_person_settle_what_was_left_to_them(life)
    everything = says(life, capsys, "replay", "--since", "2020-01-01")
    assert everything["replayed"] == everything["identical"] == len(life.decisions())
    assert says(life, capsys, "replay", "--until", "2020-01-01")["replayed"] == 0


def see_causes_ask_for_fits(life):
    look_at_code(life)
    assert started(life) == []  # the same code
    pipeline = life.house.settings.code / "pipeline.py"
    text = pipeline.read_text(encoding="utf-8")
    pipeline.write_text(text + "\n# a comment is no code\n", encoding="utf-8")
    look_at_code(life)
    assert started(life) == []
    pipeline.write_text(text + "\nANSWER = 42\n", encoding="utf-8")
    look_at_code(life)
    look_at_code(life)  # answered once
    (by_code,) = started(life)
    assert by_code.evidence["code.files"] == "pipeline.py"
    assert by_code.evidence["reason"] == "code"

    snapshot = add(life, "loans")
    waits = life.decisions()[-1]
    assert "cooldown of 6h since fit-1" in waits.sentence
    assert waits.evidence["new-data.snapshot"] == snapshot.id
    add(life, "rates")
    add(life, "nobodys")
    waiting = [one.reason for one in cooling.pace(life.state()).waiting]
    assert waiting == ["new-data", "upstream"]

    wish = wanting.Wish(why="the board asked", snapshot=snapshot.id)
    life.house.write(lambda tx: wanting.ask_as_person(tx, life.owner, living.NAME, wish))
    life.work()
    by_person = started(life)[-1]
    assert by_person.evidence["person.why"] == "the board asked"
    assert by_person.acts[0].fit.snapshot == snapshot.id
    # The log was not learned, so that what waits for its own snapshot was answered only here.
    assert cooling.pace(life.state()).waiting == ()
    spent = cooling.pace(life.state()).fits
    assert [one.reason for one in spent] == ["code", "person"]
    assert all(one.seconds for one in spent)


def see_a_person_asked_outside_of_the_envelope(life, capsys):
    life.live(800)
    (asks,) = [one for one in life.decisions() if one.kind == "ask"]
    assert "data window 1500, allowed at least 2000" in asks.sentence
    number = asks.evidence["version"]
    standing = {one.version: one.standing for one in life.state().members}
    assert standing[number] == "approval"
    assert [one.state for one in life.alerts() if one.kind == "approval"] == ["open"]
    told = life.house.read(lambda tx: alerting.list_deliveries(tx, life.owner))
    assert [one.receiver for one in told] == ["board"]
    (report,) = says(life, capsys, "loop", "reports", living.NAME)
    assert (report["inside"], report["compared"]) == (False, 1)
    assert asks.evidence["envelope"] == f"envelope:{report['id']}"
    assert says(life, capsys, "loop", "verify", report["id"])["sentence"] == report["sentence"]
    life.house.write(lambda tx: registry.approve(tx, life.owner, living.NAME, int(number)))
    life.work()
    standing = {one.version: one.standing for one in life.state().members}
    assert standing[number] == "admitted"
    assert [one.state for one in life.alerts() if one.kind == "approval"] == ["resolved"]


def see_performance_ask_for_a_fit_and_speed_not(life):
    n_before = len(life.decisions())
    for kind, column in (
        ("budget-fast", "fast"),
        ("metric", "approvals"),
        ("budget-slow", "right"),
    ):
        told = {"kind": kind, "cause": "unknown", "column": column, "sentence": "too few"}
        life.house.write(
            lambda tx, it=told: monitoring.open_alert(
                tx, access.system("loop"), deployment=living.NAME, **it
            )
        )
    life.work()
    subjects = [one.subject for one in cooling.pace(life.state()).waiting]
    assert subjects == ["objective:right"], "the latest of its cause; nobody asks for speed"
    of_metric, of_objective = life.decisions()[n_before:]
    assert of_metric.evidence["performance.subject"] == "metric:approvals"
    assert of_objective.evidence["performance.asked"] == 2
    assert "cooldown of 6h" in of_objective.sentence


def see_a_loop_that_cannot_go_on_say_so(life, capsys):
    payload = {"deployment": living.NAME}
    life.house.write(lambda tx: jobs.enqueue(tx, life.owner, triggers.ADVANCE, payload=payload))
    kinds = (triggers.ADVANCE,)
    job = life.house.write(lambda tx: jobs.lease(tx, "test", kinds=kinds, lease_s=60))
    life.house.write(lambda tx: jobs.fail(tx, job, "blob 7a is not there", retry=False))
    life.work()
    stuck = next(one for one in life.alerts() if one.kind == "loop-stuck")
    assert stuck.sentence.endswith("nothing is judged: blob 7a is not there")
    assert "steady" not in says(life, capsys, "loop", "status", living.NAME)["word"]
    life.live(200)
    assert next(one for one in life.alerts() if one.id == stuck.id).state == "resolved"


def see_a_person_settle_what_was_left_to_them(life):
    end = life.state().history[-1].end_row
    skew = entities.SeenCause(kind="skew", column="income")
    policy = serving.get_policy(life.deployment())
    for number in range(12):
        first = end + 200 * number
        block = entities.BlockLabelled(
            first_row=first,
            end_row=first + 200,
            n_rows=200,
            error=0.1 if number < 11 else 0.5,
            mixture=0.1,
            members={},
            cause=skew,
        )
        life.house.write(
            lambda tx, it=block: carrying.tell(tx, wanting.LOOP, living.NAME, it, policy)
        )
    assert life.state().left.column == "income"
    (alert,) = [one for one in life.alerts() if one.kind == left.ALERT]
    life.house.write(lambda tx: monitoring.resolve_alert(tx, life.owner, alert.id))
    life.work()
    told = life.decisions()[-1]
    assert told.kind == "release"
    assert "ada has seen to the skew of income" in told.sentence
    assert not life.state().left


def see_what_is_not_known_without_labels(life, capsys):
    told = says(life, capsys, "loop", "status", living.NAME)
    assert (told["blind_since_row"], told["unknown"]) == (None, [])
    assert told["budget"]["fits"] == 2
    life.log(life.lender.applications(2500))
    life.work()
    told = says(life, capsys, "loop", "status", living.NAME)
    assert told["blind_since_row"] == life.state().history[-1].end_row
    assert told["blind_since"] is not None
    assert any("harm is seen in labels alone" in one for one in told["unknown"])

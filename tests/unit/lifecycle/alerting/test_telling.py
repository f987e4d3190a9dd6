"""Who is told what and when: confirmation, silences, dependencies, grouping, escalation."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from homeostat.foundation import access, errors, lineage
from homeostat.lifecycle.alerting import actions, telling, watching
from homeostat.lifecycle.data import intake
from homeostat.lifecycle.data.inspection import Offer
from homeostat.lifecycle.monitoring import alerts, baseline, judge

MAIL = 'email.team = ["team@example.org"]\nemail.boss = ["boss@example.org"]\n'
TELL = MAIL + 'tell = ["team"]\n'
HOUR = 3600
FROZEN = baseline.freeze(
    pl.DataFrame({"a": np.random.default_rng(0).lognormal(size=1000)}), features=["a"]
)


def _window(watch, first_row, *, factor=1.0):
    values = factor * np.random.default_rng(first_row).lognormal(size=200)
    judged = judge.window(
        pl.DataFrame({"a": values}), FROZEN, first_row=first_row, budget=judge.AlarmBudget()
    )
    watch.house.write(
        lambda tx: watching.see_window(tx, access.system("loop"), "credit", judged)
    )
    watch.work()
    return judged


def test_harm_is_told_at_once_and_its_end_too(watch):
    watch = watch()
    watch.deploy(policy=TELL)
    alert = watch.say()
    watch.say()
    watch.clear()
    assert watch.told() == [("confirmed", "team", 1), ("resolved", "team", 1)]
    assert watch.kinds(alert) == ["alert.opened", "alert.confirmed", "alert.resolved"]


def test_drift_is_told_when_it_lasts_and_over_when_windows_are_fine(watch):
    watch = watch()
    watch.deploy(policy=TELL + "resolve_after = 2\n")
    seen = _window(watch, 0, factor=2.0)
    (found,) = {finding.kind for finding in seen.findings}
    assert found == "covariate-drift"
    alert = watch.say(found, column="a")
    assert watch.told() == []
    _window(watch, 200, factor=2.0)
    assert watch.told() == [("confirmed", "team", 1)]
    _window(watch, 400)  # the loop says that it is over after this window
    watch.clear(found)
    assert watch.house.read(lambda tx: alerts.get_alert(tx, watch.actor, alert.id)).state == (
        "open"
    )
    _window(watch, 600)
    assert watch.told()[1:] == [("resolved", "team", 1)]


def test_what_a_person_calls_over_and_is_not_is_told_again(watch):
    watch = watch()
    watch.deploy(policy=TELL + 'confirm_after = 1\ngroup = "0s"\n')
    _window(watch, 0, factor=2.0)
    first = watch.say("covariate-drift", column="a")
    watch.house.write(lambda tx: alerts.resolve_alert(tx, watch.actor, first.id))
    watch.work(later_s=1)
    _window(watch, 200, factor=2.0)
    watch.work(later_s=1)
    (again,) = watch.house.read(
        lambda tx: alerts.list_alerts(tx, watch.actor, states=watching.UNRESOLVED)
    )
    assert again.id != first.id
    assert again.sentence.startswith("a person said that it was over, and it is not: ")
    watch.house.write(lambda tx: alerts.resolve_alert(tx, watch.actor, again.id))
    _window(watch, 400)
    watch.work(later_s=1)
    _window(watch, 600, factor=2.0)  # what is new now the loop itself says
    assert [kind for kind, *_ in watch.told()] == ["confirmed", "resolved"] * 2


def test_that_it_is_over_is_told_in_a_silence_to_whoever_knew_of_it(watch):
    watch = watch()
    watch.deploy(policy=TELL)
    watch.say()
    watch.silence(deployment="credit")
    watch.clear()
    watch.say()
    watch.clear()
    assert watch.told() == [("confirmed", "team", 1), ("resolved", "team", 1)]


def test_soft_drift_that_goes_is_told_to_nobody(watch):
    watch = watch()
    watch.deploy(policy=TELL)
    alert = watch.say("covariate-drift", column="a")
    watch.clear("covariate-drift", column="a")
    assert watch.told() == []
    assert watch.kinds(alert) == ["alert.opened", "alert.resolved"]


def test_what_comes_and_goes_is_told_once_that_it_flaps(watch):
    watch = watch()
    watch.deploy(policy=TELL + 'group = "0s"\nconfirm_after = 1\n')
    first_rows = range(0, 8000, 200)
    for first_row in first_rows:
        is_bad = (first_row // 200) % 2 == 0
        _window(watch, first_row, factor=2.0 if is_bad else 1.0)
        act = watch.say if is_bad else watch.clear
        act("covariate-drift", column="a")
        watch.work(later_s=1)
    told = [kind for kind, *_ in watch.told()]
    assert told.count("flapping") == 1
    assert told[-1] == "flapping"
    assert len(told) < 12


def test_a_silence_holds_back_and_its_end_tells(watch):
    watch = watch()
    watch.deploy(policy=TELL)
    silence = watch.silence(deployment="credit")
    alert = watch.say()
    assert watch.told() == []
    held = watch.house.read(lambda tx: alerts.get_alert(tx, watch.actor, alert.id))
    assert held.held_by == f"silence:{silence.id}"
    watch.work(later_s=1.1 * HOUR)
    assert watch.told() == [("confirmed", "team", 1)]


def test_a_silence_that_is_ended_tells_at_once_and_one_of_others_holds_nothing(watch):
    watch = watch()
    watch.deploy(policy=TELL)
    watch.silence(deployment="fraud")
    watch.silence(kind="feed")
    silence = watch.silence(kind="harm")
    watch.say()
    assert watch.told() == []
    watch.house.write(lambda tx: actions.end_silence(tx, watch.actor, silence.id))
    watch.work()
    assert watch.told() == [("confirmed", "team", 1)]


def test_a_broken_feed_mutes_the_drift_of_its_deployment_until_it_is_mended(watch):
    watch = watch()
    watch.deploy(policy=TELL + "confirm_after = 1\n")
    feed = watch.say("feed", cause="feed", column="a")
    drift = watch.say("covariate-drift", cause="covariate-shift", column="b")
    held = watch.house.read(lambda tx: alerts.get_alert(tx, watch.actor, drift.id))
    assert held.held_by == f"alert:{feed.id}"
    watch.clear("feed")
    assert watch.told() == [
        ("confirmed", "team", 1),
        ("resolved", "team", 1),
        ("confirmed", "team", 1),
    ]


@pytest.mark.parametrize("how", ["policy", "lineage"])
def test_a_broken_upstream_mutes_its_children(watch, how):
    watch = watch()
    watch.deploy("features", TELL)
    named = 'upstream = ["deployment:features"]\n' if how == "policy" else ""
    watch.deploy("credit", TELL + named)
    if how == "lineage":
        steps = [("deployment:features", "snapshot:x"), ("snapshot:x", "deployment:credit")]
        for source, target in steps:
            watch.house.write(
                lambda tx, s=source, t=target: lineage.connect(tx, source=s, target=t, kind="x")
            )
    root = watch.say(deployment="features")
    child = watch.say()
    assert watch.told() == [("confirmed", "team", 1)]
    assert "alert.held" in watch.kinds(child)
    watch.house.write(lambda tx: alerts.resolve_alert(tx, watch.actor, root.id))
    watch.work()
    assert len([told for told, *_ in watch.told() if told == "confirmed"]) == 2


@pytest.mark.parametrize("how", ["policy", "lineage"])
def test_of_a_source_those_are_told_that_depend_on_it(watch, how):
    watch = watch()
    watch.deploy("credit", TELL + 'upstream = ["dataset:orders"]\n' * (how == "policy"))
    watch.deploy("fraud", TELL)
    if how == "lineage":
        offer = Offer(data=b"a\n1\n", format="csv")
        orders = intake.add(watch.house, access.system("worker"), "orders", offer).reference
        for source in (orders, "snapshot:forgotten"):
            watch.house.write(
                lambda tx, s=source: lineage.connect(
                    tx, source=s, target="deployment:credit", kind="x"
                )
            )
    watch.say("late", deployment="dataset:orders", cause="feed")
    watch.say()
    assert [(one.deployment, one.cause) for one in watch.deliveries()] == [("credit", "feed")]
    watch.clear("late", deployment="dataset:orders")
    causes = [(one.told, one.cause) for one in reversed(watch.deliveries())]
    assert causes[1:] == [("resolved", "feed"), ("confirmed", "concept-change")]


def test_an_upstream_of_which_nobody_is_told_mutes_nothing(watch):
    watch = watch()
    watch.deploy("features")
    watch.deploy("credit", TELL + 'upstream = ["deployment:features"]\n')
    watch.say(deployment="features")
    watch.say()
    assert watch.told() == [("confirmed", "team", 1)]


def test_deployments_that_depend_on_each_other_do_not_both_fall_silent(watch):
    watch = watch()
    watch.deploy("one", TELL + 'upstream = ["deployment:two"]\n')
    watch.deploy("two", TELL + 'upstream = ["deployment:one"]\n')
    watch.say(deployment="one")
    watch.say(deployment="two")
    watch.work(later_s=HOUR)
    assert watch.told() == [("confirmed", "team", 1)]


def test_alerts_of_one_cause_are_one_message(watch):
    watch = watch()
    watch.deploy(policy=TELL)
    for column in ("a", "b", "c"):
        watch.say("feed", cause="feed", column=column)
    watch.say("harm")
    watch.work(later_s=400)
    assert sorted(watch.told()) == [("confirmed", "team", 1), ("confirmed", "team", 3)]


def test_what_nobody_acknowledges_goes_to_the_next_receiver(watch):
    watch = watch()
    watch.deploy(policy=TELL + 'escalate = ["boss", "team"]\n')
    alert = watch.say()
    watch.work(later_s=1.1 * HOUR)
    assert watch.told()[1:] == [("escalated", "boss", 1)]
    watch.house.write(lambda tx: alerts.acknowledge_alert(tx, watch.actor, alert.id))
    watch.work(later_s=5 * HOUR)
    assert len(watch.told()) == 2
    watch.clear()
    assert {name for told, name, _ in watch.told() if told == "resolved"} == {"team", "boss"}


def test_no_data_is_a_state_of_its_own_and_none_in_downtime(watch):
    watch = watch()
    watch.deploy(policy=TELL + 'no_data_after = "6h"\n')
    harm = watch.say()
    watch.house.write(_look)
    downtime = watch.silence(deployment="credit", hours=24, is_downtime=True)
    watch.work(later_s=7 * HOUR)
    assert "alert.blinded" not in watch.kinds(harm)
    watch.house.write(lambda tx: actions.end_silence(tx, watch.actor, downtime.id))
    watch.work(later_s=120)
    assert "alert.blinded" in watch.kinds(harm)
    standing = watch.house.read(lambda tx: alerts.list_alerts(tx, watch.actor))
    assert [one.kind for one in standing if one.state == "open"] == ["no-data", "harm"]
    assert f"alert:{harm.id}" in standing[0].evidence
    assert "no-data" not in {told for told, *_ in watch.told()}  # one message says it of all


def _look(tx):
    telling.look_at(tx, access.system("worker"), "credit")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"until_at": 1, "reason": "x"}, "must end in the future"),
        ({"until_at": 2**50, "reason": "x"}, "a year at most"),
        ({"until_at": None, "reason": " "}, "needs a reason"),
    ],
)
def test_a_silence_without_end_or_reason_is_refused(watch, asked, sentence):
    watch = watch()

    def write(tx):
        until_at = asked["until_at"] or tx.at + 1000
        actions.silence(tx, watch.actor, **{**asked, "until_at": until_at})

    with pytest.raises(errors.InvalidInputError, match=sentence):
        watch.house.write(write)

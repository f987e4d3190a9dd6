"""Journeys of the live loop over a real house, log, jobs and models; without HTTP."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import living
from homeostat.doors.cli.demo import lender
from homeostat.foundation import access, errors, events, house, jobs, settings
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.data import inspection, intake, tables
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import checking, triggers
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import plan as plans

RECESSION = lender.RECESSION_WORLD


@pytest.fixture
def opened(tmp_path, home):
    told = settings.load(home=home, code=tmp_path / "code")
    with house.open_house(told) as found:
        yield found


def _answering(life):
    return {m.version for arm in life.deployment().plan.arms for m in arm.members}


@pytest.fixture
def life(opened):
    lived = living.Living(opened)
    lived.train()
    lived.deploy()
    return lived


def test_steady_applicants_cause_no_alert_and_a_feature_computed_in_two_ways_does(life):
    life.live(2400)
    assert life.kinds() == []
    assert life.alerts() == []
    assert life.state().n_blocks == 10
    found = looked_at(life)
    assert {one.verdict for one in found.values()} <= {"fine", "unknown", "told"}
    assert found["multivariate drift"].verdict == found["attribution drift"].verdict == "fine"
    assert "cannot be computed: 0 of the" in found["training-serving skew"].sentence
    rows = life.lender.applications(1000)
    offer = inspection.Offer(data=tables.encode(rows), format="parquet", key="application_id")
    intake.add(life.house, life.owner, "loans", offer)
    life.log(rows.with_columns(pl.col("income") * 0.6, pl.col("debt_ratio") + 0.2))
    life.work()
    found = looked_at(life)
    skewed = found["training-serving skew"]
    assert (skewed.verdict, skewed.numbers["pairs"].value) == ("found", 1000)
    assert skewed.numbers["income"].value == 1
    assert "compared with pipeline:credit of snapshot:" in skewed.sentence
    assert found["multivariate drift"].verdict == "found"
    alerts = {alert.kind: alert for alert in life.alerts()}
    assert alerts["training-serving-skew"].cause == "skew"
    assert "income in 100.0%" in alerts["training-serving-skew"].sentence


def looked_at(life):
    """What the worker finds once an hour, by name; kept for the doors."""
    hourly = checking.Hourly(life.house, access.system("loop"))
    assert hourly.look(living.NAME, is_asked=True)
    return {one.name: one for one in checking.run(life.house, life.owner, living.NAME)}


def test_a_campaign_is_reported_judged_harmless_and_not_learned(life):
    life.live(2000)
    life.live(1600, intake=lender.CAMPAIGN_INTAKE)
    assert set(life.kinds()) == {"investigate"}
    assert [(a.kind, a.cause, a.column) for a in life.alerts()] == [
        ("covariate-drift", "covariate-shift", "region")
    ]
    assert any(one.sentence.startswith("harmless") for one in life.decisions())
    assert life.state().n_fits == 0


def test_a_broken_feed_is_kept_out_to_the_row_and_released_when_mended(life):
    life.live(2100)
    life.live(700, income_factor=100.0)
    life.live(600)
    assert life.kinds() == ["quarantine", "release"]
    assert life.state().quarantined == ((2080, 2820),)  # and twenty doubtful rows on each side
    alert = life.alerts()[0]
    assert (alert.kind, alert.cause, alert.column, alert.state) == (
        "feed",
        "feed",
        "income",
        "resolved",
    )
    assert "100" in " ".join((alert.sentence, *alert.evidence))


def test_quarantined_rows_are_in_no_training_set(life):
    life.live(1900)
    life.live(200, income_factor=100.0)
    life.live(300)
    life.live(1600, world=RECESSION)
    snapshots = life.house.read(
        lambda tx: data.list_snapshots(tx, life.owner, f"{living.NAME}.log")
    )
    assert snapshots
    for snapshot in snapshots:
        rows = intake.read_snapshot(life.house, snapshot)
        assert rows["income"].max() < 1_000_000


def test_a_changed_world_is_proved_learned_canaried_and_promoted(life):
    life.live(2400)
    life.live(3000, world=RECESSION)
    kinds = life.kinds()
    assert kinds[0] == "retrain"
    assert "promote" in kinds
    alarm = next(one for one in life.decisions() if one.kind == "retrain")
    assert abs(alarm.evidence["change_row"] - 2400) <= 200
    assert alarm.evidence["log_e"] > alarm.evidence["threshold"]
    champions = life.house.read(
        lambda tx: registry.alias_history(tx, life.owner, living.NAME, "champion")
    )
    assert len(champions) >= 2
    fresh = life.lender.applications(1000, world=RECESSION)
    now = [life.scores(m.version, fresh) for m in life.deployment().plan.arms[0].members]
    first = life.scores(1, fresh)
    truth = fresh["defaulted"].to_numpy()
    assert np.mean((np.mean(now, axis=0) - truth) ** 2) < 0.5 * np.mean((first - truth) ** 2)


def test_every_decision_of_a_life_is_replayed_bit_for_bit(life):
    life.live(2200)
    life.live(600, income_factor=100.0)
    life.live(1400, world=RECESSION)
    decisions = life.decisions()
    assert len(decisions) > 20
    for one in decisions:
        again = life.house.read(
            lambda tx, which=one.id: loop.replay_decision(tx, life.owner, which)
        )
        assert again.identical, again.reason
    assert life.house.read(events.verify).ok


def test_a_high_tier_challenger_waits_for_a_person_and_then_answers(opened):
    life = living.Living(opened, tier="high")
    life.train()
    reviewer = access.local_owner("ben")
    opened.write(lambda tx: registry.approve(tx, reviewer, living.NAME, 1))
    life.deploy()
    life.live(2400)
    life.live(1800, world=RECESSION)
    assert "ask" in life.kinds()
    assert "promote" not in life.kinds()
    asked = next(m for m in life.state().members if m.standing == "approval")
    opened.write(lambda tx: registry.approve(tx, reviewer, living.NAME, int(asked.version)))
    life.work()
    life.live(400, world=RECESSION)
    assert "promote" in life.kinds()


def test_a_member_that_a_stricter_policy_bars_asks_and_holds_up_no_block(life):
    life.train()
    for number, generation in ((2, 2), (1, 3)):
        plan = plans.single(number, generation=generation, salt=living.NAME)
        life.house.write(
            lambda tx, it=plan: serving.set_plan(tx, life.owner, living.NAME, it, reason="try")
        )
        life.work()
    life.house.write(lambda tx: registry.approve(tx, life.owner, living.NAME, 2))
    life.work()
    stricter = life.policy.replace('tier = "low"', 'tier = "high"')
    life.house.write(lambda tx: serving.set_policy(tx, life.owner, living.NAME, stricter))
    life.live(800)
    assert life.state().n_blocks == 2
    (asked,) = [one for one in life.decisions() if one.event == "members-barred"]
    assert "version 2 may not answer now" in asked.sentence
    assert _answering(life) == {1}
    life.house.write(lambda tx: registry.approve(tx, access.local_owner("ben"), "credit", 2))
    life.work()
    assert {one.version: one.standing for one in life.state().members}["2"] == "admitted"


def test_a_model_the_gates_keep_out_is_no_version(opened, tmp_path):
    policy = living.Living(opened)
    toml = policy.policy.replace("at_least = 0.70", "at_least = 0.9999")
    policy.policy = toml
    job = policy.train()
    assert job.result["verdict"] == "fail"
    assert job.result["version"] is None
    with pytest.raises(errors.NotFoundError):
        opened.read(lambda tx: registry.get_version(tx, policy.owner, living.NAME, 1))


def test_a_pipeline_that_raises_costs_nothing_but_the_fit(life):
    life.live(2400)
    code = life.house.settings.code / "pipeline.py"
    code.write_text(
        code.read_text(encoding="utf-8").replace(
            "    return model.fit(",
            '    raise RuntimeError("no disk in the sky")\n    return model.fit(',
        ),
        encoding="utf-8",
    )
    life.live(1600, world=RECESSION)
    told = [one.sentence for one in life.decisions() if "came to nothing" in one.sentence]
    assert told
    assert "no disk in the sky" in told[0]
    assert [m.version for m in life.deployment().plan.arms[0].members] == [1]


def test_what_a_person_rolled_back_answers_again_only_when_approved(life):
    life.live(2400)
    life.live(1400, world=RECESSION)
    assert "promote" in life.kinds()
    rolled_back = _answering(life) - {1}
    before = life.deployment().plan.generation
    life.house.write(
        lambda tx: serving.set_plan(
            tx,
            life.owner,
            living.NAME,
            plans.single(1, generation=before + 1, salt=living.NAME),
            reason="I do not trust it",
        )
    )
    life.work()
    life.live(400, world=RECESSION)
    assert not rolled_back & _answering(life)
    assert any("has set the plan" in one.sentence for one in life.decisions())
    approved = max(rolled_back)
    life.house.write(lambda tx: registry.approve(tx, life.owner, living.NAME, approved))
    life.work()
    standing = {member.version: member.standing for member in life.state().members}
    assert standing[str(approved)] == "admitted"


def test_clocks_of_the_policy_ask_for_fits_and_end_windows(opened):
    life = living.Living(opened, on=("harm", "schedule"))
    text = life.policy.replace('window = "200 rows"', 'window = "1h"')
    life.policy = text.replace("[retraining]", '[retraining]\nschedule = "0 3 * * 1"')
    life.train()
    life.deploy()
    clocks = {one.name: one.kind for one in opened.read(jobs.schedules)}
    wanted = {"fit:credit": triggers.ASK, "window:credit": triggers.ADVANCE}
    assert clocks.items() >= wanted.items()
    opened.write(
        lambda tx: jobs.enqueue(
            tx,
            life.owner,
            triggers.ASK,
            payload={"deployment": living.NAME, "reason": "schedule"},
        )
    )
    life.work()
    assert any("fit" in one.sentence for one in life.decisions())

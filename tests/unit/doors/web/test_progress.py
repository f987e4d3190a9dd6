"""What the page of a deployment says of its past and of its canary."""

from __future__ import annotations

import math

import pytest

from homeostat.doors.web import charts, home, progress, rendering
from homeostat.lifecycle.loop import entities, rollout
from homeostat.lifecycle.policy import entities as policies
from homeostat.lifecycle.predictions.entities import Segment

POLICY = policies.Policy(model=policies.Model(name="credit", target="default"))


def decision(kind, *acts, at):
    return entities.Decision(
        id=f"d{at}",
        deployment="credit",
        number=0,
        kind=kind,
        event="block-labelled",
        sentence=f"{kind} at {at}",
        evidence={},
        acts=acts,
        at=at,
        policy_digest="p",
        inputs_digest="i",
        state_digest="s",
    )


def segment(number, *, until):
    return Segment(
        id=f"s{number}",
        deployment="credit",
        number=number,
        digest="d",
        first_row=200 * number,
        n_rows=200 if until else 0,
        first_label=0,
        n_labels=0,
        n_failed_rows=0,
        predictions="",
        labels="",
        size_bytes=1,
        first_served_at=until and until - 10,
        last_served_at=until,
        accepted_at=1,
        accepted_by="ada",
    )


SEGMENTS = [segment(3, until=400), segment(2, until=None), segment(1, until=200)]


def test_a_promotion_is_marked_at_the_first_rows_served_after_it():
    entering = entities.Serve(stable={"1": 1.0}, canary={"1": 0.4, "2": 0.6}, share=0.25)
    (mark,) = progress.marks([decision("promote", entering, at=300)], SEGMENTS)
    assert (mark.at, mark.tone, mark.word) == (600.0, "good", "promote 2")


def test_a_rollback_names_who_answers_no_more():
    acts = (entities.Serve(stable={"1": 1.0}), entities.Retire(versions=("2",)))
    (mark,) = progress.marks([decision("rollback", *acts, at=100)], SEGMENTS)
    assert (mark.at, mark.tone, mark.word) == (200.0, "bad", "rollback 2")


@pytest.mark.parametrize(("kind", "at"), [("retrain", 100), ("promote", 500)])
def test_what_changes_no_answer_or_was_not_served_yet_is_not_marked(kind, at):
    assert progress.marks([decision(kind, at=at)], SEGMENTS) == []


def test_without_a_canary_there_is_nothing_to_tell():
    assert progress.canary(None, POLICY.rollout) is None
    assert progress.canary(entities.LoopState(), POLICY.rollout) is None


def observed(paired):
    begun = rollout.begin(("2",), POLICY)
    event = entities.RolloutObserved(paired=paired, n_answered=len(paired))
    seen = rollout.observe(begun, event, POLICY).rollout
    return progress.canary(entities.LoopState(rollout=seen), POLICY.rollout)


def test_a_canary_that_is_worse_fills_the_bar_that_says_so():
    seen = observed((0.3,) * 300)
    sound, worse, failing = seen.bars
    assert (sound.share, worse.share, failing.share) == (0.0, 1.0, 0.0)
    assert seen.n_paired == 300
    assert math.isclose(seen.mean, 0.3)


@pytest.mark.parametrize(
    ("paired", "told"),
    [((), "not compared yet"), ((-0.1, -0.3), "0.2 lower"), ((0.1, 0.3), "0.2 higher")],
)
def test_a_canary_is_told_in_words(paired, told):
    macros = rendering._templates().get_template("macros.html").module
    text = macros.canary(observed(paired))
    assert told in text
    assert "Canary of version 2, step 1" in text


def block(first):
    return entities.BlockScore(
        first_row=first, end_row=first + 200, n_rows=200, mixture=0.1 + first / 1e4, members={}
    )


def test_the_loss_shows_the_change_of_the_world_and_the_rows_kept_out():
    state = entities.LoopState(
        history=tuple(block(200 * i) for i in range(10)),
        change_row=1000,
        quarantined=((0, 300), (600, 800), (5000, 5200)),
    )
    chart = home.loss_chart(state, marks=[charts.Mark(9000.0, "good", "promote 2")])
    assert [tick.mark.word for tick in chart.ticks] == ["change"]
    assert len(chart.shades) == 2
    assert 40 < chart.ticks[0].percent < 50
    macros = rendering._templates().get_template("macros.html").module
    text = macros.picture(chart)
    assert "row 1,000: the world changed near here" in text
    assert "rows kept out of every block" in text


HOUR = 3_600_000


@pytest.mark.parametrize(
    ("past", "told"),
    [
        (-30 * 24 * HOUR, "in 30 d"),
        (-90_000, "in 2 min"),
        (-5_000, "just now"),
        (9_000, "just now"),
        (89_000, "89 s ago"),
        (90_000, "2 min ago"),
        (HOUR, "60 min ago"),
        (2 * HOUR, "2 h ago"),
        (47 * HOUR, "2 d ago"),
    ],
)
def test_how_long_ago_is_told_in_the_unit_that_fits(past, told):
    assert rendering.ago(1_000_000_000_000, now=1_000_000_000_000 + past) == told

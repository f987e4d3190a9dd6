"""A canary is judged by evidence that may be looked at after every row."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import entities, observing, rollout

POLICY = policies.Policy(model=policies.Model(name="credit", target="y"))


def watch(differences, *, answered=5):
    """Look after every 20 rows; return what it came to and after how many rows."""
    state = rollout.begin(("2",), POLICY)
    for place in range(0, len(differences), 20):
        part = tuple(float(value) for value in differences[place : place + 20])
        news = entities.RolloutObserved(paired=part, n_answered=answered)
        seen = rollout.observe(state, news, POLICY)
        if seen.course != "continue":
            return seen.course, place + 20
        state = seen.rollout
    return "continue", len(differences)


def test_an_equal_canary_is_rarely_rolled_back():
    rng = np.random.default_rng(0)
    courses = [watch(rng.normal(0, 0.1, 1000).clip(-1, 1))[0] for _ in range(100)]
    assert courses.count("rollback") <= 10
    assert courses.count("advance") >= 80


def test_a_canary_worse_by_more_than_the_tolerance_rarely_advances():
    rng = np.random.default_rng(1)
    courses = [watch(rng.normal(0.03, 0.1, 1000).clip(-1, 1))[0] for _ in range(100)]
    assert courses.count("advance") <= 5
    assert courses.count("rollback") >= 60


def test_a_canary_needs_answers_of_its_own_to_advance():
    assert watch(np.full(400, -0.1), answered=0)[0] == "continue"


def test_a_rule_that_sends_all_bad_cases_to_the_canary_does_not_roll_it_back():
    """The canary is as good where chance deals, and worse where a rule sends: it stays."""
    rng = np.random.default_rng(2)
    is_bad = rng.random(2000) < 0.5
    to_canary = is_bad | (rng.random(2000) < 0.25)
    rows = pl.DataFrame(
        {
            "generation": [7] * 2000,
            "propensity": np.where(is_bad, 1.0, np.where(to_canary, 0.25, 0.75)),
            "difference": rng.normal(np.where(is_bad, 0.1, 0.0), 0.1).clip(-1, 1),
        }
    )
    assert watch(rows["difference"].to_numpy())[0] == "rollback"
    dealt = observing.dealt(rows)
    assert dealt.height == 2000 - is_bad.sum()
    assert watch(dealt["difference"].to_numpy())[0] == "advance"


def test_rows_of_a_plan_that_deals_nothing_all_count():
    rows = pl.DataFrame({"generation": [1, 1, 2, 2], "propensity": [1.0, 1.0, 1.0, 0.4]})
    assert observing.dealt(rows)["propensity"].to_list() == [1.0, 1.0, 0.4]


@pytest.mark.parametrize("value", [math.nan, 1.5])
def test_a_loss_that_cannot_be_is_refused(value):
    state = rollout.begin(("2",), POLICY)
    with pytest.raises(ValueError, match="must be in -1"):
        rollout.observe(state, entities.RolloutObserved(paired=(value,)), POLICY)

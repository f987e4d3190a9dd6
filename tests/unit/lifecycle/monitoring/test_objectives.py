"""Budgets burn when more is bad than promised, in long and short windows, beyond chance."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.monitoring import kpis, model_classes, objectives, service_counts
from homeostat.lifecycle.policy import Kpi, Objective

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1000 * DAY
RIGHT = Objective(of="accuracy", target=0.99)


def stand(bad, *, n=100_000, days=30.0, promised=RIGHT):
    """Judge events over the last days; `bad` says which of them are, by their age."""
    age = np.linspace(days * DAY, 1, n)
    count = objectives.of_events((NOW - age).astype(np.int64), ~bad(age))
    return objectives.judge("right", promised, count, now=NOW)


def chance(share, *, since=30 * DAY, seed=0):
    rng = np.random.default_rng(seed)
    return lambda age: (rng.random(len(age)) < share) & (age <= since)


def test_a_budget_that_is_just_kept_does_not_burn():
    found = [stand(chance(0.01, seed=seed)) for seed in range(30)]
    assert sum(one.standing.startswith("burning") for one in found) <= 1
    assert all(abs(one.budget_left) < 0.2 for one in found)


@pytest.mark.parametrize(
    ("share", "since", "standing"),
    [
        (0.3, 2 * HOUR, "burning-fast"),
        (0.09, 8 * HOUR, "burning-fast"),
        (0.03, 4 * DAY, "burning-slow"),
        (0.3, 40 * 60_000, "kept"),  # too short for any long window to be full of it
    ],
)
def test_what_burns_is_told_by_the_window_that_sees_it(share, since, standing):
    assert stand(chance(share, since=since)).standing == standing


def test_what_burned_an_hour_ago_and_is_over_is_not_told():
    over = stand(lambda age: chance(0.3)(age) & (age > 40 * 60_000) & (age < 100 * 60_000))
    assert not over.burns[0].is_over
    assert over.burns[0].long > over.burns[0].short == 0


def test_one_bad_event_of_few_is_no_alarm_and_none_at_all_is_no_data():
    few = stand(lambda age: np.arange(len(age)) == len(age) - 1, n=6, days=0.04)
    assert few.burns[0].long > few.burns[0].threshold
    assert few.standing == "spent"
    nothing = objectives.judge("x", RIGHT, objectives.of_slots([]), now=NOW)
    assert (nothing.standing, nothing.budget_left) == ("no-data", None)


def test_a_low_target_can_burn_fast_too():
    low = Objective(of="accuracy", target=0.8)
    found = stand(chance(0.7, since=2 * HOUR), promised=low)
    assert (found.standing, found.burns[0].threshold) == ("burning-fast", pytest.approx(3.0))


def test_silence_counts_by_the_moment():
    count = objectives.of_silence([10 * HOUR], within_ms=HOUR, begin=0)
    assert count(0, 20 * HOUR) == (2 * HOUR, 20 * HOUR)
    assert count(10 * HOUR, 11 * HOUR) == (HOUR, HOUR)
    assert count(-5, 0) == (0, 0)


def test_requests_are_counted_between_two_looks_and_after_a_restart():
    def told(fast, total, failed):
        ours = 'deployment="a",route="predict"'
        lines = [
            f'homeostat_request_seconds_bucket{{{ours},le="{edge}"}} {n}'
            for edge, n in (("0.05", fast), ("+Inf", total))
        ]
        line = f'homeostat_requests_total{{{ours},status="500"}}'
        return service_counts.read("\n".join([*lines, f"{line} {failed}"]))["a"]

    first, second, anew = told(90, 100, 1), told(180, 200, 11), told(5, 5, 0)
    added = second.less(first)
    assert (added.total, added.good(0.05), added.good(0.04)) == (100, 90, 0)
    assert anew.less(second) == anew
    assert added.more(anew).total == 105


def test_an_indicator_takes_the_latest_value_of_each_key_and_the_first_prediction():
    wanted = Kpi(dataset="paid", key="id", value="eur", time="at", minimum_rows=2, of="sum")
    table = pl.DataFrame({"id": [1, 1, 2], "eur": [5, 7, None], "at": [2, 1, 1]})
    known = kpis.values(table, wanted)
    assert known.rows() == [("1", 5.0)]
    rows = pl.DataFrame({"key": ["1", "1", "3"], "version": ["1", "2", "1"]})
    more = pl.concat([known, pl.DataFrame({"key": ["3"], kpis.VALUE: [9.0]})])
    (whole,) = kpis.measure("eur", wanted, rows, known=more, named={}, at=0)
    assert (whole.value, whole.n_rows) == (14.0, 2)
    others = rows.with_columns(key="p-" + pl.col("key"))
    (none,) = kpis.measure("eur", wanted, others, known=more, named={}, at=0)
    assert none.verdict == "unknown"
    assert "none of the 2 values has the key of a prediction" in none.sentence
    with pytest.raises(errors.InvalidInputError, match="no column 'euro'"):
        kpis.values(table, Kpi(dataset="paid", key="id", value="euro"))


def test_a_tag_that_a_model_does_not_have_matches_nothing():
    facts = {"name": "credit", "tier": "high"}
    assert model_classes.matches("name like 'cr%' and tag.team is null", facts)
    assert not model_classes.matches("tag.team != 'risk'", facts)

"""Columns that follow the clock are no drift, and what changes for good still is."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from homeostat.lifecycle.monitoring import baseline, judge, wandering
from homeostat.measures import summary

HOUR_MS = 3_600_000
YEARLY = judge.AlarmBudget(false_alarms=0.5)


def _rows(n, *, hour, rng, by=0.0, is_weekend=False):
    clock = np.sin(2 * np.pi * hour / 24)
    return pl.DataFrame(
        {
            "age": rng.normal(size=n) + clock,
            "spent": rng.normal(size=n) + by,
            "basket": rng.normal(size=n) + 1.2 * is_weekend,
            "from": np.where(rng.random(n) < 0.5 + 0.4 * clock, "web", "shop"),
        }
    )


@pytest.fixture(scope="module")
def lived():
    """A shuffled baseline of two weeks, and three weeks of hours of 60 rows."""
    rng = np.random.default_rng(5)
    frames = [
        _rows(60, hour=hour % 24, rng=rng, is_weekend=hour // 24 % 7 >= 5)
        for hour in range(21 * 24)
    ]
    training = pl.concat(frames[: 14 * 24]).sample(fraction=1.0, shuffle=True, seed=1)
    return frames, baseline.freeze(training, features=training.columns)


def _seen(frames, frozen, *, length=1):
    return [
        wandering.Seen(
            at * length * HOUR_MS,
            "1",
            summary.summarise_table(
                pl.concat(frames[at * length : (at + 1) * length]), frozen.bins
            ),
            frozen,
        )
        for at in range(len(frames) // length)
    ]


def _loud(frames, frozen, wanders):
    allowing = wandering.widened(frozen, wanders, n_rows=60)
    judged = (judge.window(one, allowing, first_row=0, budget=YEARLY) for one in frames)
    return [{found.column for found in one.findings} for one in judged]


def test_what_hours_do_every_day_is_no_drift_once_two_days_were_seen(lived):
    frames, frozen = lived
    assert sum(map(bool, _loud(frames[:24], frozen, {}))) > 6  # nobody could know
    wanders = wandering.measure(_seen(frames[:48], frozen), [])
    assert set(wanders) == {"age", "from"}
    assert not any(_loud(frames[48:72], frozen, wanders))


def test_what_weekends_do_is_no_drift_once_two_weeks_were_seen(lived):
    frames, frozen = lived
    known = frames[: 14 * 24]
    days = _seen(known, frozen, length=24)
    weekend = frames[19 * 24 : 20 * 24]
    hourly = wandering.measure(_seen(known, frozen), days[:7])
    assert any("basket" in columns for columns in _loud(weekend, frozen, hourly))
    daily = wandering.measure(_seen(known, frozen), days)
    assert not any(_loud(weekend, frozen, daily))


def test_what_has_changed_for_good_is_found_on_its_first_day_and_on_later_ones(lived):
    frames, frozen = lived
    rng = np.random.default_rng(6)
    changed = [_rows(60, hour=hour % 24, rng=rng, by=1.5) for hour in range(72)]
    for known in (frames[:48], [*frames[:48], *changed[:60]]):
        wanders = wandering.measure(_seen(known, frozen), [])
        assert "spent" not in wanders
        assert all("spent" in columns for columns in _loud(changed[60:], frozen, wanders))


def test_hours_that_do_not_differ_leave_the_baseline_as_it_was(lived):
    _, frozen = lived
    rng = np.random.default_rng(7)
    same = [_rows(60, hour=0, rng=rng) for _ in range(72)]
    wanders = wandering.measure(_seen(same, frozen), _seen(same, frozen, length=24))
    assert not wanders
    assert wandering.widened(frozen, wanders, n_rows=60) == frozen
    assert not wandering.measure(_seen(same[:24], frozen), [])


def test_values_that_are_missing_every_night_are_no_broken_feed(lived):
    _, frozen = lived
    rng = np.random.default_rng(8)
    nights = [
        _rows(60, hour=0, rng=rng).with_columns(
            pl.lit(None, pl.Float64).alias("spent") if hour % 24 < 6 else pl.col("spent")
        )
        for hour in range(96)
    ]
    assert any("spent" in columns for columns in _loud(nights[:6], frozen, {}))
    wanders = wandering.measure(_seen(nights[:48], frozen), [])
    assert not any(_loud(nights[48:], frozen, wanders))

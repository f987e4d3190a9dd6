"""What is usual is learned from the log, and what is not is told at the stated rate."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from homeostat.lifecycle.evaluation import fairness
from homeostat.lifecycle.monitoring import checks, outcomes

HOUR = checks.HOUR_MS
START = 490_000
LEVEL = 0.01


def _rates(n_hours):
    """Rows an hour: busy days, quiet nights, weekends apart."""
    hour = np.arange(n_hours)
    by_day = 60 + 50 * np.sin(2 * np.pi * hour / 24)
    return by_day * np.where(hour // 24 % 7 >= 5, 0.4, 1.0)


def _judged(counts):
    rows = [((START + i) * HOUR, int(n)) for i, n in enumerate(counts) if n]
    return checks.volume(rows, now=(START + len(counts)) * HOUR + 1, level=LEVEL)


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_a_steady_week_is_called_unusual_no_more_often_than_stated(spread):
    """Poisson arrivals, and such with a rate that itself varies by half."""
    rng = np.random.default_rng(3)
    rates = _rates(checks.MOST_WEEKS * checks.WEEK + 200)
    n_found = 0
    for _ in range(200):
        shift = int(rng.integers(0, 190))
        mean = rates[shift : shift + checks.MOST_WEEKS * checks.WEEK + 1]
        if spread:
            mean = mean * rng.gamma(1 / spread**2, spread**2, size=len(mean))
        n_found += _judged(rng.poisson(mean)).verdict == "found"
    assert n_found <= 7  # of 200 at one in a hundred: more has a chance of 1 in 1,000


def test_half_the_rows_and_silence_are_found_at_any_hour():
    rng = np.random.default_rng(4)
    rates = 10 * _rates(checks.MOST_WEEKS * checks.WEEK + 24)
    for shift in range(0, 24, 4):
        counts = rng.poisson(rates[shift : shift + checks.MOST_WEEKS * checks.WEEK + 1])
        for factor in (0.0, 0.5, 2.0):
            counts[-1] = int(factor * rates[shift + checks.MOST_WEEKS * checks.WEEK])
            found = _judged(counts)
            assert found.verdict == "found", (shift, factor, found.sentence)
    assert "hour of the week" in found.sentence


def test_a_young_log_says_that_it_does_not_know():
    assert _judged(np.full(48, 10)).verdict == "unknown"
    assert checks.volume([], now=0, level=LEVEL).verdict == "unknown"
    by_day = _judged(np.random.default_rng(0).poisson(_rates(24 * 20)))
    assert "hour of the day" in by_day.sentence


def test_silence_is_late_when_it_is_longer_than_it_ever_was():
    counts = [((START + i) * HOUR, 5) for i in range(100) if i % 10 != 3]
    last = counts[-1][0]
    fresh = checks.freshness(counts, last_at=last, now=last + 3 * HOUR)
    late = checks.freshness(counts, last_at=last, now=last + 5 * HOUR)
    assert (fresh.verdict, late.verdict) == ("fine", "found")
    assert checks.freshness([], last_at=None, now=last).verdict == "unknown"


def test_rows_that_came_before_are_counted():
    rows = pl.DataFrame({"key": [f"k{i}" for i in range(500)], "x.a": range(500)})
    assert checks.duplicates(rows).verdict == "fine"
    again = checks.duplicates(pl.concat([rows, rows[:100]]))
    assert again.verdict == "found"
    assert again.numbers["share"].value == pytest.approx(100 / 600)
    assert checks.duplicates(rows[:10]).verdict == "unknown"


def _labelled(n, *, seed, prior=0.5):
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < prior).astype(float)
    x = rng.normal(size=n) + 1.5 * truth
    odds = np.exp(1.5 * x - 1.125)  # of even priors
    return odds / (1 + odds), truth


def test_what_is_missing_for_an_estimate_is_what_is_said_to_be_missing():
    rng = np.random.default_rng(0)
    scores = rng.random(800)
    truth = (rng.random(800) < scores).astype(float)
    for check in outcomes.without_labels(scores[:0], scores, truth, level=1e-4):
        assert "all 800 rows have their label" in check.sentence
    for check in outcomes.without_labels(scores, scores[:90], truth[:90], level=1e-4):
        assert "90 labelled rows" in check.sentence
        assert "400 with both classes are needed" in check.sentence


def test_estimates_without_labels_are_told_and_know_a_new_share_of_positives():
    known, truth = _labelled(4000, seed=1)
    same, _ = _labelled(3000, seed=2)
    fewer, labels = _labelled(3000, seed=3, prior=0.2)
    performance, shift = outcomes.without_labels(same, known, truth, level=1e-4)
    assert (performance.verdict, shift.verdict) == ("told", "fine")
    auc = performance.numbers["auc"]
    assert auc.low < 0.857 < auc.high  # of two normals 1.5 deviations apart
    _, shift = outcomes.without_labels(fewer, known, truth, level=1e-4)
    assert shift.verdict == "found"
    share = shift.numbers["share of positives"]
    assert share.low < labels.mean() < share.high


def test_estimates_are_unknown_where_recent_labels_deny_the_scores():
    known, truth = _labelled(4000, seed=1)
    truth[3000:] = 1 - truth[3000:]
    performance, shift = outcomes.without_labels(known[:500], known, truth, level=1e-4)
    assert performance.verdict == shift.verdict == "unknown"
    assert "recent labels" in performance.sentence
    few, _ = outcomes.without_labels(known, known[:50], truth[:50], level=1e-4)
    assert "needed" in few.sentence


def test_groups_are_found_only_when_the_interval_says_so():
    def judged(n, share):
        chosen = np.concatenate([np.arange(n) < 0.5 * n, np.arange(n) < share * n])
        groups = fairness.count(chosen, chosen, ["a"] * n + ["b"] * n, column="sex")
        return outcomes.fairness(fairness.evaluate(groups))

    assert judged(2000, 0.25).verdict == "found"
    assert judged(2000, 0.49).verdict == "fine"
    assert judged(60, 0.35).verdict == "fine"  # too few to be sure
    assert judged(10, 0.0).verdict == "unknown"


def test_a_version_is_due_for_review_by_its_tier():
    year = 365 * outcomes.DAY_MS
    for tier, days, verdict in (
        ("high", 91, "found"),
        ("medium", 91, "fine"),
        ("low", 366, "found"),
    ):
        found = outcomes.staleness(
            tier=tier, made_at=year, now=year + days * outcomes.DAY_MS, version="model:x@1"
        )
        assert found.verdict == verdict

"""Where nothing changed, windows stay within the budget, also when rows depend on each other.

`benchmarks/alarms.py` plays a thousand runs of each and plants every kind of change.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import signal, stats

from homeostat.lifecycle.loop import harm
from homeostat.lifecycle.monitoring import baseline, judge
from homeostat.measures import distributions, sequential

BUDGET = judge.AlarmBudget(false_alarms=50, windows=1000)  # 5 % of windows


def _series(n, n_columns, rng, memory):
    steps = rng.normal(size=(n + 200, n_columns)) * np.sqrt(1 - memory**2)
    return signal.lfilter([1.0], [1.0, -memory], steps, axis=0)[200:]


def _stream(n, rng, memory):
    x = _series(n, 5, rng, memory)
    columns = {f"x{j}": x[:, j] for j in range(3)}
    columns["region"] = np.array(list("nsew"))[np.digitize(x[:, 3], [-0.7, 0, 0.7])]
    return pl.DataFrame({**columns, "member": x[:, 4] > 0.5})


@pytest.mark.parametrize("memory", [0.0, 0.8, 0.95])
def test_stationary_streams_keep_to_the_budget(memory):
    rng = np.random.default_rng(5)
    loud, n_windows = 0, 0
    for _ in range(10):
        rows = _stream(6000, rng, memory)
        frozen = baseline.freeze(rows[:3000], features=rows.columns)
        for first in range(3000, 6000, 300):
            found = judge.window(rows[first : first + 300], frozen, first_row=0, budget=BUDGET)
            loud += bool(found.findings)
            n_windows += 1
    assert loud <= stats.binom.ppf(0.99, n_windows, 0.05)


def test_a_shift_of_a_dependent_stream_is_named():
    rng = np.random.default_rng(6)
    rows = _stream(3500, rng, 0.8)
    frozen = baseline.freeze(rows[:3000], features=rows.columns)
    window = rows[3000:].with_columns(pl.col("x1") + 1.5)
    found = judge.window(window, frozen, first_row=0, budget=judge.AlarmBudget())
    assert ("covariate-drift", "x1") in {(f.kind, f.column) for f in found.findings}
    assert {f.column for f in found.findings} == {"x1"}


def test_the_tail_of_a_count_with_an_uncertain_share_agrees_with_scipy():
    for k, n, a, b in [(1, 10, 2, 98), (5, 200, 2, 999), (40, 500, 2, 500), (3, 3, 0.5, 4)]:
        expected = stats.betabinom.sf(k - 1, n, a, b)
        assert distributions.beta_binomial_tail(k, n, a, b) == pytest.approx(expected, rel=1e-8)
    assert distributions.beta_binomial_tail(0, 5, 1, 1) == 1


def test_values_that_vanish_together_are_counted_together():
    rng = np.random.default_rng(9)
    told = 0
    for _ in range(6):
        gone = _series(6000, 1, rng, 0.9)[:, 0] < -2  # 2 % of the rows, in bursts
        x = rng.normal(size=6000)
        rows = pl.DataFrame({"x": np.where(gone, np.nan, x)}).fill_nan(None)
        frozen = baseline.freeze(rows[:3000], features=["x"])
        for first in range(3000, 6000, 500):
            found = judge.window(rows[first : first + 500], frozen, first_row=0, budget=BUDGET)
            told += bool(found.findings)
    assert told <= stats.binom.ppf(0.99, 36, 0.05)
    burst = rows[5000:5500].with_columns(
        pl.when(pl.int_range(pl.len()) < 200).then(None).otherwise("x").alias("x")
    )
    found = judge.window(burst, frozen, first_row=0, budget=judge.AlarmBudget())
    assert ("nulls", "x") in {(f.kind, f.column) for f in found.findings}


def test_a_score_that_wanders_over_magnitudes_has_not_changed_its_unit():
    rng = np.random.default_rng(10)
    for _ in range(8):
        rows = pl.DataFrame({"score": 1 / (1 + np.exp(-6 * _series(5000, 1, rng, 0.8)[:, 0]))})
        frozen = baseline.freeze(rows[:3000], features=["score"])
        for first in range(3000, 5000, 250):
            window = rows[first : first + 250]
            found = judge.window(window, frozen, first_row=0, budget=judge.AlarmBudget())
            assert not [f for f in found.findings if f.kind == "unit"]


def test_the_alarm_that_people_are_told_of_keeps_its_rate_on_dependent_rows():
    """Where the suspicion of the loop does not."""
    rng = np.random.default_rng(12)
    alarms = {"loop": 0, "people": 0}
    settings = {"loop": harm.SETTINGS, "people": harm.PROOF}
    n_blocks = 0
    for _ in range(20):
        wrong = _series(100 * 200, 1, rng, 0.8)[:, 0] > 1.2816  # one in ten, by about two
        errors = wrong.reshape(100, 200).mean(axis=1).tolist()
        n_blocks += len(errors)
        for name, chosen in settings.items():
            state = sequential.quiet_alarm(chosen)
            for block, error in enumerate(errors):
                state, alarm = sequential.observe_error(
                    state, error, block=block, n_rows=200, settings=chosen
                )
                alarms[name] += alarm is not None
    stated = n_blocks * np.exp(-harm.PROOF.log_threshold)
    assert alarms["people"] <= stats.poisson.ppf(0.9, stated)
    assert alarms["loop"] > 2 * stated

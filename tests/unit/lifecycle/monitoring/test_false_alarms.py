"""Where nothing changed, windows stay within the budget, also when rows depend on each other.

`benchmarks/alarms.py` plays a thousand runs of each and plants every kind of change.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from homeostat.lifecycle.monitoring import baseline, judge
from homeostat.measures import distributions

BUDGET = judge.AlarmBudget(false_alarms=50, windows=1000)  # 5 % of windows


def _stream(n, rng, memory):
    steps = rng.normal(size=(n + 100, 5)) * np.sqrt(1 - memory**2)
    value, rows = np.zeros(5), np.empty((n + 100, 5))
    for i, step in enumerate(steps):
        value = memory * value + step
        rows[i] = value
    x = rows[100:]
    columns = {f"x{j}": x[:, j] for j in range(3)}
    columns["region"] = np.array(list("nsew"))[np.digitize(x[:, 3], [-0.7, 0, 0.7])]
    return pl.DataFrame({**columns, "member": x[:, 4] > 0.5})


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_stationary_streams_keep_to_the_budget(memory):
    rng = np.random.default_rng(5)
    loud, n_windows = 0, 0
    for _ in range(12):
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

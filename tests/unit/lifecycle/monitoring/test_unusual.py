"""A row that the baseline hardly saw is named with the column; usual rows are not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from homeostat.lifecycle.monitoring import baseline, unusual


def _frame(n, *, seed):
    rng = np.random.default_rng(seed)
    x = rng.lognormal(size=n)
    return pl.DataFrame(
        {
            "x": x,
            "y": x * rng.lognormal(sigma=0.2, size=n),  # columns depend on each other
            "c": rng.choice(["a", "b", "rare"], p=[0.6, 0.395, 0.005], size=n),
            "m": pl.Series(rng.normal(size=n)).set(pl.Series(rng.random(n) < 0.2), None),
        }
    )


@pytest.fixture(scope="module")
def asked():
    frame = _frame(20_000, seed=0)
    return unusual.Baselined(baseline.freeze(frame, features=frame.columns))


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_usual_rows_are_called_unusual_no_more_often_than_stated(asked, level):
    chances = asked.chances(_frame(20_000, seed=1))
    p = np.minimum(1.0, chances.min(axis=1) * len(asked.names))
    assert np.mean(p <= level) <= level + 4 * np.sqrt(level / 20_000)


def test_a_strange_row_comes_first_with_its_column(asked):
    rows = _frame(500, seed=2)
    rows[7, "x"] = 1e6
    log = pl.DataFrame(
        {
            "id": [f"i{i}" for i in range(500)],
            "key": [f"k{i}" for i in range(500)],
            "served_at": [0] * 500,
            "score": [0.5] * 500,
        }
    )
    found = asked.rarest(log, features=rows, limit=3)
    strange = next(row for row in found if row.id == "i7")
    assert next(iter(strange.reasons)) == "x"
    assert strange.p_value < 0.001
    assert asked.rarest(log[:0], features=rows[:0]) == []


def test_one_row_is_judged_as_it_would_be_among_others(asked):
    rows = _frame(50, seed=3)
    chances = asked.chances(rows)
    for i, row in enumerate(rows.to_dicts()):
        found = asked.one(row)
        assert found.p_value <= min(1.0, 2 * chances[i].min() * 4) * (1 + 1e-9)
        assert found.surprise == pytest.approx(-np.log(chances[i]).sum())
    assert asked.one({"x": 1.0, "c": "never seen"}).p_value < 0.01

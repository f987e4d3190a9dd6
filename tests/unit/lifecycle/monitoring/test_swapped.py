"""Two columns that change places are a broken feed; two columns that drift are not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from homeostat.lifecycle.monitoring import baseline, entities, judge

BUDGET = entities.AlarmBudget()


def table(n, seed=0):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "amount": rng.gamma(2, 15, n),
            "age": rng.normal(50, 10, n),
            "share": rng.uniform(0, 1, n),
        }
    )


FROZEN = baseline.freeze(table(4000), features=["amount", "age", "share"])


def judged(frame):
    return judge.window(frame, FROZEN, first_row=1000, budget=BUDGET)


def swapped(frame, first):
    late = pl.int_range(pl.len()) >= first
    return frame.with_columns(
        amount=pl.when(late).then("age").otherwise("amount"),
        age=pl.when(late).then("amount").otherwise("age"),
    )


@pytest.mark.parametrize("first", [0, 80, 150])
def test_a_swap_is_found_with_its_rows(first):
    found = judged(swapped(table(200, seed=1), first))
    assert {(f.kind, f.column) for f in found.findings} == {
        ("swapped", "amount"),
        ("swapped", "age"),
    }
    ((begin, end),) = found.broken
    assert abs(begin - 1000 - first) <= 5
    assert end >= 1195
    assert {cause.kind for cause in found.causes} == {"feed"}


def test_nothing_is_found_where_nothing_is_swapped():
    kinds = {f.kind for seed in range(40) for f in judged(table(200, seed=seed)).findings}
    assert "swapped" not in kinds


def test_a_shift_of_both_is_not_taken_for_a_swap():
    moved = table(200, seed=2).with_columns(pl.col("amount") + 20, pl.col("age") - 15)
    assert "swapped" not in {f.kind for f in judged(moved).findings}


def test_columns_that_look_alike_are_never_called_swapped():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"a": rng.uniform(size=3000), "b": rng.uniform(size=3000)})
    frozen = baseline.freeze(frame[:2000], features=["a", "b"])
    other = frame[2000:2200].select(a="b", b="a")
    found = judge.window(other, frozen, first_row=0, budget=BUDGET)
    assert not found.findings


def test_columns_that_move_a_little_to_each_others_place_are_no_swap():
    rng = np.random.default_rng(0)
    before = pl.DataFrame({"a": rng.normal(0, 1, 4000), "b": rng.normal(0.9, 1, 4000)})
    after = pl.DataFrame({"a": rng.normal(0.9, 1, 200), "b": rng.normal(0, 1, 200)})
    found = judge.window(
        after, baseline.freeze(before, features=["a", "b"]), first_row=0, budget=BUDGET
    )
    kinds = {f.kind for f in found.findings}
    assert "covariate-drift" in kinds
    assert "swapped" not in kinds

"""A judgement names planted faults rightly and is silent when nothing has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.monitoring import baseline, column_windows, judge

DATA = Path(__file__).parents[5] / "shared" / "data"
BUDGET = judge.AlarmBudget()


def _table(n, *, seed=0):
    rng = np.random.default_rng(seed)
    debt = rng.normal(0.35, 0.16, n)
    chance = 1 / (1 + np.exp(-6 * (debt - 0.45)))
    return pl.DataFrame(
        {
            "income": np.round(38_000 * np.exp(rng.normal(0, 0.45, n))),
            "debt": debt,
            "savings": np.where(rng.random(n) < 0.6, 0.0, rng.lognormal(7, 2, n)),
            "visits": rng.poisson(3, n),
            "region": rng.choice(["north", "south", "east", "west"], n),
            "member": rng.random(n) < 0.3,
            "note": [None if u < 0.1 else "yes" for u in rng.random(n)],
            "score": chance,
            "label": (rng.random(n) < chance).astype(int),
        }
    )


FEATURES = ["income", "debt", "savings", "visits", "region", "member", "note"]
FROZEN = baseline.freeze(_table(5000), features=FEATURES, score="score", label="label")


def _judge(frame, frozen=FROZEN, first_row=1000, budget=BUDGET):
    return judge.window(frame, frozen, first_row=first_row, budget=budget)


def _feed(judgement):
    return [
        (c.kind, c.column, c.factor) for c in judgement.causes if c.kind != "covariate-shift"
    ]


@pytest.mark.parametrize("factor", [100.0, 1000.0, 0.01, 60.0])
@pytest.mark.parametrize(("first", "end"), [(0, 200), (73, 200), (0, 131), (40, 150)])
def test_a_changed_unit_is_named_with_its_factor_and_rows(factor, first, end):
    frame = _table(200, seed=1)
    income = frame["income"].to_numpy().copy()
    income[first:end] *= factor
    found = _judge(frame.with_columns(income=income))
    assert _feed(found) == [("feed", "income", pytest.approx(factor))]
    assert found.broken == ((1000 + first, 1000 + end),)
    assert found.findings[0].kind == "unit"


def test_a_changed_unit_of_a_column_full_of_zeros_is_named():
    frame = _table(200, seed=2)
    found = _judge(frame.with_columns(pl.col("savings") * 100_000))
    assert _feed(found) == [("feed", "savings", pytest.approx(1e5))]


def test_prices_that_rise_by_half_are_a_shift_not_a_unit():
    found = _judge(_table(200, seed=3).with_columns(pl.col("income") * 1.5))
    assert found.broken is None
    assert ("covariate-drift", "income") in {(f.kind, f.column) for f in found.findings}


@pytest.mark.parametrize("value", [None, float("nan")])
def test_vanished_values_are_a_broken_feed(value):
    frame = _table(200, seed=4)
    debt = frame["debt"].to_list()
    debt[60:180] = [value] * 120
    found = _judge(frame.with_columns(pl.Series("debt", debt)))
    assert _feed(found) == [("feed", "debt", None)]
    assert found.broken == ((1060, 1180),)
    assert found.findings[0].kind == "nulls"


def test_more_missing_values_than_before_are_told_but_not_quarantined():
    frame = _table(200, seed=5)
    few = np.random.default_rng(5).random(200) < 0.2
    debt = [None if gone else v for v, gone in zip(frame["debt"], few, strict=True)]
    found = _judge(frame.with_columns(pl.Series("debt", debt)))
    assert ("nulls", "debt") in {(f.kind, f.column) for f in found.findings}
    assert found.broken is None


def test_a_value_that_stands_still_is_a_broken_feed():
    frame = _table(200, seed=6)
    debt = frame["debt"].to_numpy().copy()
    debt[50:120] = debt[50]
    found = _judge(frame.with_columns(debt=debt))
    assert _feed(found) == [("feed", "debt", None)]
    assert found.broken == ((1050, 1120),)
    assert found.findings[0].kind == "stuck"


def test_categories_written_differently_are_a_broken_feed():
    found = _judge(_table(200, seed=7).with_columns(pl.col("region").str.to_uppercase()))
    assert _feed(found) == [("feed", "region", None)]
    assert found.broken == ((1000, 1200),)


def test_a_new_category_is_told_by_name_but_not_quarantined():
    frame = _table(200, seed=8)
    region = frame["region"].to_list()
    region[:15] = ["abroad"] * 15
    found = _judge(frame.with_columns(pl.Series("region", region)))
    new = [f for f in found.findings if f.kind == "new-category"]
    assert [f.column for f in new] == ["region"]
    assert "'abroad'" in new[0].sentence
    assert found.broken is None


def test_a_missing_column_and_text_for_numbers_are_a_changed_schema():
    frame = _table(200, seed=9)
    found = _judge(frame.drop("visits").with_columns(debt=pl.lit("n/a")))
    assert _feed(found) == [("schema", "debt", None), ("schema", "visits", None)]
    assert found.broken == ((1000, 1200),)


def test_two_broken_columns_give_their_joined_rows():
    frame = _table(200, seed=10)
    income, debt = frame["income"].to_numpy().copy(), frame["debt"].to_list()
    income[:80] *= 100
    debt[60:120] = [None] * 60
    found = _judge(frame.with_columns(pl.Series("debt", debt), income=income))
    assert {c.column for c in found.causes if c.kind == "feed"} == {"income", "debt"}
    assert found.broken == ((1000, 1120),)


def test_a_harmless_shift_is_judged_harmless():
    frame = _table(6000, seed=11)
    some = frame.filter((pl.col("region") == "north") | (pl.col("visits") == 0))
    found = judge.window(some, FROZEN, first_row=0, budget=BUDGET, tolerance=0.06)
    assert "covariate-shift" in {c.kind for c in found.causes}
    assert found.broken is None
    assert found.shift.verdict == "harmless"
    assert abs(found.shift.change) < 3 * found.shift.standard_error


def test_a_shift_to_cases_the_model_cannot_tell_is_judged_harmful():
    frame = _table(3000, seed=12)
    hard = frame.filter((pl.col("debt") > 0.38) & (pl.col("debt") < 0.52))
    found = _judge(hard[:400])
    assert found.shift.verdict == "harmful"
    truth = ((hard["score"] >= 0.5) != (hard["label"] == 1)).mean()
    assert found.shift.loss_after == pytest.approx(truth, abs=3 * found.shift.standard_error)


def test_moved_scores_are_a_prediction_drift():
    frame = _table(200, seed=13).with_columns(score=pl.col("score") ** 3)
    found = _judge(frame)
    assert ("prediction-drift", "score") in {(f.kind, f.column) for f in found.findings}


def test_false_alarms_keep_to_the_budget_when_nothing_changed():
    frame = _table(200 * 400, seed=14)
    budget = judge.AlarmBudget(false_alarms=1, windows=20)
    found = [_judge(frame[i : i + 200], budget=budget) for i in range(0, frame.height, 200)]
    loud = np.mean([bool(j.findings) for j in found])
    assert loud <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
    assert all(j.broken is None for j in found)


def test_a_judgement_depends_on_nothing_but_its_arguments():
    frame = _table(200, seed=15).with_columns(pl.col("income") * 100)
    again = baseline.decode(baseline.encode(FROZEN))
    assert _judge(frame, again) == _judge(frame)


def test_one_row_and_no_row_can_be_judged():
    assert _judge(_table(1)).findings == ()
    assert _judge(_table(1)[:0]).n_rows == 0


def test_a_column_that_was_constant_is_never_a_broken_feed():
    base = _table(1000).with_columns(fee=pl.lit(2.5), kind=pl.lit("a"))
    frozen = baseline.freeze(base, features=["fee", "kind"])
    frame = pl.DataFrame({"fee": np.full(200, 250.0), "kind": ["A"] * 200})
    assert _judge(frame, frozen).broken is None


@pytest.mark.parametrize(
    ("name", "target", "drop"), [("elec2", "class", []), ("bank_marketing", "y", ["duration"])]
)
def test_real_streams_are_never_quarantined(name, target, drop):
    path = DATA / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    frame = pl.read_parquet(path).drop(drop)
    n = frame.height // 8
    features = [c for c in frame.columns if c != target]
    frozen = baseline.freeze(frame[:n], features=features)
    for row in range(n, frame.height, 200):
        assert _judge(frame[row : row + 200], frozen, first_row=row).broken is None


def test_baselines_stay_small_and_say_what_they_lack():
    assert len(baseline.encode(FROZEN)) < 200_000
    with pytest.raises(errors.InvalidInputError, match="nosuch"):
        baseline.freeze(_table(10), features=["nosuch"])
    with pytest.raises(errors.InvalidInputError, match="4 classes"):
        baseline.freeze(_table(100), features=["debt"], score="score", label="region")
    with pytest.raises(errors.CorruptError):
        baseline.decode(b"nothing")


def test_labels_may_be_words():
    words = _table(500).with_columns(
        label=pl.when(pl.col("label") == 1).then(pl.lit("yes")).otherwise(pl.lit("no"))
    )
    named = baseline.freeze(words, features=["debt"], score="score", label="label")
    plain = baseline.freeze(_table(500), features=["debt"], score="score", label="label")
    assert named.wrong == plain.wrong


def test_columns_of_every_type_can_be_frozen_and_judged():
    n = 400
    frame = pl.DataFrame(
        {
            "cat": pl.Series(["a", "b"] * 200).cast(pl.Categorical),
            "day": pl.Series(range(n)).cast(pl.Date),
            "void": [None] * n,
            "infinite": [float("inf")] * 200 + list(range(200)),
            "list": [[1]] * n,
            "huge": [-1.7e308, 1.7e308] * 200,
            "tiny": np.linspace(0, 5e-324, n),
            "flag": [True, False] * 200,
        }
    )
    frozen = baseline.freeze(frame, features=frame.columns)
    assert baseline.decode(baseline.encode(frozen)) == frozen
    assert _judge(frame[:200], frozen).broken is None
    odd = pl.DataFrame(
        {
            "cat": [1] * 200,
            "day": ["x"] * 200,
            "void": [3] * 200,
            "infinite": [None] * 200,
            "list": [1] * 200,
            "huge": [True] * 200,
            "tiny": [[1]] * 200,
            "flag": [1] * 200,
        }
    )
    found = _judge(odd, frozen)
    assert {f.column for f in found.findings if f.kind == "schema"} == {"day", "tiny"}


def test_a_column_whose_rows_are_too_few_is_said_to_lack_data_and_not_to_be_calm():
    rare = _table(2000).with_columns(pl.Series("member", np.arange(2000) % 50 == 0))
    frozen = baseline.freeze(rare, features=FEATURES, score="score", label="label")
    now = _table(60, seed=4).with_columns(pl.Series("member", np.arange(60) % 50 == 0))
    judged = judge.window(now, frozen, first_row=0, budget=BUDGET)
    assert judged.lacking == {"member": "not enough data: 60 rows, about 246 needed"}
    seen = column_windows.view("member", judged.summary.columns["member"], frozen)
    assert (seen.shift, seen.lacking) == (None, judged.lacking["member"])
    tiny = judge.window(now[:4], frozen, first_row=0, budget=BUDGET)
    assert set(tiny.lacking) == {*FEATURES, "score"} - {"note"}  # which is always the same
    assert not _judge(_table(400, seed=5)).lacking

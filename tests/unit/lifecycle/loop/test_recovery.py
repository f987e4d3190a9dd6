"""The loop on small histories: every task recovers, nothing broken is learned from."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle.loop import (
    backtest,
    chart,
    comparing,
    estimators,
    history,
    looped,
    testbed,
)

POLICY = backtest.policy_for("y")


def loans(seed=0, n=6000):
    rng = np.random.default_rng([77, seed])
    amount, age = rng.gamma(2, 15, n), rng.normal(50, 10, n)
    share, income = rng.uniform(0, 1, n), rng.exponential(1000, n)
    z = amount / 30 - 1 + (age - 50) / 10 + 3 * (share - 0.5) + (income / 1000 - 1) / 2
    y = (z > 0) ^ (rng.random(n) < 0.08)
    return pl.DataFrame(
        {"amount": amount, "age": age, "share": share, "income": income, "y": y}
    )


FIRST, END = 3050, 5050
BROKEN = {
    "x100": {"income": pl.col("income") * 100},
    "stuck": {"amount": pl.lit(31.0)},
    "swapped": {"amount": pl.col("age"), "age": pl.col("amount")},
    "nulls": {"age": pl.lit(None, dtype=pl.Float64)},
}


@pytest.fixture(scope="module")
def unbroken():
    return lived(loans())[0]


def lived(frame):
    rows = history.prepare(frame, target="y", warmup=0.25)
    bed = testbed.Testbed(rows, batch=200, label_delay=0, seed=0)
    learned = []
    fit = bed.fit

    def noted(chosen):
        learned.append(chosen)
        return fit(chosen)

    bed.fit = noted
    with estimators.one_thread():
        answers = looped.answer(bed, POLICY)
    return answers.chances, np.concatenate(learned), answers


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_feed_is_never_learned_from_and_forgotten_within_200_rows(how, unbroken):
    inside = pl.int_range(pl.len()).is_between(FIRST, END, closed="left")
    frame = loans().with_columns(
        **{name: pl.when(inside).then(to).otherwise(name) for name, to in BROKEN[how].items()}
    )
    chances, learned, answers = lived(frame)
    assert not ((learned >= FIRST) & (learned < END)).any()
    assert {alarm.kind for alarm in answers.alarms} == {"feed"}
    truth = loans()["y"].to_numpy()[END:]
    after, should = (found[END - 1500 :] >= 0.5 for found in (chances, unbroken))
    assert np.mean(after == truth) > np.mean(should == truth) - 0.02


def turned(n=5000):
    """A number and a class of three that follow it; at row 3,000 the world turns."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 4))
    late = np.arange(n) > 3000
    value = np.where(late, x[:, 1] - 2 * x[:, 0], 2 * x[:, 0] + x[:, 1])
    value = value + rng.normal(0, 0.5, n)
    columns = {f"x{i}": x[:, i] for i in range(4)}
    kind = np.array(["low", "middle", "high"])[np.digitize(value, [-1, 1])]
    return pl.DataFrame({**columns, "value": value, "kind": kind})


@pytest.mark.parametrize(("target", "other"), [("kind", "value"), ("value", "kind")])
def test_several_classes_and_numbers_recover_from_a_turn(target, other):
    rows = history.prepare(
        turned(), target=target, drop=[other], regression=target == "value", warmup=0.2
    )
    policy = backtest.policy_for(target)
    static, loop = (
        backtest.run(rows, policy, strategy=strategy) for strategy in ("static", "loop")
    )
    (harm,) = [alarm.row for alarm in loop.alarms if alarm.kind == "harm"]
    assert 3000 < harm <= 3400
    assert loop.score > static.score + 0.15
    assert (loop.accuracy is None) == (target == "value")


def test_a_class_that_was_never_seen_is_answered_with_nothing():
    frame = turned(2400).with_columns(
        kind=pl.when(pl.int_range(pl.len()) > 2000).then(pl.lit("new")).otherwise("kind")
    )
    rows = history.prepare(frame, target="kind", drop=["value"])
    found = backtest.run(rows, backtest.policy_for("kind"), strategy="static")
    assert found.accuracy is not None
    assert found.accuracy < 0.9


@pytest.fixture(scope="module")
def compared():
    rows = history.prepare(loans(n=2400), target="y")
    ways = [
        comparing.Way(name=name, strategy=name, policy=POLICY)
        for name in ("loop", "composite", "static", "every-batch", "cron-5")
    ]
    return comparing.compare(rows, ways)


def test_ways_are_told_with_what_each_regains(compared):
    regained = {row.name: row.regained for row in compared.rows}
    assert regained["static"] == 0.0
    assert regained["every-batch"] == 1.0
    assert {row.name for row in compared.rows if row.policy} == {"loop", "composite"}
    corrector = {row.name: row.outcome.corrector_fits for row in compared.rows}
    assert corrector["loop"] > corrector["composite"] == 0


def test_the_chart_stands_by_itself(compared):
    picture = chart.svg(compared, title="loans & <co>", first_row=300, batch=200)
    page = chart.html(picture, title="loans")
    assert picture.count("<polyline") == 5
    assert "loans &amp; &lt;co&gt;" in picture
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in page


def test_a_way_is_compared_once():
    rows = history.prepare(loans(n=1200), target="y")
    way = comparing.Way(name="static", strategy="static", policy=POLICY)
    with pytest.raises(InvalidInputError, match="itself"):
        comparing.compare(rows, [way, way])

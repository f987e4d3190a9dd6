"""A backtest answers before it knows, and leaves alone what does not change."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from msgspec import structs

from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle.loop import (
    backtest,
    clocked,
    estimators,
    history,
    looped,
    prequential,
    testbed,
)
from homeostat.lifecycle.policy import entities as policies
from homeostat.lifecycle.policy import limits

POLICY = backtest.policy_for("y")


def sums(seed, *, n=35_000, threshold=8.0, noise=0.10):
    """Two of three numbers add up to less than a threshold (SEA), with flipped labels."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 10, (n, 3))
    y = (x[:, 0] + x[:, 1] <= threshold) ^ (rng.random(n) < noise)
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y})


def boxes(seed, *, n=35_000, noise=0.15):
    """Rows inside one of six boxes parallel to the axes, with flipped labels."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, 8))
    inside = np.zeros(n, dtype=bool)
    for _ in range(6):
        columns = rng.choice(8, 3, replace=False)
        low = rng.uniform(0, 0.5, 3)
        inside |= ((x[:, columns] > low) & (x[:, columns] < low + 0.6)).all(axis=1)
    y = inside ^ (rng.random(n) < noise)
    return pl.DataFrame({**{f"x{i}": x[:, i] for i in range(8)}, "y": y})


@pytest.mark.slow
@pytest.mark.parametrize(("make", "seed"), [(sums, 0), (boxes, 1)])
def test_a_stationary_stream_is_left_alone(make, seed):
    rows = history.prepare(make(seed), target="y")
    static = backtest.run(rows, POLICY, strategy="static")
    loop = backtest.run(rows, POLICY)
    assert loop.alarms == ()
    assert loop.accuracy >= static.accuracy - 0.0005


@pytest.mark.slow
def test_an_abrupt_change_is_found_and_learned():
    frame = pl.concat([sums(3, n=8000), sums(4, n=8000, threshold=12.0)])
    rows = history.prepare(frame, target="y")
    found = backtest.run(rows, POLICY)
    (harm,) = [alarm for alarm in found.alarms if alarm.kind == "harm"]
    assert 8000 < harm.row <= 8600
    static = backtest.run(rows, POLICY, strategy="static")
    assert found.accuracy > static.accuracy + 0.08
    assert found.promotions


def test_the_same_arguments_give_the_same_outcome():
    rows = history.prepare(sums(0, n=6000), target="y")
    one, two = (backtest.run(rows, POLICY, label_delay=300) for _ in range(2))
    assert (one.accuracy, one.log_loss, one.fits) == (two.accuracy, two.log_loss, two.fits)


def test_answers_do_not_look_ahead():
    frame = sums(0, n=6000)
    flipped = frame.with_columns(
        y=pl.when(pl.int_range(pl.len()) >= 5000).then(~pl.col("y")).otherwise(pl.col("y"))
    )
    seen = []
    for one in (frame, flipped):
        rows = history.prepare(one, target="y")
        seen += [answers(rows, how)[: 5000 - rows.warmup] for how in ("loop", "cron:2")]
    assert np.array_equal(seen[0], seen[2])
    assert np.array_equal(seen[1], seen[3])


def answers(rows, strategy):
    bed = testbed.Testbed(rows, batch=200, label_delay=100, seed=0)
    if strategy == "loop":
        return looped.answer(bed, POLICY).chances
    return clocked.answer(bed, every=2, window=4000).chances


def test_every_batch_fits_after_every_batch():
    rows = history.prepare(sums(0, n=3000), target="y")
    found = backtest.run(rows, POLICY, strategy="every-batch")
    assert found.fits == len(range(rows.warmup, 3000, 200)) - 1


def test_categories_missing_values_and_unseen_ones_are_answered():
    rng = np.random.default_rng(0)
    n = 3000
    city = rng.choice(["rome", "oslo", "kyiv"], n).astype(object)
    city[2500:] = "lima"
    city[rng.random(n) < 0.1] = None
    size = rng.normal(size=n)
    size[rng.random(n) < 0.2] = np.nan
    size[5] = np.inf
    y = np.where((city == "rome") ^ (rng.random(n) < 0.1), "yes", "no")
    frame = pl.DataFrame({"city": city.tolist(), "size": size, "empty": [None] * n, "y": y})
    rows = history.prepare(frame, target="y")
    assert rows.positive == "yes"
    assert any("'empty'" in note for note in rows.notes)
    assert backtest.run(rows, POLICY, strategy="static").accuracy > 0.8


def test_more_categories_than_trees_take_share_a_code():
    n = 2000
    frame = pl.DataFrame({"code": [f"c{i % 700}" for i in range(n)], "n": range(n)})
    model = estimators.trees(frame)
    model.fit(frame, np.arange(n) % 2)
    assert np.isfinite(model.predict_proba(frame[:5])).all()


def test_a_clock_is_no_feature():
    frame = sums(0, n=3000).with_columns(at=pl.int_range(3000))
    rows = history.prepare(frame, target="y")
    assert rows.features.columns == ["a", "b", "c"]
    assert any("'at'" in note for note in rows.notes)


def test_time_sorts_the_rows_and_is_no_feature():
    frame = sums(0, n=3000).with_columns(at=pl.int_range(3000))
    mixed = frame.sample(fraction=1.0, shuffle=True, seed=1)
    rows = history.prepare(mixed, target="y", time="at")
    assert rows.features["a"].to_list() == frame["a"].to_list()


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda f: f, {"target": "z"}, "no column 'z'"),
        (lambda f: f, {"target": "y", "drop": ["z"]}, "no column 'z'"),
        (lambda f: f.with_columns(y=pl.lit(1)), {"target": "y"}, "one class only"),
        (lambda f: f.with_columns(y=pl.int_range(300)), {"target": "y"}, "300 classes"),
        (
            lambda f: f.with_columns(y=pl.lit("a")),
            {"target": "y", "regression": True},
            "needs numbers",
        ),
        (lambda f: f.with_columns(y=None), {"target": "y"}, "no value"),
        (lambda f: f.select("y"), {"target": "y"}, "no feature"),
        (lambda f: f.head(0), {"target": "y"}, "no rows"),
        (lambda f: f, {"target": "y", "warmup": 1.5}, "share"),
        (lambda f: f.sort("y"), {"target": "y"}, "one class"),
    ],
    ids=["target", "drop", "one", "many", "text", "null", "alone", "empty", "warmup", "sorted"],
)
def test_what_cannot_be_answered_is_refused_with_a_reason(change, options, words):
    with pytest.raises(InvalidInputError, match=words):
        history.prepare(change(sums(0, n=300)), **options)


@pytest.mark.parametrize(
    "options",
    [{"strategy": "best"}, {"strategy": "cron:0"}, {"batch": 3}, {"label_delay": -1}],
    ids=str,
)
def test_options_out_of_range_are_refused(options):
    rows = history.prepare(sums(0, n=600), target="y")
    with pytest.raises(InvalidInputError):
        backtest.run(rows, POLICY, **options)


def test_kappa_is_none_where_the_previous_label_is_never_wrong():
    labels = np.ones(10, dtype=np.int8)
    assert prequential.scores(labels, np.full(9, 0.9), first=1).kappa_temporal is None


def test_a_column_of_equal_delays_is_the_same_as_one_delay():
    frame = sums(0, n=4000)
    one = backtest.run(history.prepare(frame, target="y"), POLICY, label_delay=300)
    rows = history.prepare(frame.with_columns(late=pl.lit(300)), target="y", delay="late")
    other = backtest.run(rows, POLICY)
    assert (one.accuracy, one.log_loss, one.fits) == (
        other.accuracy,
        other.log_loss,
        other.fits,
    )


def test_labels_that_come_out_of_order_or_never_make_blocks_of_their_own():
    rng = np.random.default_rng(0)
    frame = pl.concat([sums(3, n=3000), sums(4, n=3000, threshold=12.0)])
    late = pl.Series(rng.integers(0, 400, 6000)).to_list()
    late = [None if rng.random() < 0.3 else each for each in late]
    rows = history.prepare(frame.with_columns(late=pl.Series(late)), target="y", delay="late")
    found = backtest.run(rows, POLICY)
    n_known = sum(each is not None for each in late)
    assert 0.9 * n_known < found.labels_used < n_known + rows.warmup
    (harm,) = [alarm.row for alarm in found.alarms if alarm.kind == "harm"]
    assert 3000 < harm <= 4600
    static = backtest.run(rows, POLICY, strategy="static")
    assert found.accuracy > static.accuracy + 0.02


QUANTILE = structs.replace(
    backtest.policy_for("y", task="regression"),
    gates=policies.Gates(metric="pinball@0.9"),
)


def test_a_quantile_is_fitted_judged_by_its_pinball_loss_and_learned_anew():
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, 4000)
    y = x + rng.exponential(0.2 + 0.6 * (np.arange(4000) >= 2000), 4000)
    frame = pl.DataFrame({"x": x, "y": y})
    rows = history.prepare(frame, target="y", regression=True, quantile=0.9, warmup=0.25)
    loop, static = (
        backtest.live(rows, QUANTILE, strategy=how, batch=100) for how in ("loop", "static")
    )
    assert loop.outcome.r2 > static.outcome.r2 + 0.2
    assert [alarm.kind for alarm in loop.outcome.alarms] == ["harm"]


def lived(policy, frame, **how):
    rows = history.prepare(frame, target="y", warmup=0.2, **how)
    return backtest.live(rows, policy, enters=True, batch=100).outcome


def test_newcomers_live_through_gates_canary_and_envelope():
    frame = pl.concat([sums(3, n=1600), sums(4, n=1000, threshold=12.0)])
    once = structs.replace(POLICY, rollout=policies.Rollout(steps=(0.3, 1.0)))
    found = lived(once, frame)
    assert found.promotions
    assert (found.entered.refused, found.entered.asked) == (0, 0)
    strict = structs.replace(once, gates=policies.Gates(metric="accuracy", at_least=0.99))
    assert lived(strict, frame).promotions == ()
    bounded = structs.replace(once, envelope=limits.Envelope(rows_at_most=10))
    assert lived(bounded, frame).entered.asked >= 1


def dated(frame, *, minutes):
    since = pl.int_range(pl.len()) * minutes * 60_000
    return frame.with_columns(at=pl.from_epoch(since, time_unit="ms"))


def test_clocks_and_budgets_go_by_the_dates_of_the_rows():
    frame = dated(sums(3, n=1100), minutes=20)
    daily = structs.replace(
        POLICY, retraining=policies.Retraining(on=("schedule",), schedule="0 3 * * *")
    )
    free = lived(daily, frame, time="at", late_s=3600.0)
    assert free.fits == 9
    weekly = structs.replace(daily.retraining, cooldown="5d", fits_per_day=1)
    held = lived(structs.replace(daily, retraining=weekly), frame, time="at", late_s=3600.0)
    assert held.fits == 3
    assert held.entered.held > 0


def test_labels_that_are_late_by_a_time_are_known_at_their_time():
    frame = dated(sums(0, n=600), minutes=60)
    rows = history.prepare(frame, target="y", time="at", late_s=5 * 3600.0)
    assert set(rows.delays[:594].tolist()) == {4}
    known = frame.with_columns(known=pl.col("at") + pl.duration(hours=5))
    same = history.prepare(known, target="y", time="at", known="known")
    assert np.array_equal(same.delays, rows.delays)
    with pytest.raises(InvalidInputError, match="need rows with dates"):
        history.prepare(sums(0, n=600), target="y", late_s=60.0)

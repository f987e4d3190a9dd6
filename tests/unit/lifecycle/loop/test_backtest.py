"""A backtest answers before it knows, and leaves alone what does not change."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

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

"""Metrics and their intervals, against scikit-learn and against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from homeostat.lifecycle.evaluation import compare, metrics, scoring


def rows(seed, n=300, lift=1.0):
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.3
    p = 1 / (1 + np.exp(-(rng.normal(size=n) + lift * (y - 0.5))))
    return y, np.round(p, 2)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 200))
def test_values_agree_with_scikit_learn(seed, n):
    y, p = rows(seed, n)
    if y.all() or not y.any():
        return
    found = metrics.evaluate(y, p, threshold=0.4)
    chosen = p >= 0.4
    assert found.accuracy.value == pytest.approx(oracle.accuracy_score(y, chosen))
    assert found.roc_auc.value == pytest.approx(oracle.roc_auc_score(y, p))
    assert found.brier.value == pytest.approx(oracle.brier_score_loss(y, p))
    assert found.log_loss.value == pytest.approx(oracle.log_loss(y, p))
    assert found.recall.value == pytest.approx(oracle.recall_score(y, chosen))
    if chosen.any():
        assert found.precision.value == pytest.approx(oracle.precision_score(y, chosen))
    for name in metrics.ALWAYS:
        part = getattr(found, name)
        if part.value is not None:
            assert part.low <= part.value <= part.high


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 200))
def test_resampled_metrics_agree_with_scikit_learn(seed, n):
    y, p = rows(seed, n)
    if y.all() or not y.any():
        return
    chosen = p >= 0.4
    truths = {
        "f1": oracle.f1_score(y, chosen),
        "balanced_accuracy": oracle.balanced_accuracy_score(y, chosen),
        "average_precision": oracle.average_precision_score(y, p),
    }
    for name, truth in truths.items():
        found = metrics.estimate(name, y, p, threshold=0.4)
        assert found.value == pytest.approx(truth)
        assert found.low <= found.value <= found.high


def test_wilson_interval_has_the_published_value():
    """Newcombe 1998, table I: 81 of 263."""
    found = scoring.share(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize("name", ["roc_auc", "brier", "accuracy", "log_loss"])
def test_intervals_hold_the_truth_about_as_often_as_they_say(name):
    y, p = rows(99, 200_000)
    truth = getattr(metrics.evaluate(y, p), name).value
    held = 0
    for seed in range(200):
        part = metrics.estimate(name, *rows(seed, 250))
        held += part.low <= truth <= part.high
    assert 0.90 <= held / 200 <= 0.99


def test_one_class_only_leaves_the_area_undefined_and_the_rest_defined():
    found = metrics.evaluate([0, 0, 0], [0.1, 0.2, 0.3])
    assert found.roc_auc.value is None
    assert found.recall.value is None
    assert found.precision.value is None
    assert found.accuracy.value == 1.0


def test_a_perfect_order_on_few_rows_is_not_called_certain():
    found = metrics.evaluate([0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.8, 0.9])
    assert found.roc_auc.value == 1.0
    assert found.roc_auc.low < 0.5


@pytest.mark.parametrize(
    ("y", "p", "words"),
    [
        ([], [], "one length"),
        ([0, 1], [0.5], "one length"),
        ([0, 2], [0.5, 0.5], "0 or 1"),
        ([0, 1], [0.5, float("nan")], "finite"),
        ([0, 1], [0.5, 1.5], "between 0 and 1"),
    ],
    ids=["empty", "lengths", "labels", "nan", "range"],
)
def test_unfit_arrays_are_refused_in_a_sentence(y, p, words):
    with pytest.raises(ValueError, match=words):
        metrics.evaluate(y, p)


def test_the_same_rows_give_the_same_intervals():
    y, p = rows(1)
    assert metrics.evaluate(y, p, seed=5) == metrics.evaluate(y, p, seed=5)


@pytest.mark.parametrize("name", compare.PAIRED)
def test_gain_is_positive_for_the_better_and_flips_when_swapped(name):
    y, p = rows(3, 400)
    worse = np.clip(p + np.random.default_rng(0).normal(0, 0.3, 400), 0, 1)
    there = compare.compare(y, worse, p, metric=name).gain
    back = compare.compare(y, p, worse, metric=name).gain
    assert there.value > 0
    assert there.value == pytest.approx(-back.value)
    assert there.low == pytest.approx(-back.high)


@pytest.mark.parametrize("name", compare.PAIRED)
def test_paired_intervals_hold_the_true_gain_about_as_often_as_they_say(name):
    def pair(seed, n):
        y, p = rows(seed, n)
        noise = np.random.default_rng(seed + 1_000_000).normal(0, 0.2, n)
        return y, p, np.clip(p + noise, 0.01, 0.99)

    truth = compare.compare(*pair(5, 200_000), metric=name).gain.value
    held = 0
    for seed in range(200):
        gain = compare.compare(*pair(seed, 250), metric=name).gain
        held += gain.low <= truth <= gain.high
    assert 0.90 <= held / 200 <= 0.99


def test_pairing_gives_a_narrower_interval_than_two_separate_ones():
    y, p = rows(4, 500)
    close = np.clip(p + 0.01 * np.random.default_rng(1).normal(size=500), 0, 1)
    gain = compare.compare(y, p, close, metric="roc_auc").gain
    alone = metrics.estimate("roc_auc", y, p)
    assert gain.high - gain.low < (alone.high - alone.low) / 3


def test_two_models_that_never_disagree_still_leave_room_for_doubt():
    y, p = rows(6, 40)
    gain = compare.compare(y, p, p, metric="accuracy").gain
    assert gain.value == 0
    assert gain.low < 0 < gain.high

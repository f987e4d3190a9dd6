"""Intervals agree with scipy and with their papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from homeostat.measures import intervals

shares = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(shares, st.floats(0.5, 0.999))
def test_wilson_agrees_with_scipy(counts, level):
    found = intervals.wilson(*counts, level=level)
    expected = stats.binomtest(*counts).proportion_ci(level, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(shares)
def test_clopper_pearson_agrees_with_scipy(counts):
    found = intervals.clopper_pearson(*counts)
    expected = stats.binomtest(*counts).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(shares, shares)
def test_newcombe_encloses_its_value_and_mirrors(a, b):
    found, mirrored = intervals.newcombe(*a, *b), intervals.newcombe(*b, *a)
    assert -1 - 1e-9 <= found.low <= found.value <= found.high <= 1 + 1e-9
    assert (found.low, found.high) == pytest.approx((-mirrored.high, -mirrored.low))


def test_newcombe_gives_the_values_of_the_paper():
    found = intervals.newcombe(9, 10, 3, 10)
    assert (found.low, found.high) == pytest.approx((0.1705, 0.8090), abs=1e-4)


def test_mean_agrees_with_scipy():
    x = np.random.default_rng(0).normal(size=30)
    found = intervals.mean(x)
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_bootstrap_covers_about_as_often_as_stated():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(150):
        x = rng.exponential(size=80)
        found = intervals.bootstrap(
            lambda rows, x=x: float(x[rows].mean()), 80, draws=200, seed=seed
        )
        hits += found.low <= 1 <= found.high
    assert 0.86 <= hits / 150 <= 0.99


def test_bootstrap_repeats_and_leaves_out_draws_without_a_value():
    x = np.arange(20.0)
    calls = [intervals.bootstrap(lambda rows: float(x[rows].max()), 20) for _ in range(2)]
    assert calls[0] == calls[1]
    empty = intervals.bootstrap(lambda _: math.nan, 20)
    assert math.isnan(empty.low)


@pytest.mark.parametrize(
    "call",
    [
        lambda: intervals.wilson(3, 2),
        lambda: intervals.clopper_pearson(0, 0),
        lambda: intervals.mean(np.array([1.0])),
        lambda: intervals.mean(np.array([1.0, np.nan])),
        lambda: intervals.bootstrap(lambda _: 0.0, 0),
    ],
)
def test_wrong_arguments_are_value_errors(call):
    with pytest.raises(ValueError, match="need"):
        call()

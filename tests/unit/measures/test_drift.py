"""Distances agree with scipy, and say rightly what sampling alone gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import spatial, stats

from homeostat.measures import bins, drift, summary

histograms = st.integers(2, 12).flatmap(
    lambda k: st.tuples(
        *[st.lists(st.integers(0, 200), min_size=k, max_size=k).map(np.array) for _ in "rc"]
    )
)


def _has_rows(pair):
    assume(pair[0].sum() > 0 and pair[1].sum() > 0)
    return pair


@given(histograms)
def test_jensen_shannon_agrees_with_scipy(pair):
    r, c = _has_rows(pair)
    expected = spatial.distance.jensenshannon(r, c)
    assert drift.jensen_shannon(r, c).value == pytest.approx(expected, abs=1e-7)


@given(histograms)
def test_chi_square_agrees_with_scipy(pair):
    r, c = _has_rows(pair)
    seen = (r + c) > 0
    assume(seen.sum() > 1)
    expected = stats.chi2_contingency(np.array([r[seen], c[seen]]), correction=False)
    found = drift.chi_square(r, c)
    assert found.value == pytest.approx(expected.statistic, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-9)


@given(histograms)
def test_distances_are_bounded_symmetric_and_zero_for_equal_histograms(pair):
    r, c = _has_rows(pair)
    for measure, top in (
        (drift.population_stability_index, math.inf),
        (drift.jensen_shannon, math.sqrt(math.log(2)) + 1e-12),
        (drift.kolmogorov_smirnov, 1 + 1e-12),
        (drift.chi_square, math.inf),
    ):
        found = measure(r, c)
        assert 0 <= found.value <= top
        assert 0 <= found.p_value <= 1
        assert found.value == pytest.approx(measure(c, r).value, abs=1e-9)
        assert measure(r, r).value == pytest.approx(0, abs=1e-7)


def test_ks_and_w1_from_summaries_are_near_those_of_the_rows():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=5000), rng.normal(0.3, 1.2, size=2000)
    frozen = bins.freeze_numbers(a)
    r, c = (summary.summarise_numbers(x, frozen).count_values for x in (a, b))
    ks = drift.kolmogorov_smirnov(r, c)
    assert ks.value == pytest.approx(stats.ks_2samp(a, b).statistic, abs=2e-3)
    w1 = drift.wasserstein(r, c, frozen.edge_values)
    assert w1.value == pytest.approx(stats.wasserstein_distance(a, b), abs=0.01)
    assert w1.p_value < 0.01


@pytest.mark.parametrize(
    "measure",
    [drift.population_stability_index, drift.jensen_shannon, drift.chi_square],
    ids=lambda f: f.__name__,
)
def test_noise_and_level_are_as_stated_when_nothing_changed(measure):
    rng = np.random.default_rng(1)
    shares = np.full(10, 0.1)
    found = [
        measure(rng.multinomial(5000, shares), rng.multinomial(200, shares))
        for _ in range(1000)
    ]
    values = np.array([d.value for d in found])
    if measure is drift.jensen_shannon:
        assert np.sqrt((values**2).mean()) == pytest.approx(found[0].noise, rel=0.1)
    else:
        assert values.mean() == pytest.approx(found[0].noise, rel=0.1)
    level = np.mean([d.p_value <= 0.05 for d in found])
    assert 0.03 <= level <= 0.08


def test_simulated_noise_of_w1_keeps_its_level():
    rng = np.random.default_rng(2)
    shares = np.full(20, 0.05)
    edges = np.arange(19.0)
    found = [
        drift.wasserstein(
            rng.multinomial(2000, shares), rng.multinomial(200, shares), edges, seed=s
        ).p_value
        for s in range(300)
    ]
    assert 0.02 <= np.mean([p <= 0.05 for p in found]) <= 0.09


def test_groups_hold_about_equal_shares_and_keep_order():
    counts = np.random.default_rng(3).integers(0, 20, size=300)
    groups = drift.group_bins(counts)
    assert (np.diff(groups) >= 0).all()
    shares = np.bincount(groups, weights=counts) / counts.sum()
    assert len(shares) == 10
    assert shares.max() < 0.12


def test_a_heavy_bin_is_its_own_group():
    counts = np.array([1] * 50 + [900] + [1] * 50)
    groups = drift.group_bins(counts)
    assert np.sum(groups == groups[50]) == 1
    assert drift.group_bins(np.zeros(4, dtype=int)).tolist() == [0, 0, 0, 0]


@given(st.lists(st.floats(0, 1), max_size=20))
def test_adjusted_p_values_keep_order_and_agree_with_scipy(p):
    if p:
        assert drift.benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))
    adjusted = drift.holm(p)
    assert all(
        a <= b + 1e-12 <= c + 2e-12
        for a, b, c in zip(p, drift.benjamini_hochberg(p), adjusted, strict=True)
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: drift.chi_square(np.array([1]), np.array([1, 2])),
        lambda: drift.chi_square(np.array([0, 0]), np.array([1, 2])),
        lambda: drift.chi_square(np.array([-1, 2]), np.array([1, 2])),
        lambda: drift.group_bins(np.array([1]), groups=1),
        lambda: drift.wasserstein(np.array([1, 2]), np.array([1, 2]), np.arange(3.0)),
    ],
)
def test_wrong_arguments_are_value_errors(call):
    with pytest.raises(ValueError, match="need"):
        call()


def test_a_level_that_is_shared_out_unevenly_is_kept_and_spent():
    rng = np.random.default_rng(0)
    weights = [6.0, 1.0, 2.0, 3.0]
    drawn = rng.random((20_000, 4))
    false = np.array([min(drift.holm(list(each), weights)) <= 0.05 for each in drawn])
    assert abs(false.mean() - 0.05) < 4 * math.sqrt(0.05 * 0.95 / len(false))
    assert drift.holm([0.02, 0.5, 0.5, 0.5], weights)[0] == pytest.approx(0.04)
    alike = [drift.holm(list(each), [2.0] * 4) for each in drawn[:50]]
    assert alike == [pytest.approx(drift.holm(list(each))) for each in drawn[:50]]

"""Noise, levels and estimates are as stated: for independent rows and for series in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from homeostat.measures import bins, drift, multivariate, noise, prior, summary

CUTS = stats.norm.ppf(np.arange(1, 10) / 10)


def _series(n, rng, memory):
    """Standard normal rows, each `memory` correlated with the one before."""
    steps = rng.normal(size=n + 100) * np.sqrt(1 - memory**2)
    value, rows = 0.0, np.empty(n + 100)
    for i, step in enumerate(steps):
        value = memory * value + step
        rows[i] = value
    return rows[100:]


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_drift_of_a_dependent_series_keeps_its_level(memory):
    rng = np.random.default_rng(7)
    corrected, naive = [], []
    for _ in range(150):
        codes = np.searchsorted(CUTS, _series(3000, rng, memory))
        window = np.searchsorted(CUTS, _series(500, rng, memory))
        counts = [np.bincount(rows, minlength=10) for rows in (codes, window)]
        found = drift.chi_square(*counts)
        series = noise.design(codes, n_groups=10)
        corrected.append(noise.chi_square_tail(found.value, 9, series))
        naive.append(found.p_value)
    assert np.mean(np.array(corrected) <= 0.05) < 0.1
    assert np.mean(np.array(corrected) <= 0.01) < 0.05
    if memory:
        assert np.mean(np.array(naive) <= 0.05) > 0.4  # what the correction is for


def test_a_planted_shift_of_a_dependent_series_is_still_seen():
    rng = np.random.default_rng(8)
    codes = np.searchsorted(CUTS, _series(3000, rng, 0.8))
    window = np.searchsorted(CUTS, _series(1000, rng, 0.8) + 1.0)
    found = drift.chi_square(*(np.bincount(rows, minlength=10) for rows in (codes, window)))
    assert noise.chi_square_tail(found.value, 9, noise.design(codes, n_groups=10)) < 1e-6


def test_sorted_rows_are_not_taken_for_a_series():
    assert noise.design(np.repeat(np.arange(10), 300), n_groups=10).effect == 1


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_resampled_windows_vary_as_new_ones_do(memory):
    rng = np.random.default_rng(9)
    codes = np.searchsorted(CUTS, _series(6000, rng, memory))
    again = noise.resample(codes, n_groups=10, n_rows=400, draws=300)
    fresh = np.array(
        [
            np.bincount(np.searchsorted(CUTS, _series(400, rng, memory)), minlength=10)
            for _ in range(100)
        ]
    )
    assert again.sum(axis=1).tolist() == [400] * 300
    ratio = again.var(axis=0).mean() / fresh.var(axis=0).mean()
    assert 0.7 < ratio < 1.35


def test_the_noise_of_the_wasserstein_distance_is_its_mean_without_a_change():
    rng = np.random.default_rng(10)
    found = []
    for _ in range(60):
        a, b = rng.normal(size=2000), rng.normal(size=500)
        kept = bins.freeze_numbers(a)
        counts = (summary.summarise_numbers(rows, kept).count_values for rows in (a, b))
        found.append(noise.wasserstein(*counts, kept.edge_values))
    values, usual = np.mean(found, axis=0)
    assert values == pytest.approx(usual, rel=0.12)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 50), min_size=4, max_size=4), st.integers(0, 2**32 - 1))
def test_binned_wasserstein_agrees_with_scipy(counts, seed):
    r = np.array(counts) + 1
    c = np.random.default_rng(seed).integers(1, 40, 4)
    edges = np.array([0.0, 1.0, 3.0])
    centers = np.array([0.0, 0.5, 2.0, 3.0])
    expected = stats.wasserstein_distance(centers, centers, r, c)
    assert noise.wasserstein(r, c, edges)[0] == pytest.approx(expected)


def test_a_classifier_tells_tables_apart_only_when_they_differ():
    rng = np.random.default_rng(11)
    p_values = [
        multivariate.separate(rng.normal(size=(500, 4)), rng.normal(size=(200, 4))).p_value
        for _ in range(150)
    ]
    assert np.mean(np.array(p_values) <= 0.05) < 0.1
    before, after = rng.normal(size=(2, 1000, 4))
    after[:, 2] = 0.8 * after[:, 1] + 0.6 * after[:, 2]  # each column alone is as before
    found = multivariate.separate(before, after)
    assert found.p_value < 1e-6
    assert {place for place, _ in found.weights[:2]} == {1, 2}
    assert multivariate.separate(before[:50], after) is None


def test_a_prior_is_found_without_labels():
    rng = np.random.default_rng(12)

    def chances(n, share):
        rows = rng.normal(2.0 * (rng.random(n) < share) - 1)
        odds = np.exp(2 * rows) * 0.03 / 0.97
        return odds / (1 + odds)

    reference = np.array([0.97, 0.03])
    moved = prior.estimate(chances(1000, 0.5), reference)
    assert moved.current[1] == pytest.approx(0.5, abs=4 * moved.standard_errors[1])
    assert moved.p_value < 1e-20
    still = [prior.estimate(chances(1000, 0.03), reference) for _ in range(80)]
    assert np.mean([found.p_value <= 0.05 for found in still]) < 0.13
    gaps = [(found.current[1] - 0.03) / found.standard_errors[1] for found in still]
    assert 0.7 < np.std(gaps) < 1.3


def test_three_classes_are_estimated_together():
    rng = np.random.default_rng(13)
    centers, shares = np.array([-2.0, 0.0, 2.0]), np.array([0.6, 0.3, 0.1])
    rows = centers[rng.choice(3, 2000, p=[0.2, 0.2, 0.6])] + rng.normal(size=2000)
    dense = np.exp(-((rows[:, None] - centers) ** 2) / 2) * shares
    found = prior.estimate(dense / dense.sum(axis=1, keepdims=True), shares)
    assert found.current == pytest.approx([0.2, 0.2, 0.6], abs=0.05)

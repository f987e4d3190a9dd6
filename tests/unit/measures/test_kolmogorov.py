"""Exact Kolmogorov-Smirnov p-values agree with scipy, over every method it chooses from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from homeostat.measures import kolmogorov, samples


def test_one_sample_tails_agree_with_scipy_at_every_size():
    rng = np.random.default_rng(0)
    sizes = [int(10 ** rng.uniform(0, 3)) for _ in range(200)]
    for n in [*sizes, 20_000, 200_000, 200_000, 3_000_000]:
        d = min(1.0, rng.uniform(0.01, 4) / math.sqrt(n))
        expected = stats.kstwo.sf(d, n)
        found = kolmogorov.one_sample_tail(d, n)
        assert found == pytest.approx(expected, rel=1e-7, abs=1e-290), (n, d)


@pytest.mark.filterwarnings("ignore:ks_2samp")
def test_two_sample_tails_agree_with_scipy_exact_and_beyond():
    rng = np.random.default_rng(1)
    sizes = [(int(10 ** rng.uniform(0, 3)), int(10 ** rng.uniform(0, 3))) for _ in range(60)]
    for n, m in [*sizes, (1, 1), (300, 300), (10_000, 30), (10_001, 30), (40_000, 50_000)]:
        x, y = rng.normal(size=n), rng.normal(rng.uniform(0, 0.5), size=m)
        expected = stats.ks_2samp(x, y)
        statistic = samples.kolmogorov_smirnov(np.sort(x), np.sort(y))
        assert statistic == pytest.approx(expected.statistic, rel=1e-12)
        found = kolmogorov.two_sample_tail(statistic, n, m)
        assert found == pytest.approx(expected.pvalue, rel=1e-7, abs=1e-290), (n, m)


rows = st.lists(st.integers(-5, 5), min_size=1, max_size=30).map(
    lambda values: np.sort(np.array(values, dtype=float))
)


@pytest.mark.filterwarnings("ignore:ks_2samp")
@settings(deadline=None, max_examples=60)
@given(rows, rows)
def test_statistics_of_tied_samples_agree_with_scipy(x, y):
    expected = stats.ks_2samp(x, y)
    assert samples.kolmogorov_smirnov(x, y) == pytest.approx(expected.statistic)
    w1 = stats.wasserstein_distance(x, y)
    assert samples.wasserstein(x, y) == pytest.approx(w1, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(rows, rows, st.sampled_from([np.float64, np.float32, np.int64, np.int8]))
def test_sturges_edges_and_counts_agree_with_numpy(x, y, kind):
    x, y = x.astype(kind), y.astype(kind)
    expected = np.histogram_bin_edges(np.concatenate([x, y]), "sturges")
    edges = samples.sturges_edges(x, y)
    assert edges.dtype == expected.dtype
    assert edges.tolist() == expected.tolist()
    assert samples.histogram(x, edges).tolist() == np.histogram(x, edges)[0].tolist()


def test_ids_above_what_floats_can_tell_apart_stay_apart():
    x, y = 2**53 + 2 * np.arange(50), 2**53 + 2 * np.arange(50) + 1
    assert samples.kolmogorov_smirnov(x, y) == pytest.approx(1 / 50)
    counts = samples.align(samples.distinct(x), samples.distinct(y))
    assert len(counts[0]) == 100


def test_refusals_name_what_was_seen():
    with pytest.raises(ValueError, match="got 0, 3"):
        kolmogorov.two_sample_tail(0.1, 0, 3)
    with pytest.raises(ValueError, match="got 0 and 2"):
        samples.wasserstein(np.zeros(0), np.zeros(2))

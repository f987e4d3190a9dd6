"""Bars from a summary: every value lies in one, or beside them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.measures import bins, histogram, summary

numbers = st.lists(
    st.floats(-1e12, 1e12) | st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf]), max_size=60
)


def drawn(values, **chosen):
    values = np.asarray(values, dtype=np.float64)
    frozen = bins.freeze_numbers(values)
    return histogram.of(summary.summarise_numbers(values, frozen), frozen, **chosen)


@given(numbers, st.integers(1, 30))
def test_no_value_is_lost(values, bars):
    found = drawn(values, bars=bars)
    finite = [value for value in values if np.isfinite(value)]
    if found is None:
        assert len(set(finite)) < 2
        return
    assert len(found.counts) == bars
    assert all(count >= 0 for count in (*found.counts, found.n_below, found.n_above))
    told = sum(found.counts) + found.n_below + found.n_above
    assert told == pytest.approx(len(finite), abs=0.05)


def test_bars_are_as_numpy_counts_them_to_the_values_of_two_bins():
    values = np.random.default_rng(0).normal(size=20_000)
    found = drawn(values)
    counts, _ = np.histogram(values, bins=24)
    assert np.abs(np.array(found.counts) - counts).max() <= 2 * 20_000 / 1000


def test_values_of_their_own_stand_in_their_own_bar():
    values = np.repeat([0.0, 1.0, 2.0, 5.0], [10, 20, 30, 40])
    found = drawn(values, bars=6)
    assert [round(count) for count in found.counts] == [10, 20, 30, 0, 0, 40]


def test_a_long_tail_does_not_hide_the_rest():
    values = np.append(np.linspace(0, 1, 999), 1e6)
    found = drawn(values)
    assert found.high < 2
    assert found.n_above == pytest.approx(10, abs=1)


def test_one_rare_other_value_is_shown():
    found = drawn(np.append(np.zeros(900), 1.0))
    assert (found.low, found.high) == (0.0, 1.0)
    assert [round(found.counts[0]), round(found.counts[-1])] == [900, 1]


def test_one_value_alone_has_no_bars():
    assert drawn(np.ones(10)) is None
    assert drawn([np.nan]) is None
    with pytest.raises(ValueError, match="need a bar"):
        drawn([0.0, 1.0], bars=0)

"""Windows add exactly, in any order, by the hundred; a sketch counts distinct values."""

from __future__ import annotations

import functools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.measures import bins, distinct, merging, summary, windows

REFERENCE = pl.DataFrame(
    {
        "x": np.random.default_rng(0).normal(size=400),
        "when": pl.datetime_range(
            pl.datetime(2026, 1, 1), pl.datetime(2026, 2, 1), "1h", eager=True
        )[:400],
        "name": ["a", "b", "c", None] * 100,
        "flag": [True, False] * 200,
        "constant": [7.0] * 400,
    }
)
KEPT = bins.freeze_table(REFERENCE, bins=30)
rows = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(-9, 9), st.sampled_from([np.nan, np.inf, -np.inf])),
        st.sampled_from(["a", "b", "z", None]),
        st.sampled_from([True, False, None]),
        st.sampled_from([7.0, 7.25]),
    ),
    max_size=12,
)


def _seen(drawn):
    columns = list(zip(*drawn, strict=True)) or [(), (), (), ()]
    kinds = (pl.Float64, pl.String, pl.Boolean, pl.Float64)
    names = ("x", "name", "flag", "constant")
    frame = pl.DataFrame(
        [pl.Series(n, c, dtype=k) for n, c, k in zip(names, columns, kinds, strict=True)]
    )
    return summary.summarise_table(frame, KEPT)


@settings(deadline=None, max_examples=40)
@given(st.lists(rows, min_size=3, max_size=5), st.randoms(use_true_random=False))
def test_minutes_make_hours_exactly_in_any_order(drawn, order):
    seen = [_seen(each) for each in drawn]
    packed = [windows.pack(each) for each in seen]
    assert [windows.merge([each]) for each in packed] == seen
    whole = windows.merge(packed)
    assert whole == functools.reduce(merging.tables, seen)
    order.shuffle(packed)
    assert windows.merge(packed) == whole
    hours = [windows.pack(windows.merge(part)) for part in (packed[:2], packed[2:])]
    assert windows.merge(hours) == whole


def test_windows_of_every_size_are_kept_exactly():
    for n in (0, 10, 5000, 400_000):
        frame = REFERENCE.sample(n, with_replacement=True, seed=1)
        seen = summary.summarise_table(frame, KEPT)
        assert windows.merge([windows.pack(seen)]) == seen


def test_windows_on_other_bins_do_not_add():
    other = summary.summarise_table(REFERENCE[:50], bins.freeze_table(REFERENCE[:50]))
    mine = summary.summarise_table(REFERENCE[:50], KEPT)
    with pytest.raises(ValueError, match="do not add"):
        windows.merge([windows.pack(mine), windows.pack(other)])
    with pytest.raises(ValueError, match="got none"):
        windows.merge([])
    with pytest.raises(ValueError, match="hold no window"):
        windows.merge([b"nothing"])


@pytest.mark.parametrize("n", [0, 1, 40, 1000, 5000, 300_000])
def test_distinct_values_are_counted_to_a_few_percent(n):
    hashes = distinct.hash_numbers(np.arange(n) * 0.37)
    seen = distinct.sketch(np.concatenate([hashes, hashes]))
    assert distinct.estimate(seen) == pytest.approx(n, rel=0.08, abs=1)


def test_sketches_add_and_forget_repeats():
    a, b = distinct.hash_names(["x", "y"]), distinct.hash_names(["y", "z"])
    left, right = distinct.sketch(a), distinct.sketch(b)
    both = distinct.merge(left, right)
    assert both == distinct.merge(right, left) == distinct.merge(both, left)
    assert both == distinct.sketch(np.concatenate([a, b]))
    assert round(distinct.estimate(both)) == 3
    ones = [distinct.hash_numbers(np.array(values)) for values in ([1], [1.0], [0.0], [-0.0])]
    assert ones[0] == ones[1]
    assert ones[2] == ones[3]
    big = distinct.hash_numbers(2**53 + np.arange(100))
    assert len(set(big.tolist())) == 100

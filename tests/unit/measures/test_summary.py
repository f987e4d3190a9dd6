"""Summaries count exactly, add like their rows, and survive storage."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from homeostat.measures import bins, frequent, merging, quantile, summary, variety, windows

values = arrays.arrays(
    np.float64,
    st.integers(0, 60),
    elements=st.one_of(
        st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0])
    ),
)
words = st.lists(st.sampled_from(["a", "b", "c", "d", None]), max_size=30)
FROZEN = bins.freeze_numbers(np.random.default_rng(0).normal(size=500), bins=20)


def _close(left, right):
    sums = ("centered_sum", "centered_squares")
    for field in left.__struct_fields__:
        a, b = getattr(left, field), getattr(right, field)
        assert np.isclose(a, b, atol=1e-6) if field in sums else a == b, field


@given(values)
def test_counts_agree_with_numpy(x):
    seen = summary.summarise_numbers(x, FROZEN)
    finite = x[np.isfinite(x)]
    edges = np.concatenate([[-np.inf], FROZEN.edge_values, [np.inf]])
    expected = [np.sum((finite >= a) & (finite < b)) for a, b in itertools.pairwise(edges)]
    assert seen.count_values.tolist() == expected
    assert seen.n_finite == len(finite)
    assert seen.nans == np.isnan(x).sum()
    assert seen.positive_infinities == np.isposinf(x).sum()
    assert seen.negative_infinities == np.isneginf(x).sum()
    if len(finite):
        assert seen.minimum == finite.min()
        assert seen.maximum == finite.max()
        assert np.isclose(seen.mean, finite.mean())


@given(values, values, values)
def test_numeric_summaries_add_in_any_order(x, y, z):
    a, b, c = (summary.summarise_numbers(v, FROZEN, nulls=1) for v in (x, y, z))
    _close(merging.columns(merging.columns(a, b), c), merging.columns(a, merging.columns(b, c)))
    _close(merging.columns(a, b), merging.columns(b, a))
    together = summary.summarise_numbers(np.concatenate([x, y]), FROZEN, nulls=2)
    _close(merging.columns(a, b), together)


@given(words, words, words)
def test_category_summaries_add_in_any_order(x, y, z):
    frozen = bins.freeze_categories(pl.Series(["a", "b"]))
    a, b, c = (
        summary.summarise_categories(pl.Series(v, dtype=pl.String), frozen) for v in (x, y, z)
    )
    left = merging.columns(merging.columns(a, b), c)
    assert left == merging.columns(a, merging.columns(b, c))
    assert left == summary.summarise_categories(pl.Series(x + y + z, dtype=pl.String), frozen)


def test_slices_do_not_change_a_long_column(monkeypatch):
    x = np.random.default_rng(1).normal(size=5000)
    whole = summary.summarise_numbers(x, FROZEN)
    monkeypatch.setattr(summary, "_SLICE_ROWS", 64)
    _close(whole, summary.summarise_numbers(x, FROZEN))


def test_variance_is_kept_far_from_zero():
    x = 1e9 + np.random.default_rng(2).normal(size=1000)
    seen = summary.summarise_numbers(x, bins.freeze_numbers(x))
    assert seen.variance == pytest.approx(x.var(), rel=1e-6)


def test_a_point_mass_has_a_bin_of_its_own():
    x = np.concatenate([np.zeros(900), np.random.default_rng(3).exponential(size=100)])
    frozen = bins.freeze_numbers(x, bins=50)
    seen = summary.summarise_numbers(x, frozen)
    j = int(np.searchsorted(frozen.edge_values, 0.0, side="right"))
    assert seen.count_values[j] == 900


@pytest.mark.parametrize("x", [np.empty(0), np.full(3, np.nan), np.array([np.inf, -np.inf])])
def test_a_column_without_finite_values_is_counted(x):
    seen = summary.summarise_numbers(x, bins.freeze_numbers(x))
    assert seen.n_finite == 0
    assert seen.minimum is None
    assert seen.mean is None
    assert quantile.of(seen, bins.freeze_numbers(x), 0.5) is None


@given(st.floats(0, 1))
def test_quantiles_are_right_to_a_bin(share):
    x = np.random.default_rng(4).lognormal(size=2000)
    frozen = bins.freeze_numbers(x)
    seen = summary.summarise_numbers(x, frozen)
    found = quantile.of(seen, frozen, share)
    rank = np.mean(x <= found)
    assert abs(rank - share) <= 0.003


def test_only_the_most_frequent_categories_are_kept():
    names = [f"k{i:03}" for i in range(300) for _ in range(1 + (i < 10))]
    frozen = bins.freeze_categories(pl.Series(names), cap=10)
    assert frozen.categories == tuple(f"k{i:03}" for i in range(10))
    assert not frozen.is_complete
    seen = summary.summarise_categories(pl.Series(names), frozen)
    assert (sum(seen.counts), seen.others, len(seen.unseen)) == (20, 290, 50)


def test_a_table_of_every_type_survives_storage():
    frame = pl.DataFrame(
        {
            "n": [1.5, None, float("nan")],
            "i": [1, 2, None],
            "b": [True, False, None],
            "s": ["x", "y", None],
            "t": pl.Series([1, 2, None]).cast(pl.Datetime("ms")),
            "void": [None, None, None],
            "list": [[1], [2], None],
        }
    )
    frozen = bins.freeze_table(frame)
    seen = summary.summarise_table(frame, frozen)
    assert summary.decode_bins(summary.encode(frozen)) == frozen
    assert summary.decode_summary(summary.encode(seen)) == seen
    assert {name: s.nulls for name, s in seen.columns.items()} == {
        "n": 1, "i": 1, "b": 1, "s": 1, "t": 1, "void": 3, "list": 1,
    }  # fmt: skip
    assert seen.columns["b"].counts == (1, 1)


def test_a_column_that_turned_to_text_counts_what_cannot_be_read_as_null():
    frozen = bins.freeze_table(pl.DataFrame({"n": [1.0, 2.0]}))
    seen = summary.summarise_table(pl.DataFrame({"n": ["1.0", "abc"]}), frozen)
    assert seen.columns["n"].nulls == 1
    assert summary.summarise_table(pl.DataFrame({"m": [1]}), frozen).columns["n"].nulls == 1


def test_different_bins_do_not_add():
    other = bins.freeze_numbers(np.arange(5.0))
    with pytest.raises(ValueError, match="differ"):
        merging.columns(
            summary.summarise_numbers(np.ones(1), FROZEN),
            summary.summarise_numbers(np.ones(1), other),
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda: bins.freeze_numbers(np.ones(3), bins=1),
        lambda: bins.freeze_categories(pl.Series(["a"]), cap=0),
        lambda: summary.summarise_numbers(np.ones((2, 2)), FROZEN),
        lambda: quantile.of(summary.summarise_numbers(np.ones(1), FROZEN), FROZEN, 1.5),
        lambda: summary.decode_summary(b"nothing"),
    ],
)
def test_wrong_arguments_are_value_errors(call):
    with pytest.raises(ValueError, match=r"\w"):
        call()


def test_text_has_no_numbers():
    with pytest.raises(TypeError, match="not numbers"):
        bins.numbers(pl.Series("s", ["a"]))


def _ids(first, n, room_for=()):
    return pl.Series([f"id-{i}" for i in range(first, first + n)] + list(room_for))


def test_more_categories_than_there_is_room_for_take_no_more_memory_and_say_so():
    frozen = bins.freeze_categories(pl.Series(["id-7", "x"]))
    held = []
    for n in (40_000, 120_000):
        values = _ids(0, n)
        tracemalloc.start()
        seen = summary.summarise_categories(values, frozen)
        held.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (seen.n, seen.counts, seen.others) == (n, (1, 0), n - 1)
        assert len(seen.unseen) <= 50
        assert seen.unseen_short >= 1
        told = variety.of(seen)
        assert abs(told.n / n - 1) < 4 * told.error
    assert held[1] < 1.2 * held[0]


def test_a_frequent_category_is_found_among_any_number_of_rare_ones():
    values = pl.concat([_ids(0, 60_000, ["often"] * 300), _ids(60_000, 60_000)])
    frozen = bins.freeze_categories(values)
    assert "often" in frozen.categories
    assert not frozen.is_complete
    seen = summary.summarise_categories(values, bins.freeze_categories(pl.Series(["a"])))
    assert seen.unseen["often"] <= 300 <= seen.unseen["often"] + seen.unseen_short
    assert seen.unseen_short <= len(values) / frequent.ROOM + 50


def test_what_new_categories_may_lack_adds_with_them():
    frozen = bins.freeze_table(pl.DataFrame({"c": ["a"]}))
    lists = [["x"] * 9, [f"v{i}" for i in range(60)], ["x", "x", *(f"w{i}" for i in range(70))]]
    seen = [summary.summarise_table(pl.DataFrame({"c": one}), frozen) for one in lists]
    together = windows.merge([windows.pack(one) for one in seen]).columns["c"]
    alone = [one.columns["c"] for one in seen]
    assert [one.unseen_short for one in alone] == [0, 1, 1]
    assert together.unseen["x"] <= 11 <= together.unseen["x"] + together.unseen_short
    either = merging.columns(merging.columns(alone[0], alone[1]), alone[2])
    assert either.unseen["x"] <= 11 <= either.unseen["x"] + either.unseen_short

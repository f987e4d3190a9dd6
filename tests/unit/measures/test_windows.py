"""Windows add exactly, in any order, by the hundred; sketches tell their values."""

from __future__ import annotations

import functools
import zlib

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.measures import bins, compact, distinct, merging, summary, variety, windows

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
    seen = distinct.of_numbers(np.tile(np.arange(n) * 0.37, 2))
    assert distinct.estimate(seen) == pytest.approx(n, rel=0.08, abs=1)
    assert len(seen.examples) == min(n, distinct.EXAMPLES)


def test_a_name_is_counted_once_and_numbers_by_their_value():
    both = distinct.merge(distinct.of_names(["x", "y"]), distinct.of_names(["y", "z"]))
    assert both == distinct.of_names(["x", "y", "z"])
    assert round(distinct.estimate(both)) == 3
    ones = [distinct.of_numbers(np.array(values)) for values in ([1], [1.0], [0.0], [-0.0])]
    assert ones[0] == ones[1]
    assert ones[2] == ones[3]
    big = distinct.of_numbers(np.concatenate([np.arange(100), 2**53 + np.arange(100)]))
    assert big == distinct.merge(
        distinct.of_numbers(np.arange(100)), distinct.of_numbers(2**53 + np.arange(100))
    )
    assert round(distinct.estimate(big)) == pytest.approx(200, rel=0.08)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 40), st.integers(0, 9)),
    st.sampled_from([1, 15, 16, 255, 256, 70_000, 2**40]),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
def test_small_numbers_are_packed_added_and_compared_exactly(shape, most, zeros, seed):
    rng, n = np.random.default_rng(seed), shape[1]
    rows = rng.integers(0, most + 1, shape) * (rng.random(shape) >= zeros)
    rows[::3] = np.minimum(rows[::3], 9)  # several widths at once
    packed = [compact.pack(row) for row in rows]
    assert compact.added(packed, n).tolist() == rows.sum(axis=0).tolist()
    assert compact.added(packed[:1], n).tolist() == rows[0].tolist()
    few = np.minimum(rows, 255)
    largest = compact.largest([compact.pack(row) for row in few], n)
    assert largest.tolist() == few.max(axis=0).tolist()


def test_what_is_packed_takes_the_room_its_numbers_need():
    rng = np.random.default_rng(0)
    for mean, bytes_each in ((0.01, 0.08), (3, 0.53), (60, 1.02), (3000, 2.0)):
        packed = compact.pack(rng.poisson(mean, 40_000))
        room = len(packed.dense) + len(packed.places) + len(packed.rest)
        assert room <= bytes_each * 40_000


@given(
    st.integers(0, 2**32),
    st.sampled_from([0, 3, 60, 2000]),
    st.sampled_from([3, 300, 2**64 - 1]),
)
def test_the_smallest_hashes_are_found_among_any(seed, n, most):
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, most, n, dtype=np.uint64, endpoint=True)
    known = sorted({*rng.choice(hashes, 5).tolist()})[: seed % 6] if n else []
    found = distinct.least(hashes, known)
    beyond = 2**64 if len(known) < distinct.EXAMPLES else known[-1]
    least = sorted({key for key in hashes.tolist() if key < beyond})[: distinct.EXAMPLES]
    assert [key for key, _ in found] == [key for key in least if key not in known]
    assert [place for _, place in found] == [hashes.tolist().index(key) for key, _ in found]


numbers = st.lists(st.one_of(st.integers(-9, 9), st.floats(-1e9, 1e9)), max_size=20)


@given(numbers, numbers, numbers)
def test_sketches_add_in_any_order_and_grouping(x, y, z):
    a, b, c = (distinct.of_numbers(np.array(each, dtype=np.float64)) for each in (x, y, z))
    whole = distinct.of_numbers(np.array([*z, *x, *y], dtype=np.float64))
    assert distinct.merge(distinct.merge(a, b), c) == whole
    assert distinct.merge(a, distinct.merge(b, c)) == whole
    assert distinct.merge(b, a) == distinct.merge(a, b)
    assert {float(text) for _, text in whole.examples} <= {float(v) for v in (*x, *y, *z)}
    assert distinct.merge(a, None) is distinct.merge(None, a) is None


def test_a_windows_values_survive_storage_and_are_told():
    frame = REFERENCE.with_columns(pl.Series("text", [f"row {i}" for i in range(400)]))
    kept = bins.freeze_table(frame, bins=30, cap=20)
    parts = [summary.summarise_table(part, kept) for part in (frame[:150], frame[150:])]
    whole = windows.merge([windows.pack(part) for part in parts])
    once = summary.summarise_table(frame, kept)
    short = [each.columns.pop("text") for each in (whole, once)]
    assert whole == once
    assert [each.unseen_short for each in short] == [3, 1]  # of what is not listed
    assert msgspec.structs.replace(short[0], unseen_short=1) == short[1]
    whole.columns["text"] = short[0]
    told = {name: variety.of(column) for name, column in whole.columns.items()}
    assert told["flag"][:2] == (2, 0.0)
    assert told["constant"] == (1, distinct.ERROR, ("7",))
    assert set(told["name"].examples) == {"a", "b", "c"}
    assert told["x"].n == pytest.approx(400, rel=0.1)
    assert told["text"].error == pytest.approx(0.0325)
    assert told["text"].n == pytest.approx(400, rel=0.1)
    assert all(text.startswith("2026-01-") for text in told["when"].examples)


def _as_before(seen, version):
    """Pack a window as the second version of the format did, or the first."""
    shape = msgspec.msgpack.decode(msgspec.msgpack.decode(windows.pack(seen))[2])
    columns = list(seen.columns.values())
    numbers = [isinstance(each, summary.NumericSummary) for each in columns]
    flat = np.concatenate(
        [each.count_values if is_number else each.counts
         for each, is_number in zip(columns, numbers, strict=True)]
    ).astype(np.int64)  # fmt: skip
    large = flat > 255
    packed = msgspec.msgpack.decode(windows.pack(seen))
    packed[0] = version
    packed[5:9] = (
        1,
        np.where(large, 0, flat).astype("u1").tobytes(),
        np.flatnonzero(large).astype("<u4").tobytes(),
        flat[large].astype("<i8").tobytes(),
    )
    packed[10] = b"".join(
        each.values.registers if each.values else bytes([255]) * 1024 for each in columns
    )
    assert shape[1] == numbers
    return msgspec.msgpack.encode(packed[: 10 if version == 1 else 13])


def test_windows_kept_before_they_were_small_are_read_and_add():
    seen = [summary.summarise_table(part, KEPT) for part in (REFERENCE[:50], REFERENCE[50:])]
    old, new = (
        [pack(each) for each in seen] for pack in (lambda s: _as_before(s, 2), windows.pack)
    )
    assert [windows.merge([each]) for each in old] == seen
    whole = windows.merge(new)
    assert windows.merge(old) == windows.merge([old[0], new[1]]) == whole
    large = summary.summarise_table(REFERENCE.sample(9000, with_replacement=True, seed=2), KEPT)
    assert windows.merge([_as_before(large, 2), new[0]]) == merging.tables(large, seen[0])


def test_windows_kept_before_values_were_counted_are_read_and_their_values_are_unknown():
    seen = summary.summarise_table(REFERENCE[:50], KEPT)
    new, old = windows.pack(seen), _as_before(seen, 1)
    for packed in ([old], [old, new], [new, old]):
        seen = windows.merge(packed)
        assert seen.n_rows == 50 * len(packed)
        assert variety.of(seen.columns["x"]) is None
        assert variety.of(seen.columns["flag"]) == (2, 0.0, ())
        assert windows.merge([windows.pack(seen), new]).columns["x"].values is None
    digests = {name: each.bins_digest for name, each in seen.columns.items()}
    assert windows.counted_on([old, new], digests) == [old, new]
    assert windows.counted_on([old, new], {**digests, "x": "other"}) == []
    with pytest.raises(ValueError, match="hold no window"):
        windows.counted_on([b"nothing"], digests)
    before = msgspec.msgpack.decode(zlib.decompress(summary.encode(windows.merge([new]))))
    for column in before["columns"].values():
        del column["values"]
    stored = summary.decode_summary(zlib.compress(msgspec.msgpack.encode(before)))
    assert stored == windows.merge([old])

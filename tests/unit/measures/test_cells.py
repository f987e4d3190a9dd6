"""Long columns are counted without sorting or grouping, and exactly as if they were."""

from __future__ import annotations

import collections

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.measures import bins, cells, frequent, summary

RNG = np.random.default_rng(0)
REFERENCES = {
    "normal": RNG.normal(size=4000),
    "far from zero": 1e9 + RNG.normal(size=4000),
    "lognormal": RNG.lognormal(size=4000),
    "cauchy": RNG.standard_cauchy(4000),
    "whole": RNG.integers(0, 60, 4000).astype(np.float64),
    "half zeros": np.where(RNG.random(4000) < 0.5, 0.0, RNG.exponential(size=4000)),
    "tiny": 1e-300 * RNG.random(4000),
    "subnormal": 5e-324 * RNG.integers(1, 2000, 4000),
    "huge": 1e304 * RNG.normal(size=4000),
    "cents": np.round(RNG.lognormal(3, 1, 4000), 2),
    "constant": np.full(4000, 7.0),
}
FROZEN = {name: bins.freeze_numbers(values) for name, values in REFERENCES.items()}
LAID = {
    name
    for name, kept in FROZEN.items()
    if cells.Counter(kept.edge_values, n=10**6, most=1).is_laid
}


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(LAID)), st.integers(0, 2**32), st.data())
def test_every_value_is_counted_as_if_it_were_looked_up(name, seed, data):
    rng, edges = np.random.default_rng(seed), FROZEN[name].edge_values
    near = rng.choice(edges, 300)
    wide = data.draw(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=9))
    x = np.concatenate(
        [
            rng.choice(REFERENCES[name], 300),
            near,
            np.nextafter(near, np.inf),
            np.nextafter(near, -np.inf),
            rng.uniform(edges[0], edges[-1], 300),
            wide,
        ]
    )
    x = rng.permutation(x[np.isfinite(x)])
    counter = cells.Counter(edges, n=10**6, most=len(x))
    counter.add(x)
    counter.add_sorted(np.sort(x[:50]))
    expected = np.sort(x).searchsorted(edges) + np.sort(x[:50]).searchsorted(edges)
    assert counter.below().tolist() == expected.tolist()
    assert counter.below().tolist() == expected.tolist()  # asking changes nothing


def test_a_grid_is_laid_where_it_pays():
    assert {"normal", "far from zero", "lognormal", "tiny"} <= LAID
    assert not {"constant", "whole", "half zeros"} & LAID
    few = cells.Counter(FROZEN["normal"].edge_values, n=cells.LEAST_ROWS - 1, most=1)
    assert not few.is_laid


def test_a_column_that_leaves_its_grid_is_sorted_from_then_on():
    edges = FROZEN["normal"].edge_values
    counter = cells.Counter(edges, n=10**6, most=1000)
    x = np.linspace(2, 60, 1000)
    assert counter.is_laid
    counter.add(x)
    assert not counter.is_laid
    counter.add_sorted(x)
    assert counter.below().tolist() == (2 * x.searchsorted(edges)).tolist()


@pytest.mark.parametrize("spoilt", [(), (np.nan,), (np.nan, np.inf, -np.inf)])
def test_a_long_column_is_summarised_as_a_sorted_one(monkeypatch, spoilt):
    rng = np.random.default_rng(1)
    x = rng.normal(size=cells.LEAST_ROWS + 7)
    for value in spoilt:
        x[rng.random(len(x)) < 0.01] = value
    if spoilt:
        x[:70_000] = spoilt[0]  # whole slices
    found = summary.summarise_numbers(x, FROZEN["normal"], nulls=3)
    pieces = pl.concat(
        [pl.Series(x[:9]), pl.Series([None] * 3), pl.Series(x[9:])], rechunk=False
    )
    in_pieces = summary.summarise_column(pieces, FROZEN["normal"])
    monkeypatch.setattr(cells, "LEAST_ROWS", 10**9)
    plain = summary.summarise_numbers(x, FROZEN["normal"], nulls=3)
    sums = ("centered_sum", "centered_squares")
    for name in sums:
        assert getattr(found, name) == pytest.approx(getattr(plain, name), rel=1e-12, abs=1e-6)
        assert getattr(in_pieces, name) == pytest.approx(
            getattr(plain, name), rel=1e-12, abs=1e-6
        )
    same = {name: getattr(in_pieces, name) for name in sums}
    assert in_pieces == msgspec.structs.replace(plain, **same)
    assert found == msgspec.structs.replace(
        plain, **{name: getattr(found, name) for name in sums}
    )


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([3, 60, 3000]),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.2, 1.0]),
)
def test_texts_met_before_are_counted_like_new_ones(different, seed, missing):
    rng = np.random.default_rng(seed)
    names = [f"n {i}" if i % 2 else f"a much longer name, number {i}" for i in range(different)]
    drawn = [names[i] for i in (rng.random(2000) ** 2 * different).astype(int)]
    texts = [None if rng.random() < missing else name for name in drawn]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frequent, "_FEW_ROWS", 10)
        patch.setattr(frequent, "_SLICE_ROWS", 150)
        patch.setattr(frequent, "_SLOTS", 64)  # several names in one place
        found = list(frequent.slices(pl.Series(texts, dtype=pl.String)))
    parts = [texts[start : start + 150] for start in range(0, 2000, 150)]
    assert found == [
        {name: n for name, n in collections.Counter(part).items() if name is not None}
        for part in parts
    ]

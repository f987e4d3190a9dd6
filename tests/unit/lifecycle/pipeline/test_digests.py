"""Content digests: equal content meets, other content does not."""

from __future__ import annotations

import copy
import dataclasses
import threading

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier

from homeostat.lifecycle.pipeline import digests

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(PLAIN)
def test_a_copy_has_the_same_digest(value):
    assert digests.of(copy.deepcopy(value)) == digests.of(value)


@given(st.lists(st.text(max_size=3), max_size=4), st.lists(st.text(max_size=3), max_size=4))
def test_lists_have_equal_digests_only_when_they_are_equal(one, other):
    assert (digests.of(one) == digests.of(other)) == (one == other)


DIFFERENT = {
    "int and float": (1, 1.0),
    "int and bool": (1, True),
    "text and bytes": ("a", b"a"),
    "list and tuple": ([1], (1,)),
    "nesting": ([[1], 2], [1, [2]]),
    "order of a dict": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "dtype": (np.zeros(2, "f4"), np.zeros(2, "i4")),
    "shape": (np.zeros((2, 1)), np.zeros((1, 2))),
    "column name": (pl.DataFrame({"a": [1]}), pl.DataFrame({"b": [1]})),
    "column type": (pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [1.0]})),
    "null and zero": (pl.DataFrame({"a": [None, 1]}), pl.DataFrame({"a": [0, 1]})),
    "pandas index": (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]}, index=[5])),
}


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_different_content_has_different_digests(pair):
    assert digests.of(pair[0]) != digests.of(pair[1])


def test_how_a_frame_was_cut_does_not_count():
    whole = pl.DataFrame({"a": [1, 2, 3], "b": ["x", "a long string of text", ""]})
    parts = pl.concat([whole[:1], whole[1:]], rechunk=False)
    assert digests.of(parts) == digests.of(whole)
    assert digests.of(pl.concat([whole, whole])[3:]) == digests.of(whole)


def test_an_array_view_counts_by_its_values():
    table = np.arange(12).reshape(3, 4)
    assert digests.of(table[:, ::2]) == digests.of(table[:, ::2].copy())


def test_two_equal_fits_have_equal_digests():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 3))
    labels = rows[:, 0] > 0
    fits = [
        HistGradientBoostingClassifier(max_iter=5, random_state=0, learning_rate=r).fit(
            rows, labels
        )
        for r in (0.1, 0.1, 0.2)
    ]
    found = [digests.of(fit) for fit in fits]
    assert found[0] == found[1] != found[2]


def test_an_object_that_holds_itself_ends():
    loop = [1]
    loop.append(loop)
    assert digests.of(loop) == digests.of(loop)


@dataclasses.dataclass
class Point:
    x: int


def test_fields_count():
    assert digests.of(Point(1)) == digests.of(Point(1)) != digests.of(Point(2))


def test_a_path_counts_by_the_content_of_the_file(tmp_path):
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text("a\n1\n")
    other.write_text("a\n1\n")
    assert digests.of(one) == digests.of(other)
    other.write_text("a\n2\n")
    assert digests.of(one) != digests.of(other)


@pytest.mark.parametrize(
    "value",
    [threading.Lock(), (n for n in ()), pl.LazyFrame({"a": [1]})],
    ids=["lock", "generator", "lazy frame"],
)
def test_what_has_no_content_says_so(value):
    with pytest.raises(digests.NoDigestError, match="has no content digest"):
        digests.of([value])

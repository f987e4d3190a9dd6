"""A segment's bytes become tables with stable types, or are refused."""

from __future__ import annotations

import io

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.foundation import errors
from homeostat.lifecycle.predictions import frames, segments

OPENED = frames.Opened("s1", "credit", 0)


def batch(features, *, score=0.5, answer=1):
    n = len(features[0])
    return frames.Batch(
        0, 1, "stable", True, "1", ["i"] * n, ["k"] * n, features, [], [score] * n,
        [answer] * n, ["1"], [[score] * n],
    )  # fmt: skip


def segment(*found):
    return b"".join(map(frames.encode, (OPENED, *found)))


@pytest.mark.parametrize("at", [0, 5, 9, 40, -1])
def test_a_changed_byte_is_found(at):
    raw = bytearray(segment(frames.Labels(0, ["a"], ["1"], [None])))
    raw[at] ^= 1
    with pytest.raises(errors.CorruptError):
        segments.decode(bytes(raw))


def test_nothing_is_no_segment():
    with pytest.raises(errors.CorruptError):
        segments.decode(b"")


def test_whole_numbers_in_a_number_column_are_numbers():
    layout = frames.Layout(("income",), ("number",), ())
    table = segments.decode(segment(layout, batch([[1, 2.5, None]]))).predictions
    assert table["x.income"].to_list() == [1.0, 2.5, None]
    assert table.schema["x.income"] == pl.Float64()


def test_nulls_and_non_finite_values_keep_apart():
    layout = frames.Layout(("income",), ("number",), ())
    values = [None, float("nan"), float("inf"), float("-inf")]
    table = segments.decode(segment(layout, batch([values]))).predictions
    assert table["x.income"].is_null().to_list() == [True, False, False, False]
    assert table["x.income"].is_nan().to_list() == [None, True, False, False]


def test_a_column_that_comes_later_is_null_before():
    first = frames.Layout(("a",), ("number",), ())
    second = frames.Layout(("a", "b"), ("number", "category"), ())
    raw = segment(first, batch([[1.0]]), second, batch([[2.0], ["x"]]))
    table = segments.decode(raw).predictions
    assert table["x.b"].to_list() == [None, "x"]


def test_failures_are_told():
    failure = frames.Failure(1, 2, "canary", "4", 3, "raised", "ZeroDivisionError")
    assert segments.decode(segment(failure)).failures == (failure,)


scalar = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats() | st.text()


@given(st.lists(scalar, min_size=1, max_size=20))
def test_any_context_survives_to_parquet(values):
    n = len(values)
    layout = frames.Layout((), (), ("note",))
    given_batch = frames.Batch(
        0, 1, "stable", True, "1", ["i"] * n, ["k"] * n, [], [values], [0.5] * n,
        ["1"] * n, ["1"], [[0.5] * n],
    )  # fmt: skip
    table = segments.decode(segment(layout, given_batch)).predictions
    again = pl.read_parquet(io.BytesIO(segments.encode(table)))
    assert again.equals(table, null_equal=True)
    assert again["c.note"].is_null().to_list() == [one is None for one in values]


@pytest.mark.parametrize(
    ("given_label", "kept"), [(1, "1"), (1.0, "1"), ("1", "1"), (0.25, "0.25"), (True, "True")]
)
def test_equal_labels_are_one_label_whatever_their_type(given_label, kept):
    assert frames.label_text(given_label) == kept


def corrected(**said):
    return frames.Batch(
        7_200_000, 1, "stable", True, "1", list("abcd"), list("abcd"), [], [],
        [0.1, 0.4, 0.6, 0.9], ["0", "1", "1", "abstain"], ["1"], [[0.1, 0.4, 0.6, 0.9]], **said,
    )  # fmt: skip


def test_what_corrections_did_is_in_the_table_row_by_row():
    layout = frames.Layout((), (), ())
    said = corrected(
        served=[0.1, 0.5, 0.6, 0.9], fired=["", "r@1", "", "r@1,a@2"], propensities=[0.5] * 4
    )
    table = segments.decode(segment(layout, said, corrected())).predictions
    assert table["score"].to_list()[:4] == [0.1, 0.4, 0.6, 0.9]
    assert table["served_score"].to_list() == [0.1, 0.5, 0.6, 0.9, 0.1, 0.4, 0.6, 0.9]
    assert table["corrections"].to_list() == ["", "r@1", "", "r@1,a@2", "", "", "", ""]
    assert table["propensity"].to_list() == [0.5] * 4 + [1.0] * 4


def test_a_segment_counts_what_fired_by_the_hour_and_names_what_waits_for_a_person():
    layout = frames.Layout((), (), ())
    said = corrected(fired=["", "r@1", "", "r@1,a@2"])
    found = segments.touched(segments.decode(segment(layout, said)).predictions)
    assert [(one.hour, one.n_rows, one.fired) for one in found.hours] == [
        (2, 4, {"r@1": 2, "a@2": 1})
    ]
    assert [(one.id, one.place, one.score, one.fired) for one in found.held] == [
        ("d", 3, 0.9, ("r@1", "a@2"))
    ]


def test_a_regression_that_abstains_waits_for_a_person_as_well():
    said = frames.Batch(
        0, 1, "stable", True, "1", ["a", "b"], ["a", "b"], [], [], [7.0, 8.0],
        [7.0, float("nan")], ["1"], [[7.0, 8.0]], fired=["", "a@1"],
    )  # fmt: skip
    table = segments.decode(segment(frames.Layout((), (), ()), said)).predictions
    assert [one.id for one in segments.touched(table).held] == ["b"]


def test_segments_written_before_there_were_corrections_are_read():
    opened = frames.Opened("s1", "credit", 0, 1)
    whole = msgspec.to_builtins(corrected())
    layout = frames.encode(frames.Layout((), (), ()))
    raw = frames.encode(opened) + layout + frames.encode(whole[:-3])
    table = segments.decode(raw).predictions
    assert table["served_score"].to_list() == table["score"].to_list()
    assert table["corrections"].to_list() == [""] * 4
    old = table.drop("served_score", "corrections", "propensity")
    assert segments.completed(old).select(table.columns).equals(table)
    assert segments.completed(old, ["propensity"]).columns == [*old.columns, "propensity"]

"""Labels are joined as of an instant, and nothing that does not fit is lost silently."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from homeostat.lifecycle.predictions import join


def served(*keys):
    return pl.DataFrame(
        {"key": list(keys), "score": [0.5] * len(keys)}, schema_overrides={"key": pl.String}
    )


def known(*rows):
    columns = ["key", "label", "known_at"]
    table = pl.DataFrame(
        rows, schema={"key": pl.String, "label": pl.Int64, "known_at": pl.Int64}, orient="row"
    )
    return table.with_columns(event_at=pl.lit(None, pl.Int64)).select(*columns, "event_at")


def test_every_prediction_stays_in_its_place():
    got = join.join(served("b", "a", "c"), known(("a", 1, 5)))
    assert got["key"].to_list() == ["b", "a", "c"]
    assert got["label"].to_list() == [None, 1, None]


def test_only_what_was_known_then_counts():
    labels = known(("a", 0, 5), ("a", 1, 9))
    seen = [join.join(served("a"), labels, as_of=at)["label"][0] for at in (4, 5, 8, 9, None)]
    assert seen == [None, 0, 0, 1, 1]


def test_of_labels_known_at_once_the_last_counts():
    assert join.join(served("a"), known(("a", 0, 5), ("a", 1, 5)))["label"].to_list() == [1]


def test_a_key_predicted_twice_has_its_label_twice():
    assert join.join(served("a", "a"), known(("a", 1, 5)))["label"].to_list() == [1, 1]


def test_what_does_not_fit_is_counted_and_named():
    report = join.report(
        served("a", "b", "a", "c"), known(("a", 0, 1), ("x", 1, 1), ("a", 1, 2), ("x", 1, 3))
    )
    assert (report.n_predictions, report.n_labels, report.n_labelled) == (4, 4, 2)
    assert (report.n_unknown, report.unknown_keys) == (2, ("x",))
    assert report.relabelled_keys == ("a", "x")
    assert report.repeated_keys == ("a",)


def test_nothing_at_all_is_reported_as_nothing():
    report = join.report(served(), known())
    assert (report.n_predictions, report.n_unknown, report.repeated_keys) == (0, 0, ())


rows = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 1), st.integers(0, 9)))


@given(st.lists(st.sampled_from("abcde")), rows, st.integers(-1, 10))
def test_the_join_agrees_with_a_dictionary(keys, labels, as_of):
    in_time = sorted(labels, key=lambda one: one[2])
    last = {key: label for key, label, at in in_time if at <= as_of}
    got = join.join(served(*keys), known(*labels), as_of=as_of)
    assert got["label"].to_list() == [last.get(key) for key in keys]

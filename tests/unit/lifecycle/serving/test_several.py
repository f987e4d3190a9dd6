"""Members of several classes answer as one, whichever classes each knows."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.lifecycle.predictions import frames, segments
from homeostat.lifecycle.serving import composite, several


class Says:
    is_fast = True

    def __init__(self, *chances):
        self.chances = np.array(chances)

    def scores(self, rows):
        if "x" in rows and min(rows["x"]) < 0:
            raise ValueError("below zero")
        return np.tile(self.chances, (len(rows["x"]), 1))


def test_the_mixture_is_the_mean_of_each_class_and_a_missing_class_is_zero():
    classes = ("a", "b", "c")
    first = composite.Seat(1, 0.5, several.placed(Says(0.6, 0.3, 0.1), classes, classes))
    second = composite.Seat(2, 0.5, several.placed(Says(0.2, 0.8), ("c", "a"), classes))
    found = several.score([first, second], {"x": [1.0, 2.0]}, 2, n_classes=3)
    assert found.chances[0] == pytest.approx([0.7, 0.15, 0.15])
    assert found.scores == pytest.approx([0.7, 0.7])
    assert found.member_scores.shape == (2, 6)
    assert several.answers(found.chances, classes) == ["a", "a"]


def test_a_row_that_a_member_fails_on_has_a_fault_and_no_neighbour_has():
    seat = composite.Seat(1, 1.0, Says(0.6, 0.4))
    found = several.score([seat], {"x": [1.0, -1.0, 2.0]}, 3, n_classes=2)
    assert list(found.faults) == [1]
    assert np.isfinite(found.scores).tolist() == [True, False, True]
    assert several.picked(found.chances, [0, 2]) == pytest.approx([0.6, 0.4, 0.6, 0.4])


def test_segments_keep_each_class_as_a_column_and_those_of_before_are_read():
    old = frames.Layout(("x",), ("number",), ())
    new = frames.Layout(("x",), ("number",), (), ("a", "b"))
    batch = {
        "served_at": 1,
        "generation": 1,
        "arm": "stable",
        "answered": True,
        "ids": ["i"],
        "keys": ["k"],
        "features": [[1.0]],
        "context": [],
    }
    two = frames.Batch(
        version="1", scores=[0.7], answers=["1"], members=["1"], member_scores=[[0.7]], **batch
    )
    several_classes = frames.Batch(
        version="1+2",
        scores=[0.6],
        answers=["a"],
        members=["1", "2"],
        member_scores=[[0.7, 0.3], [0.5, 0.5]],
        chances=[0.6, 0.4],
        **batch,
    )
    parts = [frames.Opened("s", "d", 1), old, two, new, several_classes]
    rows = segments.decode(b"".join(map(frames.encode, parts))).predictions
    assert rows["p.a"].to_list() == [None, 0.6]
    assert rows["p.b"].to_list() == [None, 0.4]
    assert rows["member_scores"].to_list() == [[0.7], [0.7, 0.3, 0.5, 0.5]]

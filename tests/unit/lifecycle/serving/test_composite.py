"""A composite is the weighted mean of its members, and a member fails on its own rows only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.lifecycle.serving import composite


class Constant:
    classes = (0, 1)

    def __init__(self, value):
        self.value = value

    def scores(self, rows):
        return np.full(len(rows), self.value)


class Poisoned:
    """Raises for whole batches that hold a poisoned row."""

    classes = (0, 1)

    def __init__(self):
        self.calls = 0

    def scores(self, rows):
        self.calls += 1
        if any(row["x"] == "poison" for row in rows):
            raise ZeroDivisionError("no")
        return np.array([row["x"] for row in rows], dtype=float)


def rows(*values):
    return [{"x": value} for value in values]


def seat(predictor, weight=1.0, version=1):
    return composite.Seat(version, weight, predictor)


def test_members_are_averaged_by_weight():
    seats = [seat(Constant(0.2), 0.75, 1), seat(Constant(0.6), 0.25, 2)]
    got = composite.score(seats, rows(1, 2))
    assert got.scores == pytest.approx([0.3, 0.3])
    assert got.member_scores.tolist() == [[0.2, 0.2], [0.6, 0.6]]
    assert not got.faults


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_only_poisoned_rows_fail(poisoned):
    given_rows = rows(*("poison" if one else 0.5 for one in poisoned))
    got = composite.score([seat(Poisoned())], given_rows)
    assert sorted(got.faults) == [at for at, one in enumerate(poisoned) if one]
    assert np.isnan(got.scores).tolist() == poisoned


def test_a_model_that_always_raises_is_not_called_for_ever():
    model = Poisoned()
    got = composite.score([seat(model, version=7)], rows(*["poison"] * 5000))
    assert len(got.faults) == 5000
    assert model.calls < 100
    fault = got.faults[0]
    assert (fault.version, fault.kind) == (7, "raised")
    assert fault.sentence == "version 7 raised ZeroDivisionError: no"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_a_fault_of_that_row(value):
    class Hole:
        classes = (0, 1)

        def scores(self, rows):
            return np.array([value if row["x"] else 0.5 for row in rows])

    got = composite.score([seat(Hole())], rows(0, 1, 0))
    assert {at: one.kind for at, one in got.faults.items()} == {1: "not-finite"}
    assert got.scores[[0, 2]].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("shape", [(2,), (3, 2), ()])
def test_a_wrong_shape_is_a_fault_of_every_row(shape):
    class Wrong:
        classes = (0, 1)

        def scores(self, _rows):
            return np.zeros(shape)

    got = composite.score([seat(Wrong())], rows(1, 2, 3))
    assert {one.kind for one in got.faults.values()} == {"shape"}
    assert len(got.faults) == 3

"""A composite is the weighted mean of its members, and a member fails on its own rows only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.lifecycle.serving import composite


class Constant:
    def __init__(self, value):
        self.value = value

    def scores(self, columns):
        return np.full(len(columns["x"]), self.value)


class Poisoned:
    """Raises for whole batches that hold a poisoned row."""

    def __init__(self):
        self.calls = 0

    def scores(self, columns):
        self.calls += 1
        if "poison" in columns["x"]:
            raise ZeroDivisionError("no")
        return np.array(columns["x"], dtype=float)


def score(seats, *values):
    return composite.score(seats, {"x": list(values)}, len(values))


def seat(predictor, weight=1.0, version=1):
    return composite.Seat(version, weight, predictor)


def test_members_are_averaged_by_weight():
    seats = [seat(Constant(0.2), 0.75, 1), seat(Constant(0.6), 0.25, 2)]
    got = score(seats, 1, 2)
    assert got.scores == pytest.approx([0.3, 0.3])
    assert got.member_scores.tolist() == [[0.2, 0.2], [0.6, 0.6]]
    assert not got.faults


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_only_poisoned_rows_fail(poisoned):
    got = score([seat(Poisoned())], *("poison" if one else 0.5 for one in poisoned))
    assert sorted(got.faults) == [at for at, one in enumerate(poisoned) if one]
    assert np.isnan(got.scores).tolist() == poisoned


def test_a_model_that_always_raises_is_not_called_for_ever():
    model = Poisoned()
    got = score([seat(model, version=7)], *["poison"] * 5000)
    assert len(got.faults) == 5000
    assert model.calls < 100
    fault = got.faults[0]
    assert (fault.version, fault.kind) == (7, "raised")
    assert fault.sentence == "version 7 raised ZeroDivisionError: no"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_a_fault_of_that_row(value):
    class Hole:
        def scores(self, columns):
            return np.array([value if x else 0.5 for x in columns["x"]])

    got = score([seat(Hole())], 0, 1, 0)
    assert {at: one.kind for at, one in got.faults.items()} == {1: "not-finite"}
    assert got.scores[[0, 2]].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("shape", [(2,), (3, 2), ()])
def test_a_wrong_shape_is_a_fault_of_every_row(shape):
    class Wrong:
        def scores(self, _columns):
            return np.zeros(shape)

    got = score([seat(Wrong())], 1, 2, 3)
    assert {one.kind for one in got.faults.values()} == {"shape"}
    assert len(got.faults) == 3

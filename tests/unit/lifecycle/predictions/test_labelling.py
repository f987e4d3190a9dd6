"""A late label is one of the model's classes, however it is written, or is refused."""

from __future__ import annotations

import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.predictions import labelling


@pytest.mark.parametrize(
    ("given", "classes", "meant"),
    [
        ([1, 1.0, "1", " 1", True, 0, False], ("0", "1"), list("1111100")),
        (["Yes", "NO"], ("no", "yes"), ["yes", "no"]),
        ([True, "false"], ("False", "True"), ["True", "False"]),
        (["0.5", 0.5], ("0.50", "1"), ["0.50", "0.50"]),
        ([7, "anything"], (), ["7", "anything"]),
    ],
)
def test_one_class_is_meant_by_many_writings(given, classes, meant):
    assert labelling.meant(given, classes, deployment="credit") == meant


@pytest.mark.parametrize("label", [7, "yes", "True", "", "nan", float("nan"), 1e300, 10**30])
def test_another_label_is_refused_with_its_place_and_the_classes(label):
    with pytest.raises(errors.InvalidInputError, match=r"labels\[1\]: .* it knows 0, 1"):
        labelling.meant([1, label], ("0", "1"), deployment="credit")


@pytest.mark.parametrize("n", [0, labelling.LABELS_AT_MOST + 1])
def test_one_request_brings_a_bounded_number(n):
    with pytest.raises(errors.InvalidInputError, match="1 to 100000 labels"):
        labelling.meant([1] * n, ("0", "1"), deployment="credit")

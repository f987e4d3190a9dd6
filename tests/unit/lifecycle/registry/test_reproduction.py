"""Two models are compared by what they are, not by when they were written."""

from __future__ import annotations

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline.entities import SourceFile
from homeostat.lifecycle.registry import remaking, reproduction
from homeostat.lifecycle.registry.reproduction import Item


def written(c=1.0):
    rows = np.random.default_rng(0).normal(size=(60, 2))
    made = LogisticRegression(C=c).fit(rows, rows[:, 0] > 0)
    return skops.io.dumps(made)


def test_one_fit_written_twice_has_the_same_content_and_another_one_has_not():
    first, second, other = written(), written(), written(c=0.5)
    assert first != second
    content = reproduction.content
    assert content("model.skops", first) == content("model.skops", second)
    assert content("model.skops", first) != content("model.skops", other)
    (item,) = reproduction.files({"a": b"1"}, {})
    assert (item.verdict, item.sentence) == ("differs", "was not made again")


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (("same", "differs"), "same"),
        (("within tolerance", "differs"), "within tolerance"),
        (("differs", "same"), "differs"),
        (("could not be checked", "same"), "could not be checked"),
    ],
)
def test_the_scores_decide_and_a_package_is_only_told(verdicts, whole):
    scores, package = verdicts
    items = [
        Item(kind="scores", name="model", verdict=scores),
        Item(kind="environment", name="numpy", verdict=package),
    ]
    assert reproduction.judged(items) == whole


def test_numbers_that_are_none_never_pass_as_near():
    assert reproduction.numbers([0.5], [float("nan")], tolerance=1.0)[0] == "differs"
    assert reproduction.numbers([0.5], [], tolerance=1.0)[0] == "differs"


def test_code_is_written_nowhere_but_into_its_folder(tmp_path):
    with pytest.raises(errors.InvalidInputError, match="no path inside a project"):
        remaking.write_code([SourceFile("../out.py", "")], tmp_path / "code")
    assert not (tmp_path / "out.py").exists()

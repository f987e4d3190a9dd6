"""Rows of the log cost what the same rows cost in a backtest, whatever the task."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl
import pytest

from homeostat.lifecycle.data.entities import Schema
from homeostat.lifecycle.loop import aims, foretold, history
from homeostat.lifecycle.registry.entities import Description

N = 300


def described(task, classes=(), deviation=0.0):
    return Description(
        format=1,
        schema=Schema(()),
        target="y",
        classes=classes,
        positive=len(classes) - 1 if task == "binary" else 0,
        by_name=True,
        example={},
        scores=(),
        trusted=(),
        packages={},
        task=task,
        deviation=deviation,
    )


def stream(task):
    rng = np.random.default_rng(1)
    x = rng.normal(size=N)
    if task == "regression":
        target, said = 10 * x + rng.normal(size=N), 9 * x
    else:
        names = ["a", "b"] if task == "binary" else ["a", "b", "c"]
        chances = rng.dirichlet(np.ones(len(names)), size=N)
        target = [names[rng.choice(len(names), p=one)] for one in chances]
        said = chances[:, 1] if task == "binary" else chances
    frame = pl.DataFrame({"x": x, "y": target})
    is_number = task == "regression"
    return history.prepare(frame, target="y", warmup=0.3, regression=is_number), target, said


def logged(rows, target, said):
    """The rows after the warm-up as the log has them."""
    labels = [str(one) for one in target]
    names = np.array(rows.classes)
    if rows.task == "regression":
        table = {"score": said, "answer": said}
    elif rows.task == "binary":
        table = {"score": said, "answer": names[(said >= 0.5).astype(int)]}
    else:
        chances = {f"p.{name}": said[:, at] for at, name in enumerate(names)}
        table = {"score": said.max(axis=1), "answer": names[said.argmax(axis=1)], **chances}
    return pl.DataFrame({"label": labels, **table})[rows.warmup :]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_live_blocks_cost_what_they_cost_in_a_backtest(task):
    rows, target, said = stream(task)
    chosen = np.arange(rows.warmup, N)
    deviation = float(np.std(rows.labels[: rows.warmup]))
    log = logged(rows, target, said)
    aim = aims.of([described(task, rows.classes, deviation)], log)
    outcomes = aims.truth(log["label"], aim)
    live = aims.loss(aims.said(log, aim), outcomes, aim)
    assert live == foretold.member_loss(rows, chosen, said[chosen])
    share, each = aims.wrong(log, outcomes, aim)
    wrong = foretold.is_wrong(rows, chosen, said[chosen])
    assert share == float(np.mean(wrong))
    assert (each is None) == (task != "regression")
    if each is not None:
        assert each.tolist() == wrong.tolist()


def test_answers_without_the_corrector_are_turned_where_it_moved_a_score_over_the_even_chance():
    log = pl.DataFrame(
        {
            "label": ["1", "0", "1", "1"],
            "score": [0.4, 0.6, 0.7, 0.2],
            "served_score": [0.6, 0.1, 0.9, 0.8],
            "answer": ["1", "0", "1", "1"],
        }
    )
    aim = aims.Aim("binary")
    outcomes = aims.truth(log["label"], aim)
    corrected = np.array([True, True, True, False])
    counted = aims.uncorrected(log, outcomes, corrected, aim)
    assert (sum(counted.rows), sum(counted.wrong)) == (4, 2)
    assert sum(aims.sure(log, outcomes, aim).wrong) == 0
    nobody = np.zeros(4, dtype=bool)
    assert aims.uncorrected(log, outcomes, nobody, aim) is msgspec.UNSET


def test_members_of_other_classes_are_put_in_the_places_of_all():
    new = described("multiclass", ("c", "a", "d"))
    log = pl.DataFrame({"p.a": [0.5], "p.b": [0.5], "score": [0.5]})
    aim = aims.of([described("multiclass", ("a", "b", "c")), new], log)
    assert aim.classes == ("a", "b", "c", "d")
    assert aims.placed(np.array([[0.2, 0.3, 0.5]]), new, aim).tolist() == [[0.3, 0, 0.2, 0.5]]
    assert aims.said(log, aim).tolist() == [[0.5, 0.5, 0, 0]]


def test_a_label_that_is_no_number_is_as_wrong_as_can_be():
    aim = aims.Aim("regression", deviation=1.0)
    outcomes = aims.truth(pl.Series(["1.5", "dear"]), aim)
    assert aims.losses(np.array([1.5, 1.5]), outcomes, aim).tolist() == [0.0, 1.0]

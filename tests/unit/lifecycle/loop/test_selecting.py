"""Labels that answers select: what was drawn is weighed by its chance."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from homeostat.lifecycle.corrections import exploring
from homeostat.lifecycle.corrections.entities import Explore
from homeostat.lifecycle.loop import selecting
from homeostat.lifecycle.policy.limits import Selection

SHARE = 0.1
BODY = Explore(share=SHARE, answer="0", low=0.5, high=0.9)


@pytest.fixture(scope="module")
def granted():
    """Loans that are repaid less the higher their score; only granted ones (0) get a label."""
    rng = np.random.default_rng(3)
    score = rng.uniform(0, 1, 20_000)
    label = (rng.uniform(0, 1, score.size) < score).astype(int)
    model = np.where(score >= 0.5, "1", "0")
    said = [
        exploring.answer(BODY, "a", f"k{at}", float(one), given)
        for at, (one, given) in enumerate(zip(score, model.tolist(), strict=True))
    ]
    rows = pl.DataFrame({"score": score, "label": label, "answer": said, "model": model})
    chance = pl.when(pl.col("answer") != pl.col("model")).then(SHARE).otherwise(1.0)
    rows = rows.with_columns(chance.alias(selecting.CHANCE))
    return rows, rows.filter(pl.col("answer") == "0")


def in_reach(rows):
    return rows.filter(pl.col("score") < 0.9)["label"].mean()


def test_only_the_band_is_explored_at_its_share(granted):
    rows, _ = granted
    explored = rows.filter(pl.col("answer") != pl.col("model"))
    assert explored["score"].min() >= 0.5
    assert explored["score"].max() < 0.9
    n_band = rows.filter(pl.col("score").is_between(0.5, 0.9)).height
    assert explored.height == pytest.approx(SHARE * n_band, abs=4 * np.sqrt(n_band * 0.09))


def test_weights_undo_what_the_answers_selected(granted):
    rows, labelled = granted
    assert in_reach(labelled) < in_reach(rows) - 0.1
    found = selecting.weighed(labelled, Selection(revealing="0"))
    assert in_reach(found.rows) == pytest.approx(in_reach(rows), abs=0.02)
    assert "(0 cut to 20)" in found.told


def test_small_chances_are_cut_or_left_out_and_the_report_says_so(granted):
    _, labelled = granted
    n_explored = labelled.filter(pl.col(selecting.CHANCE) < 1).height
    cut = selecting.weighed(labelled, Selection(revealing="0", weight_at_most=5.0))
    assert cut.rows.height == labelled.height + 4 * n_explored
    assert f"({n_explored} cut to 5)" in cut.told
    handling = Selection(revealing="0", handling="exclude", weight_at_most=5.0)
    left = selecting.weighed(labelled, handling)
    assert left.rows.height == labelled.height - n_explored
    assert f"({n_explored} left out)" in left.told


@pytest.mark.parametrize("selection", [Selection(), Selection(revealing="0", handling="none")])
def test_nothing_is_weighed_where_the_policy_asks_for_nothing(granted, selection):
    _, labelled = granted
    assert selecting.weighed(labelled, selection).rows.equals(labelled)


def test_a_row_without_a_key_is_never_explored():
    assert exploring.answer(BODY, "a", None, 0.6, "1") == "1"

"""What the loop reads from the log under corrections: answers for harm, scores for weights."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from homeostat.lifecycle.loop import answered, observing
from homeostat.lifecycle.monitoring import entities as monitored
from homeostat.measures import summary


def rows(answers, scores, served=None):
    return pl.DataFrame(
        {
            "row": range(len(answers)),
            "answer": answers,
            "score": scores,
            "served_score": served or scores,
            "x.income": [1.0] * len(answers),
        }
    )


TRUTH = np.array([True, False, True, False])


@pytest.mark.parametrize(
    ("answers", "share"),
    [
        (["1", "0", "1", "0"], 0.0),
        (["1", "1", "0", "0"], 0.5),
        ([1, 1, 1, 1], 0.5),
        (["1", None, None, "0"], 0.25),
        (["1", "abstain", "0", "abstain"], 0.5),
    ],
    ids=["right", "wrong", "numbers", "none-of-many", "left-to-a-person"],
)
def test_harm_is_what_people_were_answered_whatever_the_scores_say(answers, share):
    seen = rows(answers, [0.9, 0.1, 0.9, 0.1])
    assert answered.share_wrong(seen, TRUTH, "1") == share


def test_where_every_row_was_left_to_a_person_the_scores_count():
    seen = rows(["abstain"] * 4, [0.9, 0.1, 0.2, 0.1])
    assert answered.share_wrong(seen, TRUTH, "1") == 0.25


def test_a_window_sees_raw_scores_and_a_fallback_where_there_is_none():
    seen = rows(["1"] * 4, [0.9, float("nan"), 0.9, 0.1], [0.5, 0.7, 0.5, 0.5])
    assert observing.features(seen)["score"].to_list() == [0.9, 0.7, 0.9, 0.1]


@pytest.mark.parametrize(("kind", "beside"), [("unit", 20), ("swapped", 40)])
def test_rows_beside_a_break_are_kept_out_over_the_ends_of_the_window(kind, beside):
    found = monitored.Finding(
        kind=kind,
        column="age",
        statistic="evidence in nats",
        value=600.0,
        needed=30.0,
        first_row=400,
        end_row=600,
        sentence="age is broken",
    )
    judged = monitored.Judgement(
        first_row=400,
        end_row=600,
        n_rows=200,
        findings=(found,),
        broken=((400, 600),),
        summary=summary.TableSummary(n_rows=200, columns={}),
    )
    assert observing.window_event(judged).broken == ((400 - beside, 600 + beside),)

"""Health is said of what labels have shown, and of nothing else."""

from __future__ import annotations

from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import decide, entities, health

POLICY = policies.Policy(model=policies.Model(name="credit", target="defaulted"))


def after_one_block():
    block = entities.BlockLabelled(
        first_row=0, end_row=200, n_rows=200, error=0.1, mixture=0.1, members={"1": 0.1}
    )
    state, _ = decide.decide(decide.begin("1", rows=(0, 0), origin_row=0), block, POLICY)
    return state


def test_rows_that_wait_for_labels_a_while_are_no_news():
    assert health.judge(after_one_block(), [], n_rows=1200).word == "steady"


def test_many_rows_without_labels_are_told_with_the_row_since_when():
    seen = health.judge(after_one_block(), [], n_rows=2200)
    assert (seen.word, "since row 200" in seen.sentence) == ("blind", True)

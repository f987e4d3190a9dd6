"""Health is said of what labels have shown, and of nothing else."""

from __future__ import annotations

from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import decide, entities, health
from homeostat.lifecycle.monitoring.entities import Alert

POLICY = policies.Policy(model=policies.Model(name="credit", target="defaulted"))


def after_one_block():
    block = entities.BlockLabelled(
        first_row=0, end_row=200, n_rows=200, error=0.1, mixture=0.1, members={"1": 0.1}
    )
    state, _ = decide.decide(decide.begin("1", rows=(0, 0), origin_row=0), block, POLICY)
    return state


def alert(kind, *, cause="unknown", confirmed_at=1):
    return Alert(
        id=kind,
        deployment="credit",
        kind=kind,
        cause=cause,
        column=None,
        state="open",
        sentence=f"{kind} is seen",
        opened_at=1,
        confirmed_at=confirmed_at,
    )


def test_only_proved_harm_and_a_budget_that_burns_fast_are_grave():
    state = after_one_block()
    slow = alert("service-latency", cause="infrastructure")
    feed, drift = alert("feed", cause="feed"), alert("attribution-drift")
    assert health.judge(state, [slow])[:2] == ("warn", "service-latency")
    assert health.judge(state, [drift, feed])[:2] == ("warn", "feed")
    suspected = alert("harm", cause="concept-change", confirmed_at=None)
    assert health.judge(state, [slow, suspected])[:2] == ("warn", "harm suspected")
    burning = alert("budget-fast")
    assert health.judge(state, [drift, burning])[:2] == ("bad", "budget burns")
    assert health.judge(state, [burning, alert("harm")])[:2] == ("bad", "harm")


def test_rows_that_wait_for_labels_a_while_are_no_news():
    assert health.judge(after_one_block(), [], n_rows=1200).word == "steady"


def test_many_rows_without_labels_are_told_with_the_row_since_when():
    seen = health.judge(after_one_block(), [], n_rows=2200)
    assert (seen.word, "since row 200" in seen.sentence) == ("blind", True)

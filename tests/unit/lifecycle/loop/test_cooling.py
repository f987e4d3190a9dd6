"""When a fit that was asked for starts: debounce, cooldown, budget; what waits is not lost."""

from __future__ import annotations

import pytest

from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import asked, cooling, decide, entities

HOUR_MS = 3_600_000
NOW = 1_800_000_000_000


def make_policy(**retraining):
    told = {"on": ("harm", "code", "new-data", "upstream"), "cooldown": "6h", **retraining}
    return policies.Policy(
        model=policies.Model(name="credit", target="defaulted"),
        retraining=policies.Retraining(**told),
    )


def start():
    return decide.begin("1", rows=(0, 0), origin_row=0)


def ask(reason="code", *, at=NOW, **facts):
    return asked.FitAsked(reason=reason, end_row=2000, at=at, subject=f"{reason}:x", **facts)


def finished(state, *, seconds=10.0):
    fit = state.pending[-1].id
    event = entities.FitFailed(fit=fit, sentence="for this test")
    if seconds is not None:
        event = entities.FitFinished(fit=fit, version=fit, seconds=seconds)
    return decide.decide(state, event, make_policy())[0]


def fits(verdicts):
    return [
        act.fit
        for verdict in verdicts
        for act in verdict.acts
        if isinstance(act, entities.StartFit)
    ]


def test_new_code_starts_a_fit_with_what_shows_it_as_evidence():
    event = ask(facts={"files": "pipeline.py"}, by="clock")
    state, told = decide.decide(start(), event, make_policy())
    assert [fit.reason for fit in fits(told)] == ["code"]
    assert told[0].evidence["code.files"] == "pipeline.py"
    assert told[0].evidence["code.subject"] == "code:x"
    assert cooling.pace(state).waiting == ()
    assert cooling.pace(state).code == "code:x"


def test_cooldown_makes_a_request_wait_and_the_clock_answers_it():
    policy = make_policy()
    state, _ = decide.decide(start(), ask(), policy)
    state = finished(state)
    again = NOW + HOUR_MS
    state, told = decide.decide(state, ask("upstream", at=again), policy)
    assert fits(told) == []
    assert "cooldown of 6h since fit-1" in told[0].sentence
    due = cooling.next_at(state, policy, at=again)
    assert due == NOW + 6 * HOUR_MS
    state, told = decide.decide(state, asked.FitsDue(end_row=2200, at=due), policy)
    assert [fit.reason for fit in fits(told)] == ["upstream"]


def test_a_clock_that_was_a_year_ahead_holds_fits_no_longer_than_any_other():
    policy = make_policy(fits_per_day=1, debounce="10m")
    ahead = NOW + 365 * 24 * HOUR_MS
    state, _ = decide.decide(start(), ask("person", at=ahead), policy)
    state, _ = decide.decide(finished(state), ask(at=ahead), policy)
    state, told = decide.decide(state, ask(), policy)
    assert "debounce" in told[0].sentence
    assert cooling.next_at(state, policy, at=NOW) == NOW + HOUR_MS / 6
    due = asked.FitsDue(end_row=2000, at=NOW + 24 * HOUR_MS)
    state, told = decide.decide(state, due, policy)
    assert [fit.reason for fit in fits(told)] == ["code"]


def test_debounce_answers_many_events_of_one_kind_with_one_fit():
    policy = make_policy(debounce="10m", cooldown="0s")
    state = start()
    for minute in range(5):
        state, told = decide.decide(state, ask("upstream", at=NOW + 60_000 * minute), policy)
        assert fits(told) == []
    due = cooling.next_at(state, policy, at=NOW)
    assert due == NOW + 14 * 60_000
    _, told = decide.decide(state, asked.FitsDue(end_row=2200, at=due), policy)
    assert len(fits(told)) == 1
    assert told[0].evidence["upstream.asked"] == 5


def test_events_that_never_cease_are_answered_after_ten_debounces():
    policy = make_policy(debounce="10m", cooldown="0s")
    state, n_fits = start(), 0
    for minute in range(0, 120, 5):
        event = ask("upstream", at=NOW + 60_000 * minute)
        state, told = decide.decide(state, event, policy)
        n_fits += len(fits(told))
    assert n_fits == 1


@pytest.mark.parametrize(
    ("budget", "why"),
    [
        ({"fits_per_day": 1}, "budget: 1 of 1 fits in a day"),
        ({"compute_per_day": "5s"}, "budget: 10 of 5 seconds"),
    ],
)
def test_a_spent_budget_holds_up_everybody_but_a_person(budget, why):
    policy = make_policy(cooldown="0s", **budget)
    state, _ = decide.decide(start(), ask(), policy)
    state = finished(state)
    later = NOW + HOUR_MS
    state, told = decide.decide(state, ask("new-data", at=later), policy)
    assert why in told[0].sentence
    assert cooling.next_at(state, policy, at=later) == NOW + cooling.DAY_MS
    _, told = decide.decide(state, ask("person", at=later), policy)
    assert len(fits(told)) == 1


def test_harm_waits_for_the_budget_says_so_once_and_is_not_forgotten():
    policy = make_policy(fits_per_day=1)
    state, _ = decide.decide(start(), ask(), policy)
    state, told = finished(state), []
    for number in range(14):
        error = 0.1 if number < 10 else 0.5
        hour = 30 if number == 13 else 1
        event = entities.BlockLabelled(
            first_row=2000 + number * 200,
            end_row=2200 + number * 200,
            n_rows=200,
            error=error,
            mixture=0.08,
            members={"1": 0.08},
            at=NOW + hour * HOUR_MS,
        )
        state, verdicts = decide.decide(state, event, policy)
        told += verdicts
    assert sum("budget" in verdict.sentence for verdict in told) == 1
    assert [fit.reason for fit in fits(told)] == ["harm"]


def test_a_request_waits_for_the_fit_under_way():
    policy = make_policy(cooldown="0s")
    state, _ = decide.decide(start(), ask(), policy)
    state, told = decide.decide(state, ask("person", at=NOW + 1), policy)
    assert "a fit is under way" in told[0].sentence
    assert cooling.next_at(state, policy, at=NOW + 1) is None
    state = finished(state)
    assert [one.reason for one in cooling.due(state, policy, at=NOW + 2)] == ["person"]


def test_a_snapshot_is_learned_whole_and_examined_on_rows_to_come():
    event = ask("new-data", facts={"snapshot": "abc"})
    _, told = decide.decide(start(), event, make_policy())
    (fit,) = fits(told)
    assert (fit.snapshot, fit.rows) == ("abc", (2000, 2000))


def test_a_cause_the_policy_does_not_name_starts_nothing():
    state, told = decide.decide(start(), ask("code"), make_policy(on=("harm",)))
    assert "does not name it in retraining.on" in told[0].sentence
    assert cooling.pace(state).waiting == ()

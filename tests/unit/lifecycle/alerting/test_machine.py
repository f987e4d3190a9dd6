"""Soft, hard, damped, blind: what holds of every sequence of observations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from homeostat.lifecycle.alerting import machine

RULES = st.builds(
    machine.Rules, confirm_after=st.integers(1, 4), resolve_after=st.integers(1, 4)
)
SEEN = st.lists(st.sampled_from(["bad", "good", "none"]), max_size=80)


def _run(observations, rules, watch=None):
    watch = watch or machine.Watch()
    steps = []
    for now, observation in enumerate(observations):
        before = watch
        watch, told = machine.advance(watch, observation, rules, now)
        steps.append((before, observation, watch, told))
    return steps


def _told(steps):
    return [transition for *_, told in steps for transition in told]


@given(SEEN, RULES)
def test_what_is_told_alternates(observations, rules):
    told = _told(_run(observations, rules))
    for begins, ends in (
        ("opened", "resolved"),
        ("flapping", "settled"),
        ("blind", "seeing"),
    ):
        turns = [one for one in told if one in {begins, ends}]
        assert turns == [(begins, ends)[place % 2] for place in range(len(turns))]
    between = [one for one in told if one in {"opened", "confirmed", "resolved"}]
    for before, after in zip(["resolved", *between], between, strict=False):
        assert after != "confirmed" or before == "opened"


@given(SEEN, RULES)
def test_it_is_open_from_the_first_bad_one_and_hard_after_enough_in_a_row(observations, rules):
    in_a_row = 0
    for before, observation, after, told in _run(observations, rules):
        if observation == "none":
            assert (after.standing, after.history) == (before.standing, before.history)
            continue
        in_a_row = in_a_row + 1 if observation == "bad" else 0
        assert not in_a_row or after.is_open
        assert in_a_row < rules.confirm_after or after.standing == "hard"
        assert "confirmed" not in told or in_a_row >= rules.confirm_after


@given(SEEN, RULES)
def test_what_flaps_stays_open_and_is_neither_opened_nor_resolved(observations, rules):
    for before, _, after, told in _run(observations, rules):
        assert not after.is_flapping or after.is_open
        if before.is_flapping and after.is_flapping:
            assert not {"opened", "resolved", "flapping"} & set(told)


@given(SEEN, RULES)
def test_everything_is_fine_again_when_it_was_good_for_long(observations, rules):
    steps = _run([*observations, *["good"] * machine.HISTORY], rules)
    last = steps[-1][2] if steps else machine.Watch()
    assert (last.standing, last.is_flapping, last.is_blind) == ("fine", False, False)
    assert last.history == "o" * machine.HISTORY


def test_what_turns_in_every_window_is_told_once_that_it_flaps():
    told = _told(_run(["bad", "good"] * 20, machine.Rules()))
    assert told.count("flapping") == 1
    assert told.count("resolved") < 5
    assert told[-1] == "flapping"


def test_a_single_change_is_no_flapping():
    told = _told(_run(["bad"] * 10 + ["good"] * 10, machine.Rules(confirm_after=2)))
    assert told == ["opened", "confirmed", "resolved"]

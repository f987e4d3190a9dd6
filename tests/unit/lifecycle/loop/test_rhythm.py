"""When plain fits are due and what they learn from."""

from __future__ import annotations

import pytest
from msgspec import structs

from homeostat.lifecycle.loop import backtest, decide, entities, rhythm

END = 20_000


def state(**facts):
    return structs.replace(decide.begin("1", rows=(0, 0), origin_row=0), **facts)


def test_without_a_change_a_refresh_learns_4000_rows():
    assert rhythm.window_first(state(), END) == END - 4000


def test_after_a_change_it_learns_all_rows_since_up_to_8000():
    assert rhythm.window_first(state(change_row=END - 6000), END) == END - 6000
    assert rhythm.window_first(state(change_row=2000), END) == END - 8000


def test_rows_kept_out_are_made_up_for():
    broken = state(quarantined=((17_000, 18_000),))
    assert rhythm.window_first(broken, END) == END - 5000


def test_a_change_that_is_proved_late_is_learned_at_once():
    assert rhythm.burst("minimal", change_block=20, block=23) == (23, 24, 37)


def fits_of(budget, *, every, n_blocks):
    """When and why fits are made while the error rises again and again, each time to stay."""
    told = backtest.policy_for("y")
    policy = structs.replace(told, retraining=structs.replace(told.retraining, budget=budget))
    now, fits = state(), []
    for number in range(n_blocks):
        event = entities.BlockLabelled(
            first_row=number * 200,
            end_row=number * 200 + 200,
            n_rows=200,
            error=0.02 + 0.09 * (number // every),
            mixture=0.1,
            members={},
        )
        now, verdicts = decide.decide(now, event, policy)
        for act in [act for verdict in verdicts for act in verdict.acts]:
            if isinstance(act, entities.StartFit):
                fits.append((number, act.fit.reason))
                done = entities.FitFinished(fit=act.fit.id, version=act.fit.id)
                now, _ = decide.decide(now, done, policy)
    return fits


@pytest.mark.parametrize("budget", rhythm.SHARE)
def test_a_world_that_changes_often_is_learned_within_the_budget(budget):
    fits = fits_of(budget, every=16, n_blocks=150)
    assert [reason for _, reason in fits].count("harm") == 9, "each change is learned at once"
    for n_fits, (number, reason) in enumerate(fits, start=1):
        share = rhythm.SHARE[budget] * (number + 1) + rhythm.ADVANCE[budget]
        assert reason == "harm" or n_fits <= share

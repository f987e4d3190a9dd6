"""The CUSUM on a bounded loss keeps its word about false alarms, and sees a rise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from homeostat.measures import bounded, evidence

SETTINGS = bounded.Settings()


def alarms(means, *, seed, n_rows=200, spread=0.05):
    rng = np.random.default_rng(seed)
    state, found = bounded.quiet(SETTINGS), []
    for block, mean in enumerate(means):
        losses = np.clip(rng.gamma(mean / spread, spread, n_rows), 0, 1).tolist()
        state, alarm = bounded.observe(state, losses, block=block, settings=SETTINGS)
        found += [alarm] if alarm else []
    return found


def test_the_average_run_to_a_false_alarm_is_as_long_as_stated_when_the_level_is_known():
    """With the true level, alarms come at most once in exp(7) blocks on average."""
    rng = np.random.default_rng(0)
    n_blocks, n_rows, level = 12_000, 100, 0.1
    losses = rng.beta(1, 9, (n_blocks, n_rows))
    bets = [rise * 0.09 / (0.0082 + (rise * 0.09) ** 2) for rise in (0.1, 0.3, 0.8)]
    bets = [min(0.5 / level, bet) for bet in bets]
    gains = np.stack([np.log1p(bet * (losses - level)).sum(axis=1) for bet in bets])
    scores, n_alarms = np.zeros(3), 0
    for block in range(n_blocks):
        scores = np.maximum(scores, 0) + gains[:, block]
        if evidence.log_mean_exp(np.maximum(scores, 0).tolist()) > 7:
            n_alarms += 1
            scores = np.zeros(3)
    assert n_alarms <= n_blocks / math.exp(7)


def test_with_an_estimated_level_a_stationary_loss_is_left_alone():
    assert sum(len(alarms([0.1] * 120, seed=seed)) for seed in range(8)) <= 1


def test_a_rise_is_seen_and_dated():
    (found,) = alarms([0.1] * 20 + [0.14] * 4, seed=1)
    assert (found.block, found.change_block) in {(20, 20), (21, 20), (22, 20)}


def test_for_losses_of_0_and_1_a_bet_is_the_likelihood_ratio():
    losses = [1.0] * 30 + [0.0] * 170
    bet = (0.2 - 0.1) / (0.1 * 0.9)
    ratio = evidence.log_likelihood_ratio(0.15, n_rows=200, accepted=0.1, harmful=0.2)
    assert bounded.log_wealth(losses, accepted=0.1, bet=bet) == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("losses", "accepted", "bet"), [([1.5], 0.1, 1.0), ([0.5], 0.0, 1.0), ([0.5], 0.1, 10.0)]
)
def test_what_is_no_bet_is_refused(losses, accepted, bet):
    with pytest.raises(ValueError, match=r"need|losses"):
        bounded.log_wealth(losses, accepted=accepted, bet=bet)


def test_too_few_losses_are_refused():
    with pytest.raises(ValueError, match="two losses"):
        bounded.observe(bounded.quiet(SETTINGS), [0.1], block=0, settings=SETTINGS)

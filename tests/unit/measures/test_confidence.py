"""Bets keep their error at every look, find a gain, and their sequences cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from homeostat.measures import betting, confidence


def _play(values, **start):
    state = betting.Betting(**start)
    for value in values:
        state = betting.bet(state, float(value))
    return state


def test_type_one_error_holds_at_every_look():
    rng = np.random.default_rng(0)
    limit = math.log(1 / 0.05)
    wrong = sum(_play(rng.choice([-0.5, 0.5], size=300)).log_peak >= limit for _ in range(400))
    assert wrong / 400 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


def test_a_gain_is_proved():
    rng = np.random.default_rng(1)
    assert _play(rng.normal(0.1, 0.2, size=300).clip(-1, 1)).log_e > math.log(1 / 0.05)


def test_wealth_is_never_lost_wholly():
    state = _play([-1.0] * 50)
    assert all(math.isfinite(w) for w in state.log_wealth)
    assert state.log_peak == 0
    assert state.mean == -1


def test_no_value_means_no_evidence():
    assert betting.Betting().log_e == 0
    assert betting.Betting().mean is None


@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.05])
def test_the_sequence_covers_at_every_look(mean):
    rng = np.random.default_rng(2)
    misses = 0
    for _ in range(100):
        low, high = confidence.sequence(rng.choice([-0.4, 0.4], size=200) + mean)
        misses += bool((low > mean).any() or (high < mean).any())
    assert misses <= 100 * 0.05 + 2 * math.sqrt(100 * 0.05 * 0.95)


def test_the_sequence_narrows_and_never_widens():
    rng = np.random.default_rng(3)
    low, high = confidence.sequence(rng.normal(0.1, 0.1, size=1000).clip(-1, 1))
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) <= 0).all()
    assert high[-1] - low[-1] < 0.06


def test_a_mean_that_moved_keeps_the_last_interval():
    x = np.concatenate([np.full(500, -0.9), np.full(2000, 0.9)])
    low, high = confidence.sequence(x)
    assert np.isfinite(low).all()
    assert (low <= high).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: _play([2.0]),
        lambda: _play([0.0], null_mean=-1.0),
        lambda: confidence.sequence(np.zeros(3), error=0),
        lambda: confidence.sequence(np.full(3, 2.0)),
    ],
)
def test_wrong_arguments_are_value_errors(call):
    with pytest.raises(ValueError, match=r"need|must"):
        call()

"""A recalibration is fitted to labels, and what it is said to gain is gained on other rows."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.corrections import calibrating, maps


def world(n, seed, *, turned=True):
    """Scores, and labels that come true as often as the scores say, or half as often."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(2, 2, n)
    truth = rng.uniform(size=n) < (chance / 2 if turned else chance)
    return chance, truth


def gain(body, scores, truth):
    turned = np.array(list(map(maps.mapped(body), scores.tolist())))
    return float(np.mean((scores - truth) ** 2 - (turned - truth) ** 2))


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_what_is_said_to_be_gained_is_gained_on_rows_that_come_later(method):
    scores, truth = world(4000, 1)
    body = calibrating.fit(scores, truth, method=method, rows=(10, 4010), versions="3")
    told = body.evidence
    assert (told.n_rows, told.first_row, told.end_row) == (4000, 10, 4010)
    assert body.versions == "3"
    assert told.brier_before - told.brier_after > 0.04
    assert 0 < told.gain_low < told.gain_high
    later = gain(body, *world(20_000, 2))
    assert told.gain_low - 0.005 < later < told.gain_high + 0.005


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_where_nothing_is_wrong_no_gain_is_claimed(method):
    told = [
        calibrating.fit(
            *world(2000, seed, turned=False), method=method, rows=(0, 2000)
        ).evidence
        for seed in range(12)
    ]
    assert sum(one.gain_low > 0 for one in told) <= 1


def test_too_few_labels_or_scores_without_meaning_are_refused():
    scores, truth = world(199, 1)
    with pytest.raises(errors.InvalidInputError, match=r"of version 1\+2, which .* seen 199"):
        calibrating.fit(scores, truth, method="platt", rows=(0, 199), versions="1+2")
    scores, truth = world(1000, 1)
    with pytest.raises(errors.InvalidInputError, match="say nothing"):
        calibrating.fit(1 - scores, truth, method="platt", rows=(0, 1000))

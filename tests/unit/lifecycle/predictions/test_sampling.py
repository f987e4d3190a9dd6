"""A draw of labels prefers rows that tell more; what is estimated from it stays unbiased."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.lifecycle.predictions import sampling


@given(
    value=st.lists(st.floats(0, 1), min_size=1, max_size=60),
    budget=st.integers(1, 70),
    random_share=st.floats(0.05, 1),
    start=st.floats(0, 1, exclude_max=True),
)
def test_the_budget_is_kept_and_every_row_has_a_chance(value, budget, random_share, start):
    strata = [at % 3 for at in range(len(value))]
    chance = sampling.chances(np.array(value), strata, budget=budget, random_share=random_share)
    assert (chance > 0).all()
    assert (chance <= 1).all()
    assert chance.sum() == pytest.approx(min(budget, len(value)))
    drawn = sampling.draw(chance, strata, start=start)
    assert len(drawn) == len(set(drawn)) == min(budget, len(value))


def population(n=3000):
    rng = np.random.default_rng(1)
    scores = rng.beta(0.7, 0.7, n)
    wrong = (rng.random(n) < np.minimum(scores, 1 - scores)).astype(float)
    return scores, wrong


def test_estimates_are_unbiased_and_better_than_by_chance_alone():
    """Horvitz-Thompson over 400 draws of 150: within 4 standard errors of the truth."""
    scores, wrong = population()
    rng = np.random.default_rng(2)
    spread = {}
    for share in (0.25, 1.0):
        chance = sampling.chances(
            sampling.uncertainty(scores), [""] * 3000, budget=150, random_share=share
        )
        found, naive = [], []
        for _ in range(400):
            drawn = sampling.draw(chance, [""] * 3000, start=rng.random())
            found.append(sampling.share(wrong[drawn], chance[drawn], n_rows=3000))
            naive.append(wrong[drawn].mean())
        spread[share] = float(np.std(found))
        error = spread[share] / np.sqrt(len(found))
        assert abs(np.mean(found) - wrong.mean()) < 4 * error
        # What ignores the chances is far off where the draw prefers doubtful rows.
        assert share == 1.0 or np.mean(naive) > 1.3 * wrong.mean()
    assert spread[0.25] < spread[1.0]


def test_each_group_gets_its_part_of_the_random_share():
    strata = ["few"] * 20 + ["many"] * 1980
    chance = sampling.chances(np.ones(2000), strata, budget=100, random_share=1.0)
    drawn = sampling.draw(chance, strata, start=0.3)
    few = sum(at < 20 for at in drawn)
    assert few == 20
    assert len(drawn) == 100

"""Routing is the same everywhere, splits as told, and a growing canary only takes keys."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from homeostat.lifecycle.serving import entities, router

ONE = (entities.Member(1, 1.0),)
TWO = (entities.Member(2, 1.0),)


def canary(share, salt="s"):
    arms = (entities.Arm("stable", 1 - share, ONE), entities.Arm("canary", share, TWO))
    return entities.Plan(generation=1, arms=arms, salt=salt)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5, 0.99])
def test_keys_are_split_as_told(share):
    table = router.Router(canary(share))
    n = 40_000
    taken = sum(table.arm(f"customer-{i}") for i in range(n))
    expected = [n * (1 - share), n * share]
    assert stats.chisquare([n - taken, taken], expected).pvalue > 1e-4


def test_slots_are_uniform():
    counts = [0] * 100
    for i in range(50_000):
        counts[router.slot("salt", str(i)) // 100] += 1
    assert stats.chisquare(counts).pvalue > 1e-4


@given(
    st.text(max_size=30),
    st.text(max_size=8),
    st.lists(st.floats(0, 1), min_size=2, max_size=6).map(sorted),
)
def test_a_growing_canary_never_gives_a_key_back(key, salt, shares):
    arms = [router.Router(canary(share, salt)).arm(key) for share in shares]
    assert arms == sorted(arms)


def test_full_and_empty_canaries_take_all_and_nothing():
    keys = [str(i) for i in range(1000)]
    assert {router.Router(canary(1.0)).arm(key) for key in keys} == {1}
    assert {router.Router(canary(0.0)).arm(key) for key in keys} == {0}


def test_another_process_gives_the_same_answer():
    code = "from homeostat.lifecycle.serving import router; print(router.slot('a', 'é-1'))"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(there.stdout) == router.slot("a", "é-1")


def test_shadows_sample_independently_of_the_arms():
    table = router.Router(canary(0.3))
    samples = [router.Sample(0.2, version=version) for version in (3, 4)]
    seen = np.zeros((2, 2, 2))
    for i in range(20_000):
        drawn = table.draw(str(i))
        third, fourth = [sample.takes(drawn) for sample in samples]
        seen[table.arm(str(i)), int(third), int(fourth)] += 1
    expected = np.einsum("i,j,k->ijk", [0.7, 0.3], [0.8, 0.2], [0.8, 0.2]) * 20_000
    assert stats.chisquare(seen.ravel(), expected.ravel()).pvalue > 1e-4

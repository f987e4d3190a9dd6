"""A few runs of `benchmarks/alarms.py`: what is planted is seen and named, and calm stays calm.

The streams, changes and counts are those of the benchmark, which plays a thousand runs.
"""

from __future__ import annotations

import importlib.util
import pathlib
import sys

import numpy as np
import pytest
from scipy import stats

from homeostat.lifecycle.loop import harm

FOLDER = pathlib.Path(__file__).parents[4] / "benchmarks"
N_RUNS = 5


def _load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def suite():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "machine", _load("machine"))
        yield _load("alarms")


CHANGES = (
    "loss +5 points",
    "loss +30 points",
    "unit x100",
    "new category, 10 %",
    "nulls for 200 rows",
    "prior 3 % to 50 %",
    "other cases, harm",
    "other cases, no harm",
)


def test_every_planted_change_of_the_benchmark_is_asked_for_here(suite):
    assert tuple(suite.CHANGES) == CHANGES


@pytest.mark.parametrize("memory", [0.0, 0.8])
@pytest.mark.parametrize("name", CHANGES)
def test_a_planted_change_is_named_rightly_within_its_first_window(suite, name, memory):
    runs = [
        suite.changed(np.random.default_rng([7, run]), name=name, memory=memory, n_rows=250)
        for run in range(N_RUNS)
    ]
    seen, named = np.sum(runs, axis=0)
    fewest = stats.binom.ppf(0.05, N_RUNS, 0.95)  # 4 of 5
    assert named >= fewest
    if not name.startswith("loss"):  # those are seen by labels
        assert seen >= fewest


@pytest.mark.parametrize("memory", [0.8, 0.95, 0.99])
def test_a_calm_stream_of_every_kind_of_column_keeps_to_both_budgets(suite, memory):
    runs = [suite.calm(np.random.default_rng([8, run]), memory=memory) for run in range(6)]
    wide, yearly = np.sum(runs, axis=0)
    n_windows = len(runs) * suite.N_WINDOWS
    assert wide <= stats.binom.ppf(0.99, n_windows, suite.WIDE.level)
    assert yearly <= stats.binom.ppf(0.99, n_windows, suite.YEARLY.level)


def delays(suite, runs, *, rise, **told):
    """Rows from a rise until it is proved, of some runs."""
    cell = suite.Cell(harm.SURE_PROOF, **told)
    drawn = [np.random.default_rng([9, run]) for run in range(runs)]
    return np.array([suite.rise_blocks(rng, cell=cell, rise=rise)[0] for rng in drawn])


def test_harm_is_proved_of_thirty_points_at_once_and_of_five_in_a_thousand_rows(suite):
    """Where scores tell who is sure, however rows are tied by their cases."""
    for memory in (0.0, 0.8):
        told = {"memory": memory, "world": "told"}
        large = delays(suite, 6, rise=0.3, **told)
        assert np.mean(large <= 250) == 1
        small = delays(suite, 12, rise=0.05, **told)
        assert np.sum(small <= 1000) >= stats.binom.ppf(0.01, 12, 0.95)


def test_without_scores_five_points_are_mostly_proved_in_a_thousand_independent_rows(suite):
    for base, share in ((0.05, 0.95), (0.1, 0.8)):
        small = delays(suite, 20, rise=0.05, memory=0.0, base=base)
        assert np.sum(small <= 1000) >= stats.binom.ppf(0.01, 20, share)

"""What is asked once an hour keeps its level where rows depend on the rows before them."""

from __future__ import annotations

import math

import numpy as np
from scipy import signal, stats

from homeostat.lifecycle.monitoring import high, outcomes, realised
from homeostat.measures import calibration, noise


def test_a_prior_of_rows_that_come_together_is_found_no_more_often_than_stated():
    found = []
    for run in range(60):
        rng = np.random.default_rng([14, run])
        steps = rng.normal(size=2400) * 0.6
        rows = 1.8 * signal.lfilter([1.0], [1.0, -0.8], steps)[200:] - 0.8
        scores = 1 / (1 + np.exp(-rows))
        truth = (rng.random(2200) < scores).astype(np.float64)
        _, shift = outcomes.without_labels(
            scores[1400:], scores[:1400], truth[:1400], level=0.05
        )
        found.append(shift.verdict == "found")
    assert np.mean(found) < 0.15  # 0.45 as of independent rows


def test_rows_that_err_together_are_no_broken_calibration():
    found = []
    for run in range(60):
        rng = np.random.default_rng([15, run])
        scores = rng.random(2000)
        together = signal.lfilter([1.0], [1.0, -0.9], rng.normal(size=2200))[200:]
        truth = (stats.norm.cdf(together * math.sqrt(1 - 0.81)) < scores).astype(np.float64)
        series = calibration.in_time(scores, truth)
        found.append(calibration.check(scores, truth, series=series).p_value < 0.05)
    assert np.mean(found) < 0.12  # 0.8 as of independent rows
    turned = (rng.random(2000) < scores**3).astype(np.float64)
    series = calibration.in_time(scores, turned)
    assert calibration.check(scores, turned, series=series).is_broken


def test_a_regression_is_too_high_only_beyond_what_rows_that_err_together_explain():
    found = []
    for run in range(60):
        rng = np.random.default_rng([16, run])
        off = signal.lfilter([1.0], [1.0, -0.9], rng.normal(size=1200))[200:]
        told = realised.of_numbers(off, np.zeros(1000), level=0.05)[1]
        found.append(told.verdict == "found")
    assert np.mean(found) < 0.12  # 0.65 as of independent rows
    told = realised.of_numbers(off + 3.0, np.zeros(1000), level=0.001)[1]
    assert told.verdict == "found"
    assert realised.of_numbers(off[:500], np.zeros(500), level=0.05)[1].verdict == "unknown"


def test_high_scores_that_come_often_are_found_in_few_rows_and_those_of_calm_windows_are_not():
    found, calm = [], []
    for run in range(40):
        rng = np.random.default_rng([17, run])
        steps = rng.normal(size=3900) * 0.6
        rows = signal.lfilter([1.0], [1.0, -0.8], steps)[200:]
        is_positive = rng.random(3700) < np.where(np.arange(3700) < 3450, 0.03, 0.5)
        scores = 1 / (1 + np.exp(-2.2 * (rows + 2.2 * is_positive) + 5.9))
        known = high.freeze(scores[:3000], noise.Design(effect=4.0))
        calm.append(high.chance(scores[3100:3350], known)[1] <= 0.05)
        found.append(high.chance(scores[3450:], known)[1] <= 1e-4)
    assert np.mean(found) > 0.9
    assert np.mean(calm) < 0.15
    assert high.freeze(np.zeros(3000), noise.Design()) is None

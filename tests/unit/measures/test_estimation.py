"""Performance without labels: right where scores are probabilities, unknown where not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import isotonic, metrics

from homeostat.measures import calibration, direct, estimation


def _labelled(n, seed, sharpen=1.0):
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-rng.normal(0, 1.5, n)))
    return p**sharpen / (p**sharpen + (1 - p) ** sharpen), (rng.random(n) < p).astype(float)


rows = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60).map(
    lambda pairs: tuple(np.array(side, dtype=float) for side in zip(*pairs, strict=True))
)


@settings(deadline=None, max_examples=60)
@given(rows)
def test_isotonic_regression_agrees_with_scikit_learn(pairs):
    scores, labels = pairs
    expected = isotonic.IsotonicRegression(out_of_bounds="clip").fit(scores, labels)
    asked = np.linspace(-1, 21, 45)
    found = np.interp(asked, *calibration.isotonic(scores, labels))
    assert found == pytest.approx(expected.predict(asked), abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(rows)
def test_with_certain_probabilities_the_expected_auc_is_the_auc(pairs):
    scores, labels = pairs
    found = estimation.expected_auc(scores, labels)
    if labels.min() == labels.max():
        assert found is None
    else:
        assert found == pytest.approx(metrics.roc_auc_score(labels, scores))


def test_realised_metrics_lie_within_their_stated_error():
    fitted = calibration.fit(*_labelled(20_000, 0, sharpen=2.0))
    assert not fitted.is_identity
    gaps = []
    for seed in range(1, 16):
        scores, labels = _labelled(1500, seed, sharpen=2.0)
        found = estimation.estimate(scores, fitted).metrics
        answers = scores >= 0.5
        realised = {
            "auc": metrics.roc_auc_score(labels, scores),
            "accuracy": metrics.accuracy_score(labels, answers),
            "precision": metrics.precision_score(labels, answers),
            "recall": metrics.recall_score(labels, answers),
            "f1": metrics.f1_score(labels, answers),
            "brier": metrics.brier_score_loss(labels, scores),
            "log_loss": metrics.log_loss(labels, scores),
        }
        for name, value in realised.items():
            gaps.append((value - found[name].value) / found[name].standard_error)
    gaps = np.array(gaps)
    assert abs(gaps.mean()) < 0.4
    assert 0.75 < gaps.std() < 1.3


def test_a_covariate_shift_is_followed_without_a_label():
    rng = np.random.default_rng(3)
    p = rng.random(20_000)
    fitted = calibration.fit(p, rng.random(20_000) < p)
    unsure = np.clip(rng.normal(0.5, 0.1, 5000), 0, 1)
    found = estimation.estimate(unsure, fitted).metrics["accuracy"]
    realised = np.mean((rng.random(5000) < unsure) == (unsure >= 0.5))
    assert found.value == pytest.approx(realised, abs=4 * found.standard_error)


def test_the_verdict_is_unknown_where_probabilities_are_none():
    scores, labels = _labelled(4000, 0)
    fitted = calibration.fit(scores, labels)
    window = _labelled(500, 1)[0]
    assert estimation.estimate(window, fitted).verdict == "known"
    few = estimation.estimate(window[:20], fitted)
    assert (few.verdict, few.reason) == ("unknown", "not enough data: 20 rows, 30 needed")
    thin = calibration.fit(scores[:150], labels[:150])
    assert "labelled rows" in estimation.estimate(window, thin).reason
    turned = calibration.check(fitted.apply(scores), 1 - labels)
    assert "recent labels" in estimation.estimate(window, fitted, recent=turned).reason
    narrow = calibration.fit(scores[scores < 0.6], labels[scores < 0.6])
    assert "outside" in estimation.estimate(window, narrow).reason


def test_a_sound_calibration_is_called_broken_as_rarely_as_stated():
    rng = np.random.default_rng(4)
    p_values = []
    for _ in range(400):
        p = rng.beta(0.5, 2, 500)
        p_values.append(calibration.check(p, rng.random(500) < p).p_value)
    assert 0.02 < np.mean(np.array(p_values) <= 0.05) < 0.09


def _numbers(n, rng, *, is_hard=False):
    """Rows of two columns, the second with gaps; errors grow with the first."""
    x = np.column_stack([rng.uniform(0.5 if is_hard else 0, 1, n), rng.normal(size=n)])
    x[::9, 1] = np.nan
    return x, np.abs(rng.normal(0, 1 + 4 * x[:, 0]))


def test_the_error_of_a_regressor_follows_the_rows_it_meets():
    rng = np.random.default_rng(5)
    known, errors = _numbers(6000, rng)
    for is_hard in (False, True):
        waiting, truth = _numbers(2000, rng, is_hard=is_hard)
        found = direct.estimate(known, errors, waiting)
        assert found.verdict == "known"
        assert found.mae == pytest.approx(truth.mean(), abs=4 * found.standard_error)
        assert (found.mae > 1.15 * errors.mean()) == is_hard


def test_the_error_of_rows_unlike_any_labelled_or_of_another_world_is_unknown():
    rng = np.random.default_rng(6)
    known, errors = _numbers(800, rng)
    waiting, _ = _numbers(300, rng)
    assert "outside of all labelled" in direct.estimate(known, errors, 100 * waiting).reason
    assert "30 are needed" in direct.estimate(known, errors, waiting[:20]).reason
    changed = np.concatenate([errors[:600], 2 * errors[600:]])
    assert "the newest 200 labelled rows" in direct.estimate(known, changed, waiting).reason

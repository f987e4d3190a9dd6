"""Tails agree with scipy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from homeostat.measures import distributions


@given(st.floats(0, 500), st.floats(0.5, 200))
def test_chi_square_tail_agrees(x, df):
    assert distributions.chi_square_tail(x, df) == pytest.approx(
        stats.chi2.sf(x, df), rel=1e-9, abs=1e-13
    )


@given(st.floats(0, 1), st.floats(0.5, 300), st.floats(0.5, 300))
def test_beta_share_agrees(x, a, b):
    assert distributions.beta_share(x, a, b) == pytest.approx(
        stats.beta.cdf(x, a, b), rel=1e-8, abs=1e-12
    )


@given(st.floats(0.001, 0.999), st.floats(1, 500))
def test_student_quantile_agrees(share, df):
    assert distributions.student_quantile(share, df) == pytest.approx(
        stats.t.ppf(share, df), rel=1e-6, abs=1e-6
    )


@given(st.floats(0.05, 0.9), st.integers(30, 2000))
def test_kolmogorov_tail_is_near_the_exact_one(distance, n):
    exact = stats.kstwo.sf(distance, n)
    assert distributions.kolmogorov_tail(distance, n) == pytest.approx(exact, rel=0.3, abs=3e-3)


@pytest.mark.parametrize("z", [-3.0, 0.0, 1.64, 5.0])
def test_normal_tail_agrees(z):
    assert distributions.normal_tail(z) == pytest.approx(stats.norm.sf(z), rel=1e-12)


def test_ends_are_exact():
    assert distributions.chi_square_tail(0, 3) == 1
    assert distributions.chi_square_tail(float("inf"), 3) == 0
    assert distributions.beta_share(0.0, 2, 3) == 0
    assert distributions.beta_share(1.0, 2, 3) == 1
    assert distributions.kolmogorov_tail(0.0, 10) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: distributions.normal_quantile(0),
        lambda: distributions.chi_square_tail(1, 0),
        lambda: distributions.chi_square_tail(float("nan"), 1),
        lambda: distributions.kolmogorov_tail(0.1, 0),
        lambda: distributions.beta_share(2, 1, 1),
        lambda: distributions.beta_quantile(-1, 1, 1),
        lambda: distributions.student_quantile(0.5, 0),
    ],
)
def test_wrong_arguments_are_value_errors(call):
    with pytest.raises(ValueError, match=r"need|must"):
        call()

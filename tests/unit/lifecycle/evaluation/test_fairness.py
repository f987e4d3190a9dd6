"""Group rates against fairlearn and against the reference values of the real tables."""

from __future__ import annotations

from pathlib import Path

import fairlearn.metrics as oracle
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

from homeostat.lifecycle.evaluation import fairness, slices

DATA = Path(__file__).parents[4].parent / "shared" / "data"


def table(name):
    path = DATA / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"the real table {path} is not on this machine")
    return pl.read_parquet(path)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_differences_and_ratios_are_fairlearns(seed):
    rng = np.random.default_rng(seed)
    n = 600
    group = rng.choice(["a", "b", "c"], n)
    y = rng.random(n) < 0.4
    chosen = rng.random(n) < np.where(group == "a", 0.3, 0.5)
    found = fairness.evaluate(fairness.count(y, chosen, group, column="g"))
    options = {"y_true": y, "y_pred": chosen, "sensitive_features": group}
    assert found.demographic_parity_difference == pytest.approx(
        oracle.demographic_parity_difference(**options)
    )
    assert found.demographic_parity_ratio == pytest.approx(
        oracle.demographic_parity_ratio(**options)
    )
    assert found.equalized_odds_difference == pytest.approx(
        oracle.equalized_odds_difference(**options)
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 199))
def test_counts_of_parts_add_up_to_counts_of_the_whole(seed, cut):
    rng = np.random.default_rng(seed)
    y, chosen = rng.random(200) < 0.4, rng.random(200) < 0.5
    group = rng.choice(["a", "b", "c"], 200)

    def count(part):
        return fairness.count(y[part], chosen[part], group[part], column="g")

    assert fairness.add(count(slice(cut)), count(slice(cut, None))) == count(slice(None))


@pytest.mark.parametrize("kind", ["U1", "U2", "U3", ">U2", "U9"])
def test_groups_are_counted_alike_however_their_text_is_kept(kind):
    rng = np.random.default_rng(1)
    y, chosen = rng.random((2, 300)) < 0.4
    group = rng.choice(np.array(["", "a", "ñ", "bb", "a longer name"]).astype(kind), 300)
    found = fairness.count(y, chosen, group, column="g")
    assert found == fairness.count(y, chosen, group.tolist(), column="g")
    assert found == fairness.count(y, chosen, pl.Series(group.tolist()), column="g")
    assert {each.category: each.n_rows for each in found} == {
        name: int(np.sum(group == name)) for name in set(group.tolist())
    }


def test_boston_denial_rates_are_the_published_ones():
    frame = table("hmda_boston")
    denied = (frame["deny"].cast(pl.String) == "yes").to_numpy()
    groups = fairness.count(denied, denied, frame["afam"].to_list(), column="afam")
    found = fairness.evaluate(groups, favourable=False)
    rates = {rate.category: rate.selection_rate.value for rate in found.groups}
    assert rates["yes"] == pytest.approx(0.283, abs=5e-4)
    assert rates["no"] == pytest.approx(0.093, abs=5e-4)
    assert found.disparate_impact.value == pytest.approx((1 - 0.283) / (1 - 0.093), abs=2e-3)
    assert found.disparate_impact.high < 0.9
    assert found.worst_category == "yes"


def test_adult_by_sex_has_the_reference_values():
    frame = table("adult")
    y = (frame["class"].cast(pl.String) == ">50K").to_numpy()
    x = pd.get_dummies(frame.drop("class").to_pandas())
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=10, random_state=0)
    chosen = tree.fit(x, y).predict(x)
    groups = fairness.count(y, chosen, frame["sex"].cast(pl.String).to_list(), column="sex")
    found = fairness.evaluate(groups)
    options = {"y_true": y, "y_pred": chosen, "sensitive_features": frame["sex"].to_list()}
    assert found.demographic_parity_difference == pytest.approx(
        oracle.demographic_parity_difference(**options)
    )
    assert found.demographic_parity_difference == pytest.approx(0.150, abs=5e-4)
    assert found.demographic_parity_ratio == pytest.approx(0.298, abs=5e-4)


def test_impact_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    group = np.repeat(["a", "b"], 150)
    held = 0
    for _ in range(200):
        chosen = rng.random(300) < np.where(group == "a", 0.4, 0.7)
        impact = fairness.evaluate(
            fairness.count(chosen, chosen, group, column="g")
        ).disparate_impact
        held += impact.low <= 4 / 7 <= impact.high
    assert 0.92 <= held / 200 <= 0.99


def test_small_groups_are_left_out_and_counted():
    group = ["a"] * 50 + ["b"] * 50 + [None] * 3
    found = fairness.evaluate(fairness.count([1] * 103, [1] * 103, group, column="g"))
    assert found.n_too_small == 1
    assert [rate.category for rate in found.groups] == ["a", "b"]


def test_one_large_group_leaves_everything_undefined():
    found = fairness.evaluate(fairness.count([1] * 50, [1] * 50, ["a"] * 50, column="g"))
    assert found.disparate_impact.value is None
    assert found.demographic_parity_difference is None


def test_a_truly_worse_slice_is_found_first_and_refuted():
    rng = np.random.default_rng(2)
    n = 2000
    group = rng.choice(list("abcd"), n)
    y = rng.random(n) < 0.5
    p = np.clip(np.where(group == "c", 0.5, 0.3 + 0.4 * y) + rng.normal(0, 0.2, n), 0, 1)
    found = slices.evaluate(y, p, {"g": group}, metric="roc_auc", needed=0.7)
    assert found[0].category == "c"
    assert found[0].estimate.high < 0.7
    assert found[0].estimate.confidence == pytest.approx(1 - 0.05 / 4)
    assert found[1].estimate.confidence == pytest.approx(1 - 0.05 / 3)


def test_equal_slices_are_rarely_called_worse_however_many_there_are():
    rng = np.random.default_rng(3)
    accused = 0
    for _ in range(60):
        y = rng.random(1500) < 0.5
        p = np.where(rng.random(1500) < 0.8, y, ~y).astype(float)
        found = slices.evaluate(
            y, p, {"g": rng.integers(0, 20, 1500)}, metric="accuracy", needed=0.8
        )
        accused += any(part.estimate.high < 0.8 for part in found if part.is_judged)
    assert accused / 60 <= 0.1


def test_small_slices_are_listed_but_not_judged():
    y, p = [0, 1] * 40, [0.2, 0.8] * 40
    group = ["a"] * 70 + ["b"] * 10
    found = slices.evaluate(y, p, {"g": group}, metric="roc_auc")
    assert [(part.category, part.is_judged) for part in found] == [("a", True), ("b", False)]

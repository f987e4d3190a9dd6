"""What a person is told: factors against them, in the policy's words, and what would help."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.explanations import contributions, entities, explain, original, reasons
from homeostat.lifecycle.policy import Explain
from homeostat.lifecycle.registry import format as folder
from homeostat.measures import residual

N = 800
ALL = entities.Options(kinds=("contributions", "reasons", "counterfactual"))
SCHEMA = Schema(
    (
        Column(name="income", kind="number"),
        Column(name="late", kind="integer"),
        Column(name="insured", kind="boolean"),
        Column(name="purpose", kind="category", categories=("car", "holiday", "house")),
        Column(name="sex", kind="category", categories=("f", "m")),
    )
)
RULES = Explain(
    top=3,
    groups={"means": ("income", "insured")},
    texts={"means": "There is little to pay from", "late": "Payments were late"},
    actionable={"income": "up", "late": "down", "purpose": "any", "insured": "up"},
    maximum={"income": 9000.0},
    changes=2,
)


@pytest.fixture(scope="module")
def members():
    """Two versions of different kinds that answer together; a default is the positive class."""
    rng = np.random.default_rng(5)
    frame = pl.DataFrame(
        {
            "income": rng.uniform(500, 8000, N),
            "late": rng.integers(0, 8, N),
            "insured": rng.random(N) < 0.5,
            "purpose": rng.choice(["car", "holiday", "house"], N),
            "sex": rng.choice(["f", "m"], N),
        }
    )
    risk = frame["late"].to_numpy() - frame["income"].to_numpy() / 1000
    risk = risk - frame["insured"].to_numpy() + 2 * (frame["sex"] == "m").to_numpy()
    risk = risk + (frame["purpose"] == "holiday").to_numpy()
    target = (risk + rng.normal(0, 1, N) > 0).astype(int)
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    words = ["purpose", "sex"]
    models = (
        make_pipeline(
            make_column_transformer((ordinal, words), remainder="passthrough"),
            HistGradientBoostingClassifier(max_iter=30, random_state=0),
        ),
        make_pipeline(
            make_column_transformer((OneHotEncoder(), words), remainder=StandardScaler()),
            LogisticRegression(),
        ),
    )
    made = []
    for number, model in enumerate(models, 1):
        files = folder.pack(
            model.fit(frame.to_pandas(), target), schema=SCHEMA, example=frame, target="y"
        )
        opened = contributions.Explainer(original.open_version(files))
        made.append(explain.Member(number, 1.0, opened))
    return made


def _columns(**changes):
    row = {"income": 1500.0, "late": 5, "insured": False, "purpose": "car", "sex": "m"}
    return {name: [value] for name, value in {**row, **changes}.items()}


def _explained(members, columns, *, rules=RULES, options=ALL, protected=("sex",)):
    told = explain.Rules(rules, protected, favourable=False)
    (found,) = explain.explain(members, columns, rules=told, options=options)
    return found


def _scored(members, columns):
    weights = [one.weight for one in members]
    scores = [one.explainer.of.scores(columns)[0] for one in members]
    return float(np.average(scores, weights=weights))


def _after(columns, found):
    changed = {change.column: [change.after] for change in found.changes}
    return {**columns, **changed}


def test_one_member_is_explained_in_log_odds(members):
    found = _explained(members[:1], _columns())
    assert found.space == "log-odds"
    assert found.base + sum(found.contributions.values()) == pytest.approx(found.margin)
    assert 1 / (1 + np.exp(-found.margin)) == pytest.approx(found.score, abs=1e-9)
    assert found.is_exact


def test_members_together_add_up_to_the_probability_that_is_answered(members):
    weighted = [members[0], members[1]._replace(weight=3.0)]
    for columns in (_columns(), _columns(income=7000.0, late=0)):
        found = _explained(weighted, columns)
        score = _scored(weighted, columns)
        assert found.space == "probability"
        assert found.base + sum(found.contributions.values()) == pytest.approx(score, abs=1e-9)
        assert found.score == pytest.approx(score, abs=1e-12)
        assert found.gap < 1e-9
        assert [one.weight for one in found.members] == [0.25, 0.75]


def test_a_member_alone_and_with_itself_weighs_columns_alike(members):
    alone = _explained(members[:1], _columns()).contributions
    twice = _explained([members[0], members[0]], _columns()).contributions
    ratios = {twice[name] / alone[name] for name in alone if alone[name]}
    assert max(ratios) == pytest.approx(min(ratios))
    assert min(ratios) > 0


def test_reasons_are_grouped_worded_and_never_of_a_protected_column(members):
    found = _explained(members, _columns())
    assert found.contributions["sex"] > 0.05
    assert found.protected == ("sex",)
    assert {one.code for one in found.reasons} <= {"means", "late", "purpose"}
    assert all("sex" not in one.features for one in found.reasons)
    means = next(one for one in found.reasons if one.code == "means")
    assert means.text == "There is little to pay from"
    both = found.contributions["income"] + found.contributions["insured"]
    assert means.contribution == pytest.approx(both)
    harms = [one.contribution for one in found.reasons]
    assert harms == sorted(harms, reverse=True)
    assert min(harms) > 0


def test_reasons_of_a_favourable_class_are_what_lowered_its_score():
    moved = {"b": -1.0, "a": -1.0, "c": 2.0, "sex": -9.0}
    found = reasons.reasons(moved, Explain(), protected=("sex",), favourable=True)
    assert [one.code for one in found] == ["a", "b"]
    found = reasons.reasons(moved, Explain(), protected=("sex",), favourable=False, top=1)
    assert [(one.code, one.text) for one in found] == [("c", "c")]


_AMOUNTS = st.floats(-50, 50).map(lambda value: round(value, 3))


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), _AMOUNTS, min_size=1),
    st.lists(st.sampled_from("abcdefghxy"), unique=True),
    st.integers(0, 6),
    st.sets(st.sampled_from("abcdefgh"), max_size=2),
)
def test_grouping_loses_nothing_and_counts_nothing_twice(moved, columns, cut, protected):
    groups = {"first": columns[:cut], "a": columns[cut:]}
    found = reasons.factors(moved, groups, protected=protected)
    named = [name for one in found for name in one.features]
    assert sorted(named) == sorted(set(moved) - protected)
    total = sum(value for name, value in moved.items() if name not in protected)
    assert sum(one.contribution for one in found) == pytest.approx(total, abs=1e-9)
    assert len(found) <= len(named)


@pytest.mark.parametrize("n", [1, 2], ids=["alone", "together"])
def test_counterfactuals_turn_the_answer_within_directions_and_bounds(members, n):
    asked = members[:n]
    columns = _columns()
    assert _scored(asked, columns) >= 0.5
    found = _explained(asked, columns)
    assert 1 <= len(found.counterfactuals) <= 3
    assert found.note == ""
    for one in found.counterfactuals:
        assert 1 <= len(one.changes) <= 2
        assert one.score == pytest.approx(_scored(asked, _after(columns, one)))
        assert one.score < 0.5
        for change in one.changes:
            assert change.before == columns[change.column][0]
            if change.column == "income":
                assert 1500.0 < change.after <= 9000.0
            elif change.column == "late":
                assert isinstance(change.after, int)
                assert 0 <= change.after < 5
            else:
                assert change.column in {"purpose", "insured"}
    sizes = [(len(one.changes), one.distance) for one in found.counterfactuals]
    assert sizes == sorted(sizes)
    sets = [{change.column for change in one.changes} for one in found.counterfactuals]
    assert not any(a < b for a in sets for b in sets)


def test_a_change_is_no_larger_than_it_must_be(members):
    rules = Explain(actionable={"income": "up"}, changes=1)
    columns = _columns(late=3)
    (found,) = _explained(members[1:], columns, rules=rules).counterfactuals
    (change,) = found.changes
    nearer = 1500.0 + (change.after - 1500.0) * 0.8
    assert _scored(members[1:], _columns(late=3, income=nearer)) >= 0.5


def test_where_nothing_helps_it_is_said(members):
    bound = Explain(actionable={"income": "up"}, maximum={"income": 1600.0})
    found = _explained(members, _columns(late=7), rules=bound)
    assert found.counterfactuals == ()
    assert "income within bounds" in found.note
    found = _explained(members, _columns(late=7), rules=Explain())
    assert "nothing in this row may change" in found.note
    found = _explained(members, _columns(late=0, income=7900.0))
    assert found.counterfactuals == ()
    assert "favourable one already" in found.note


def test_a_protected_column_is_never_changed(members):
    free = Explain(actionable={"sex": "any", "income": "up"}, maximum={"income": 1500.0})
    found = _explained(members, _columns(late=4), rules=free)
    assert found.counterfactuals == ()


def test_only_what_is_asked_for_is_told(members):
    few = entities.Options(kinds=("contributions",))
    found = _explained(members, _columns(), options=few)
    assert found.reasons == ()
    assert found.counterfactuals == ()
    one = entities.Options(kinds=("reasons",), top=1)
    assert len(_explained(members, _columns(), options=one).reasons) == 1


def test_the_threshold_decides_what_must_change(members):
    columns = _columns(late=2, income=3500.0)
    score = _scored(members, columns)
    strict = entities.Options(kinds=("counterfactual",), threshold=score / 2)
    found = _explained(members, columns, options=strict).counterfactuals
    assert found
    assert all(one.score < score / 2 for one in found)


@pytest.mark.parametrize("n", [1, 2], ids=["alone", "together"])
def test_a_corrector_is_one_more_part_of_a_sum_that_stays_whole(members, n):
    columns = _columns()
    before = _explained(members[:n], columns)
    line = residual.Line(
        centre=(0.0, 0.0), spread=(1.0, 1.0), slope=(-0.25, 0.0), intercept=0.0
    )
    corrector = residual.Applied(
        residual.Corrector(n_columns=2, line=line, trees=(), columns=(residual.Column("late"),))
    )
    (found,) = explain.explain(
        members[:n],
        columns,
        rules=explain.Rules(RULES, ("sex",), favourable=False),
        options=ALL,
        corrector=corrector,
    )
    scored = np.array([before.score])
    assert found.score == corrector.corrected(columns, scored)[0] < before.score
    assert found.base + sum(found.contributions.values()) == pytest.approx(found.margin)
    assert found.contributions.pop("corrector") < 0
    assert found.contributions == pytest.approx(before.contributions)
    assert found.reasons == before.reasons
    for one in found.counterfactuals:
        after = _after(columns, one)
        asked = np.array([_scored(members[:n], after)])
        assert one.score == pytest.approx(corrector.corrected(after, asked)[0])

"""Corrections applied to batches: their order, their clock, what they say of themselves."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.lifecycle.corrections import compiled, exploring, maps
from homeostat.lifecycle.corrections.entities import (
    Abstain,
    Clause,
    Correction,
    Explore,
    Fallback,
    GroupThreshold,
    Recalibration,
    Ruling,
    Threshold,
)

NOW = 1000
NAMES = "abcdefgh"


def correction(body, *, name="a", starts_at=0, expires_at=2000):
    return Correction(
        id=name,
        version=1,
        deployment="credit",
        body=body,
        status="approved",
        reason="because",
        made_by="ada",
        made_at=0,
        starts_at=starts_at,
        expires_at=expires_at,
    )


def ready(*bodies, classes=("0", "1"), positive="1", version="", mends=True):
    made = [correction(body, name=name) for name, body in zip(NAMES, bodies, strict=False)]
    return compiled.compile(
        made, classes=classes, positive=positive, now_ms=NOW, version=version, mends=mends
    )


def applied(*bodies, scores, columns=None, **told):
    return ready(*bodies, **told).apply(scores, columns or {}, NOW)


def test_no_corrections_cost_nothing():
    assert compiled.compile([], classes=("0", "1"), positive="1", now_ms=NOW) is None


def test_a_threshold_decides_and_is_told_only_where_it_changes_the_answer():
    found = applied(Threshold(at=0.3), scores=[0.2, 0.3, 0.4, 0.5, 0.9])
    assert found.answers == ["0", "1", "1", "1", "1"]
    assert found.fired == ["", "a@1", "a@1", "", ""]
    assert found.scores == [0.2, 0.3, 0.4, 0.5, 0.9]
    assert found.tally() == {"a@1": 2}


def test_a_group_has_its_threshold_and_the_rest_the_global_one():
    found = applied(
        Threshold(at=0.6),
        GroupThreshold(column="sex", at={"f": 0.4}),
        scores=[0.45, 0.55, 0.55, 0.7],
        columns={"sex": ["f", "f", "m", None]},
    )
    assert found.answers == ["1", "1", "0", "1"]
    assert found.fired == ["b@1", "b@1", "a@1", ""]


def test_a_group_may_be_a_number_and_be_written_as_text():
    found = applied(
        GroupThreshold(column="branch", at={"7": 0.1}),
        scores=[0.2, 0.2],
        columns={"branch": [7.0, 8.0]},
    )
    assert found.answers == ["1", "0"]


def test_recalibration_comes_before_the_threshold():
    halve = Recalibration(method="isotonic", knots=((0.0, 0.0), (1.0, 0.5)))
    found = applied(halve, Threshold(at=0.4), scores=[0.7, 0.9])
    assert found.scores == [0.35, 0.45]
    assert found.answers == ["0", "1"]
    assert found.fired == ["a@1", "a@1,b@1"]


def test_a_recalibration_is_left_out_for_another_composite():
    platt = Recalibration(method="platt", intercept=1.0, versions="3+4")
    assert ready(platt, version="3") is None
    assert ready(platt, version="3+4") is not None


def test_blocking_rules_come_first_and_the_first_that_holds_decides():
    young = (Clause("age", "lt", 18),)
    found = applied(
        Ruling(when=young, score=0.9),
        Ruling(when=young, answer="0"),
        Ruling(when=(Clause("region", "in", ("east", "north")),), score=0.8),
        scores=[0.7, 0.1, 0.1],
        columns={"age": [17.0, 40.0, 40.0], "region": ["east", "north", "south"]},
    )
    assert found.answers == ["0", "1", "0"]
    assert found.scores == [0.7, 0.8, 0.1]
    assert found.fired == ["b@1", "c@1", ""]


def test_a_person_decides_a_band_of_scores_but_not_what_a_rule_decided():
    found = applied(
        Abstain(low=0.4, high=0.6),
        Ruling(when=(Clause("age", "ge", 99),), answer="1"),
        scores=[0.4, 0.6, 0.5],
        columns={"age": [30.0, 30.0, 100.0]},
    )
    assert found.answers == ["abstain", "1", "1"]
    assert found.fired == ["a@1", "", "b@1"]


def test_a_constant_answers_where_the_model_fails_and_rules_hold_all_the_same():
    found = applied(
        Fallback(score=0.2),
        Ruling(when=(Clause("age", "lt", 18),), answer="1"),
        Recalibration(method="platt", intercept=9.0),
        scores=[math.nan, math.nan],
        columns={"age": [30.0, 17.0]},
    )
    assert found.scores == [0.2, 0.2]
    assert found.answers == ["0", "1"]
    assert found.fired == ["a@1", "a@1,b@1"]
    assert found.failed == []


def test_the_engine_is_told_which_rows_the_other_version_is_to_score():
    one = ready(Fallback(version=2, when=(Clause("age", "is_null"),)), Threshold(at=0.3))
    assert one.fallback_version == 2
    scores, columns = [0.1, math.nan, 0.9], {"age": [None, 30.0, 30.0]}
    asked = one.apply(scores, columns, NOW)
    assert asked.to_fallback == [0, 1]
    assert asked.answers == [None, None, "1"]
    done = one.apply(scores, columns, NOW, fallback={0: 0.4, 1: math.nan})
    assert done.scores[0] == 0.4
    assert done.answers == ["1", None, "1"]
    assert done.fired == ["a@1,b@1", "", ""]
    assert done.failed == [1]


def test_where_another_arm_answers_for_one_that_fails_the_fallback_does_not():
    one = ready(Fallback(score=0.2, when=(Clause("age", "lt", 18),)), mends=False)
    found = one.apply([math.nan, 0.9], {"age": [30.0, 17.0]}, NOW)
    assert found.failed == [0]
    assert found.answers == [None, "0"]


def test_without_a_fallback_failed_rows_stay_failed():
    for bodies in ([Threshold(at=0.3)], [Abstain(low=0.4, high=0.6)]):
        found = applied(*bodies, scores=[math.nan, 0.9])
        assert found.failed == [0]
        assert found.answers == [None, "1"]


def test_a_correction_begins_and_ends_by_the_clock_it_is_given():
    one = correction(Threshold(at=0.3), starts_at=1500, expires_at=1800)
    made = compiled.compile([one], classes=("0", "1"), positive="1", now_ms=NOW)
    seen = [made.apply([0.4], {}, at).answers[0] for at in (1000, 1499, 1500, 1799, 1800)]
    assert seen == ["0", "0", "1", "1", "0"]
    assert made.apply([0.4], {}, 1600).answers == ["1"]  # a clock that was set back


def test_what_has_ended_is_nothing_to_apply():
    over = correction(Threshold(at=0.3), expires_at=NOW)
    assert compiled.compile([over], classes=("0", "1"), positive="1", now_ms=NOW) is None


def test_of_several_other_classes_none_is_meant():
    found = applied(Threshold(at=0.3), scores=[0.1, 0.4], classes=("a", "b", "c"), positive="b")
    assert found.answers == [None, "b"]


def test_a_regression_keeps_its_score_but_for_rules_and_people():
    found = applied(
        Threshold(at=0.3),
        Ruling(when=(Clause("age", "lt", 18),), score=0.0),
        Abstain(low=1000.0),
        scores=[5.0, 5.0, 2000.0],
        columns={"age": [30.0, 17.0, 30.0]},
        classes=(),
        positive=None,
    )
    assert found.answers[:2] == [5.0, 0.0]
    assert math.isnan(found.answers[2])
    assert found.fired == ["", "b@1", "c@1"]


@pytest.mark.parametrize(
    ("op", "value", "holding"),
    [
        ("eq", 1, [1, 1.0, "1"]),
        ("ne", 1, [2.0, "x", None, math.nan, True]),
        ("in", ("x", 2), [2.0, "x"]),
        ("lt", 2, [1, 1.0, True]),
        ("ge", 2, [2.0]),
        ("is_null", None, [None, math.nan]),
    ],
)
def test_a_condition_holds_of_the_values_it_means(op, value, holding):
    seen = [1, 1.0, "1", 2.0, "x", None, math.nan, True]
    rule = Ruling(when=(Clause("c", op, value),), answer="1")
    found = applied(rule, scores=[0.0] * len(seen), columns={"c": seen})
    held = [one for one, fired in zip(seen, found.fired or [""] * 8, strict=True) if fired]
    assert [repr(one) for one in held] == [repr(one) for one in seen if _in(one, holding)]


def _in(one, holding):
    return any(repr(one) == repr(other) for other in holding)


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=30),
    st.floats(0.01, 20),
    st.floats(-20, 20),
)
def test_platt_never_turns_the_order_of_scores(scores, slope, intercept):
    turn = maps.mapped(Recalibration(method="platt", slope=slope, intercept=intercept))
    turned = [turn(one) for one in sorted(scores)]
    assert turned == sorted(turned)
    assert all(0 <= one <= 1 for one in turned)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20),
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
)
def test_isotonic_stays_between_its_knots_and_keeps_the_order(points, scores):
    xs = sorted({x for x, _ in points})
    ys = sorted(y for _, y in points)[: len(xs)]
    knots = tuple(zip(xs, ys, strict=True))
    turn = maps.mapped(Recalibration(method="isotonic", knots=knots))
    turned = [turn(one) for one in sorted(scores)]
    assert all(ys[0] - 1e-12 <= one <= ys[-1] + 1e-12 for one in turned)
    assert all(b - a >= -1e-12 for a, b in itertools.pairwise(turned))


def test_exploring_answers_a_share_of_keys_the_same_at_every_time_and_marks_them():
    body = Explore(share=0.5, answer="0", low=0.5, high=0.9)
    keys = [f"k{at}" for at in range(40)]
    columns = {exploring.KEY: keys, "age": [30] * 40}
    first = applied(body, scores=[0.7] * 40, columns=columns)
    again = ready(body).apply([0.7] * 40, columns, NOW + 5)
    assert first.answers == again.answers
    assert set(first.answers) == {"0", "1"}
    assert [bool(mark) for mark in first.fired] == [one == "0" for one in first.answers]
    beyond = applied(body, scores=[0.95, 0.2], columns={exploring.KEY: keys[:2]})
    assert beyond.answers == ["1", "0"]
    assert applied(body, scores=[0.7] * 40).answers == ["1"] * 40  # nobody said the keys


def test_what_a_rule_or_a_person_decides_is_not_explored():
    body = Explore(share=0.5, answer="0")
    rule = Ruling(when=(Clause("age", "lt", 18),), answer="1")
    keys = {exploring.KEY: [f"k{at}" for at in range(40)]}
    ruled = applied(body, rule, scores=[0.7] * 40, columns={**keys, "age": [17] * 40})
    assert ruled.answers == ["1"] * 40
    left = applied(body, Abstain(low=0.6), scores=[0.7] * 40, columns=keys)
    assert set(left.answers) == {"abstain"}

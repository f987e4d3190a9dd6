"""Rules send a segment to an arm; one that nobody could follow is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.foundation import errors
from homeostat.lifecycle.serving import entities, plan, router, rules

ARMS = (
    entities.Arm("stable", 0.8, (entities.Member(1, 1.0),)),
    entities.Arm("canary", 0.2, (entities.Member(2, 1.0),)),
    entities.Arm("north", 0.0, (entities.Member(3, 0.5), entities.Member(4, 0.5))),
)
PLACE = rules.Place(("income", "region", "owns"), ("sex",), "customer")
KINDS = {"income": "number", "region": "category", "owns": "boolean", "at": "timestamp"}


def made(*texts, arms=ARMS, **more):
    told = tuple(rules.parse(text) for text in texts)
    return entities.Plan(generation=1, arms=arms, salt="s", rules=told, **more)


def chosen(plan_, *, income=None, region=None, owns=None, sex=None, key="k"):
    table = router.Router(plan_, place=PLACE)
    return table.choose([key], [[income], [region], [owns]], [[sex]])[0]


@pytest.mark.parametrize(
    ("text", "row", "fits"),
    [
        ("region = north -> north", {"region": "north"}, True),
        ("region = north -> north", {"region": "south"}, False),
        ("region = north -> north", {}, False),
        ("region in south|north -> north", {"region": "north"}, True),
        ("income >= 10 -> north", {"income": 10.0}, True),
        ("income >= 10 -> north", {"income": 9.9}, False),
        ("income >= 10 -> north", {}, False),
        ("income < 10 -> north", {"income": 9.9}, True),
        ("income = 3 -> north", {"income": 3.0}, True),
        ("owns = true -> north", {"owns": True}, True),
        ("sex = 1 -> north", {"sex": True}, False),
        ("sex >= 2 -> north", {"sex": "f"}, False),
        ("customer in ada|bo -> north", {"key": "bo"}, True),
        ("region = north and income >= 10 -> north", {"region": "north", "income": 9}, False),
        ("region = north and income >= 10 -> north", {"region": "north", "income": 11}, True),
        ("unknown = 3 -> north", {}, False),
    ],
)
def test_a_rule_fits_when_all_its_conditions_hold(text, row, fits):
    nobody = made(text, arms=(ARMS[0], *ARMS[1:]))
    assert (chosen(nobody, **row) == 2) is fits


def test_the_first_rule_that_fits_wins_and_the_rest_is_dealt_by_key():
    table = router.Router(made("region = north -> north", "income >= 1 -> canary"), place=PLACE)
    keys = [f"c{n}" for n in range(200)]
    regions = ["north" if n % 4 == 0 else "south" for n in range(200)]
    incomes = [2.0 if n % 2 == 0 else 0.0 for n in range(200)]
    found = table.choose(keys, [incomes, regions, [None] * 200], [[None] * 200])
    for n, arm in enumerate(found):
        assert arm == (2 if n % 4 == 0 else 1 if n % 2 == 0 else table.arm(keys[n]))


def test_what_a_rule_decided_is_told_from_what_the_key_did():
    table = router.Router(made("region = north -> canary"), place=PLACE)
    keys, regions = ["a", "b", "c"], ["north", "south", "north"]
    chosen_, ruled = table.deal(keys, [[None] * 3, regions, [None] * 3], [[None] * 3])
    assert ruled == [True, False, True]
    assert chosen_ == table.choose(keys, [[None] * 3, regions, [None] * 3], [[None] * 3])


@given(st.lists(st.text(max_size=9), max_size=20))
def test_without_rules_the_key_decides(keys):
    table = router.Router(made(), place=PLACE)
    assert not table.is_ruled
    assert table.choose(keys, [], []) == [table.arm(key) for key in keys]


@pytest.mark.parametrize(
    "text", ["", "north", "region north -> a", "region = -> a", "a = b ->"]
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(errors.InvalidInputError, match="is no rule"):
        rules.parse(text)


def test_values_are_read_as_what_they_look_like():
    rule = rules.parse('a in 1|2.5|true|"3"|x y -> north')
    assert rule.conditions[0].values == (1, 2.5, True, "3", "x y")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (made("region = north -> east"), "none of its arms"),
        (made("region = n -> north", "region = n -> north"), "distinct names"),
        (
            entities.Plan(generation=1, arms=ARMS, rules=(entities.Rule("r", "north", ()),)),
            "has 0 conditions",
        ),
        (made("income >= nan -> north"), "no number"),
        (made(override=entities.Override(("abc",))), "SHA-256"),
    ],
)
def test_a_plan_with_rules_that_nobody_could_follow_is_refused(wrong, why):
    with pytest.raises(errors.InvalidInputError, match=why):
        plan.check(wrong)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("colour = red -> north", "in no request; known are income"),
        ("income = high -> north", "is a number; seen"),
        ("region >= 3 -> north", "is a category; seen"),
        ("region >= b -> north", "has no order"),
        ("owns = 1 -> north", "is a boolean"),
        ("at = 2026 -> north", "which rules do not compare"),
        ("customer = 7 -> north", "compared as text"),
    ],
)
def test_rules_are_checked_against_the_schema(text, why):
    with pytest.raises(errors.InvalidInputError, match=why):
        rules.check_columns(made(text).rules, kinds=KINDS, context=("sex",), key="customer")


def test_versions_that_only_rules_or_callers_reach_answer_too():
    assert plan.answering(made()) == (1, 2)
    assert plan.answering(made("region = north -> north")) == (1, 2, 3, 4)
    assert plan.answering(made(override=entities.Override())) == (1, 2, 3, 4)


def test_an_arm_is_named_by_its_versions_or_its_name_to_those_who_may():
    table = router.Router(made())
    assert [table.named(one) for one in ("1", "2", "3+4", "canary", "9")] == [0, 1, 2, 1, None]
    assert not table.may_override("anything")
    assert router.Router(made(override=entities.Override())).may_override(None)
    digest = router.token_digest("secret")
    guarded = router.Router(made(override=entities.Override((digest,))))
    assert guarded.may_override("secret")
    assert not guarded.may_override("guess")
    assert not guarded.may_override(None)


def test_the_next_plan_keeps_segments_and_drops_rules_to_arms_that_end():
    before = made("region = north -> north", "income >= 1 -> canary")
    after = plan.following(before, [entities.Arm("stable", 1.0, (entities.Member(2, 1.0),))])
    assert [arm.name for arm in after.arms] == ["stable", "north"]
    assert [rule.arm for rule in after.rules] == ["north"]
    assert (after.generation, after.salt) == (2, "s")
    assert plan.check(after) is after


def test_a_switch_is_one_plan_and_a_share_of_it_a_canary():
    before = plan.single(1, salt="s")
    after = plan.switched(before, 4)
    assert [(one.name, one.share, plan.label(one)) for one in after.arms] == [
        ("stable", 1.0, "4")
    ]
    canary = plan.check(plan.switched(before, 4, share=0.1))
    assert [(one.name, plan.label(one)) for one in canary.arms] == [
        ("stable", "1"),
        ("canary", "4"),
    ]
    with pytest.raises(errors.InvalidInputError, match="share above 0"):
        plan.switched(before, 4, share=0)


def test_a_rule_names_an_arm_a_label_or_a_version_that_gets_an_arm():
    before = entities.Plan(generation=1, arms=ARMS[:2], salt="s")
    after = plan.check(
        plan.ruled(before, ["region = n -> 2", "region = s -> 7", "owns = true -> v7"])
    )
    assert [rule.arm for rule in after.rules] == ["canary", "v7", "v7"]
    assert [(one.name, one.share) for one in after.arms] == [
        ("stable", 0.8),
        ("canary", 0.2),
        ("v7", 0.0),
    ]
    assert [one.name for one in plan.ruled(after, []).arms] == ["stable", "canary"]

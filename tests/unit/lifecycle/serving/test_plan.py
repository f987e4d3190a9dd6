"""A plan that cannot be served is refused with the reason."""

from __future__ import annotations

import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.serving import entities, plan


def arm(name, share, **weights):
    members = tuple(entities.Member(int(v[1:]), w) for v, w in weights.items())
    return entities.Arm(name, share, members)


def of(*arms, generation=1, shadow=()):
    return entities.Plan(generation=generation, arms=arms, shadow=shadow)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (of(), "the first be 'stable'"),
        (of(arm("canary", 1.0, v1=1.0)), "the first be 'stable'"),
        (of(arm("stable", 0.5, v1=1.0)), "shares of its arms must add up to 1"),
        (of(arm("stable", float("nan"), v1=1.0)), "lies in 0 to 1"),
        (of(arm("stable", 1.0)), "0 members"),
        (of(arm("stable", 1.0, v1=0.25, v2=0.25, v3=0.25, v4=0.25)), "4 members"),
        (of(arm("stable", 1.0, v1=0.5, v2=0.6)), "weights of arm 'stable' must add up"),
        (of(arm("stable", 1.0, v1=1.5, v2=-0.5)), "must be above 0"),
        (of(arm("stable", 1.0, v1=1.0), generation=0), "generation must be 1 or more"),
        (of(arm("stable", 1.0, v1=1.0), shadow=(entities.Shadow(2, 0.0),)), "shadows"),
        (
            of(entities.Arm("stable", 1.0, (entities.Member(1, 0.5), entities.Member(1, 0.5)))),
            "names a version twice",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_plan_that_cannot_be_served_is_refused(wrong, why):
    with pytest.raises(errors.InvalidInputError, match=why):
        plan.check(wrong)


def test_the_champion_is_the_member_that_decides_most():
    stable, canary = arm("stable", 0.4, v3=0.9, v4=0.1), arm("canary", 0.6, v4=1.0)
    assert plan.champion(of(stable, canary)) == 4
    assert plan.champion(of(arm("stable", 1.0, v5=0.5, v2=0.5))) == 2


def test_all_versions_are_loaded_but_only_arms_answer():
    made = of(
        arm("stable", 1.0, v3=1.0),
        arm("canary", 0.0, v4=1.0),
        shadow=(entities.Shadow(5, 0.1),),
    )
    assert plan.versions(made) == (3, 4, 5)
    assert plan.answering(made) == (3,)

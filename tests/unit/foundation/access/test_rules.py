from __future__ import annotations

import pytest

from homeostat.foundation import access, errors


@pytest.mark.parametrize("role", list(access.Role))
@pytest.mark.parametrize("action", sorted(access.ACTIONS))
def test_a_role_may_do_what_the_ones_before_it_may(role, action):
    order = list(access.Role)
    needed = access.least_role(action)
    assert access.may(access.Actor("eve", role), action) == (
        order.index(role) >= order.index(needed)
    )


def test_who_may_not_is_told_what_is_needed():
    with pytest.raises(errors.NotAllowedError) as raised:
        access.require(access.Actor("eve", access.Role.VIEWER), "model.approve")
    assert str(raised.value).startswith("eve is 'viewer' here; model.approve needs 'reviewer'")
    assert raised.value.facts["needed"] == "reviewer"


def test_an_action_without_a_rule_is_a_fault_of_the_program():
    with pytest.raises(LookupError, match=r"no rule names the action 'model.eat'"):
        access.require(access.local_owner("ada"), "model.eat")


def test_owner_and_system_may_do_everything():
    for action in access.ACTIONS:
        access.require(access.local_owner("ada"), action)
        access.require(access.system("loop"), action)
    assert access.system("loop") == access.Actor(
        "system:loop", access.Role.OWNER, access.Kind.SYSTEM
    )

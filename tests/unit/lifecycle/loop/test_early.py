"""A world that had changed before the first block is no normal one: the exam says what is."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import decide, early, entities

POLICY = policies.Policy(
    model=policies.Model(name="credit", target="y"),
    retraining=policies.Retraining(on=("harm",)),
)
PROMISED = 0.13


def lived(errors, *, promised=PROMISED):
    """Live blocks of these errors; return the first alarm's block and where it began."""
    state = decide.begin("1", rows=(0, 0), origin_row=0)
    for number, error in enumerate(errors):
        event = entities.BlockLabelled(
            first_row=200 * number,
            end_row=200 * number + 200,
            n_rows=200,
            error=float(error),
            mixture=0.1,
            members={"1": 0.1},
            promised=promised if early.is_wanted(state) else msgspec.UNSET,
        )
        is_foreseen = decide.raises_harm(state, event)
        foreseen = decide.foreseen_harm(state, event)
        # What blame measures the excess against: never all answers wrong.
        assert foreseen is None or foreseen.accepted < event.error
        state, told = decide.decide(state, event, POLICY)
        assert is_foreseen == (told[0].kind == "retrain")
        if is_foreseen:
            (opened,) = [a for a in told[0].acts if isinstance(a, entities.OpenAlert)]
            return number, state.change_row, opened.is_proved
    return None


@pytest.mark.parametrize("start", [0, 3])
def test_a_change_within_the_first_blocks_is_harm_and_people_are_told(start):
    errors = [0.1] * start + [0.25] * 20
    assert lived(errors, promised=msgspec.UNSET) is None, "it is taken for what is normal"
    block, row, is_proved = lived(errors)
    assert block <= start + 1
    assert row == 200 * start
    assert is_proved


def test_a_change_after_the_first_blocks_is_dated_by_the_harm_alarm_as_ever():
    assert lived([0.1] * 12 + [0.3])[:2] == (12, 2400)


def test_a_model_that_is_as_good_as_its_exam_is_seldom_called_harmful():
    rng = np.random.default_rng(0)
    found = [lived(rng.binomial(200, PROMISED, early.BLOCKS) / 200) for _ in range(100)]
    assert sum(one is not None for one in found) <= 100 * early.BLOCKS / np.exp(7)

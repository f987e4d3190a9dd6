"""Where one model answers alone, it is changed by proof or in an emergency, and not by luck."""

from __future__ import annotations

import numpy as np
from msgspec import structs

from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import decide, entities


def make_policy(*, members):
    return policies.Policy(
        model=policies.Model(name="credit", target="defaulted"),
        retraining=policies.Retraining(on=("harm",), members=members),
        rollout=policies.Rollout(strategy="blue-green"),
    )


def block(number, *, members, error=0.1, mixture=0.1):
    return entities.BlockLabelled(
        first_row=number * 200,
        end_row=(number + 1) * 200,
        n_rows=200,
        error=error,
        mixture=mixture,
        members=members,
    )


ALONE = make_policy(members=1)


def lived(gaps, *, error=0.1, policy=ALONE):
    """Model 2 enters after the first block; each gap is how much better it is in a block."""
    state = decide.begin("1", rows=(0, 0), origin_row=0)
    newcomer = entities.Member(version="2", rows=(0, 0), born_block=0, standing="admitted")
    state = structs.replace(state, members=(*state.members, newcomer))
    answering = []
    for number, gap in enumerate(gaps):
        members = {"1": 0.10, "2": 0.10 - gap}
        state, _ = decide.decide(
            state, block(number, error=error, members=members, mixture=0.10), policy
        )
        answering.append(next(iter(state.stable)))
    return state, answering


def test_an_equal_one_never_takes_over():
    rng = np.random.default_rng(0)
    n_changed = sum(lived(rng.normal(0, 0.01, 60))[1][-1] == "2" for _ in range(60))
    assert n_changed <= 3


def test_an_equal_one_hardly_ever_takes_over_where_blocks_depend_on_each_other():
    rng = np.random.default_rng(3)
    n_changed = 0
    for _ in range(60):
        gaps = [rng.normal(0, 0.01)]
        for step in rng.normal(0, 0.008, 99):
            gaps.append(0.6 * gaps[-1] + step)
        n_changed += lived(gaps)[1][-1] == "2"
    assert n_changed <= 3


def test_a_better_one_takes_over_once_that_is_proved():
    rng = np.random.default_rng(1)
    _, answering = lived(0.02 + rng.normal(0, 0.01, 40))
    assert answering[2] == "1"
    assert answering[-1] == "2"
    assert "1" not in answering[answering.index("2") :]


def test_harm_lets_the_best_record_answer_at_once():
    state, _ = lived([0.0] * 12)
    assert state.stable == {"1": 1.0}
    worse = block(12, error=0.5, members={"1": 0.4, "2": 0.2}, mixture=0.4)
    state, told = decide.decide(state, worse, ALONE)
    assert state.harm_alert
    assert state.stable == {"2": 1.0}
    assert {verdict.kind for verdict in told} >= {"retrain", "promote"}


def test_three_may_answer_without_proof():
    policy = make_policy(members=3)
    state, _ = lived([0.02] * 3, policy=policy)
    assert set(state.stable) == {"1", "2"}

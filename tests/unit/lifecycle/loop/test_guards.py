"""Guardrails: no group and no slice may be worse, with the error that is stated."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl

from homeostat.doors.predict import metrics
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import entities, guarding, guards, pacing, rollout
from homeostat.lifecycle.monitoring import service_counts
from homeostat.lifecycle.serving import meters

RULES = policies.Rollout(steps=(0.1, 1.0), minimum_labels=50)
POLICY = policies.Policy(
    model=policies.Model(name="credit", target="y", favourable=False),
    data=policies.Data(protected=("sex",)),
    rollout=RULES,
    slices={"young": "age < 30"},
)


def watch(news, *, policy=POLICY):
    state = rollout.begin(("2",), policy)
    for event in news:
        seen = rollout.observe(state, event, policy)
        state = seen.rollout
        if seen.course != "continue":
            return seen
    return seen


def block(**guarded):
    return entities.RolloutObserved(paired=(-0.05,) * 100, n_answered=100, guarded=guarded)


def test_one_harmed_group_expels_a_canary_that_is_better_on_the_whole():
    news = block(**{"loss sex=f": (0.3,) * 80, "loss sex=m": (-0.2,) * 90})
    seen = watch([news])
    assert seen.course == "rollback"
    assert "loss sex=f: worse by 0.300" in seen.sentence
    assert round(seen.evidence["guard.loss sex=f"], 9) == 0.3


def test_prove_waits_until_every_group_is_shown_to_be_no_worse():
    strict = msgspec.structs.replace(RULES, guards="prove")
    policy = msgspec.structs.replace(POLICY, rollout=strict)
    unsure = [block(**{"loss sex=f": (0.045, 0.055) * 30})] * 3
    assert watch(unsure).course == "advance"
    held = watch(unsure, policy=policy)
    assert (held.course, "loss sex=f" in held.sentence) == ("continue", True)
    assert watch([block(**{"loss sex=f": (0.0,) * 60})] * 3, policy=policy).course == "advance"


def test_a_canary_that_is_worse_nowhere_is_hardly_ever_expelled():
    rng, n_expelled = np.random.default_rng(5), 0
    for _ in range(60):
        edge = {
            name: tuple(np.clip(rng.normal(0.05, 0.3, 150), -1, 1).tolist())
            for name in ("loss a=1", "loss a=2", "loss a=3")
        }
        n_expelled += bool(guards.judge(guards.grow({}, edge, RULES), RULES).expels)
    assert n_expelled <= 5  # at most .05 of 60 are expected, were they no worse than allowed


def test_groups_slices_and_unfavourable_answers_are_seen_in_the_log():
    rows = pl.DataFrame(
        {
            "row": range(6),
            "x.age": [20, 40, 20, 40, 20, 40],
            "c.sex": ["f", "f", "f", "m", "m", "m"],
        }
    )
    losses = (np.full(6, 0.5), np.array([0.1, 0.1, 0.1, 0.5, 0.5, 0.5]))
    chances = (np.array([0.9, 0.9, 0.9, 0.2, 0.2, 0.2]), np.full(6, 0.2))
    found = guarding.values(rows, losses, chances, policy=POLICY)
    assert set(found) == {
        "loss sex=f",
        "loss sex=m",
        "loss slice=young",
        "answers sex=f",
        "answers sex=m",
    }
    assert np.allclose(found["loss sex=f"], 0.4)
    assert np.allclose(found["loss sex=m"], 0.0)
    assert found["answers sex=f"] == (0.5,) * 3  # called bad where the others are not
    assert found["answers sex=m"] == (-0.5,) * 3
    off = msgspec.structs.replace(POLICY, rollout=policies.Rollout(guards="off"))
    assert guarding.values(rows, losses, chances, policy=off) == {}


def test_a_canary_that_is_surely_too_slow_is_expelled_and_a_quick_one_is_not():
    slow = entities.RolloutObserved(guarded={guards.LATENCY: pacing.spread(30, of=60)})
    seen = watch([slow])
    assert seen.course == "rollback"
    assert "latency: 50% of 60 small batches took too long" in seen.sentence
    quick = entities.RolloutObserved(guarded={guards.LATENCY: pacing.spread(2, of=500)})
    assert watch([quick] * 5).course == "continue"


def test_a_canary_that_one_guard_suspects_is_held_until_it_is_proved_or_cleared():
    parity = {f"loss of {at}": (0.0,) for at in range(6)}  # guards share the error
    slow = entities.RolloutObserved(guarded={**parity, guards.LATENCY: (1.0,) * 8})
    held = watch([slow, block(), block()])
    assert (held.course, held.sentence) == (
        "continue",
        "held by guards that suspect it: latency",
    )
    quick = entities.RolloutObserved(guarded={guards.LATENCY: (0.0,) * 2000})
    assert watch([slow, quick, block(), block()]).course == "advance"
    assert watch([slow, slow]).course == "rollback"


def test_what_a_prediction_server_counted_of_a_canary_is_read_by_its_plan():
    counted = meters.Meters()
    counted.of_canary("credit", 6).observe(0.2)
    for seconds in (0.0004, 0.03, 0.2):
        counted.of_canary("credit", 7).observe(seconds)
    told = metrics.expose(counted.snapshot()).decode()
    found = service_counts.of_canary(told, "credit", generation=7)
    assert (found.total, found.slow(0.04), found.slow(0.1)) == (3, 1, 1)
    assert service_counts.of_canary(told, "credit", generation=6).total == 0

"""The corrector learns what the composite misses, and answers only while that pays."""

from __future__ import annotations

import sys

import msgspec
import numpy as np
import pytest

from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import correcting, corrector, decide, entities
from homeostat.measures import residual

POLICY = policies.Policy(
    model=policies.Model(name="credit", target="defaulted"),
    retraining=policies.Retraining(on=("harm",)),
    rollout=policies.Rollout(strategy="blue-green"),
)


def block(number, *, error=0.1):
    return entities.BlockLabelled(
        first_row=number * 200,
        end_row=(number + 1) * 200,
        n_rows=200,
        error=error,
        mixture=0.08,
        members={"1": 0.08},
    )


def live(state, events):
    told = []
    for event in events:
        state, verdicts = decide.decide(state, event, POLICY)
        told += verdicts
    return state, told


def moved(seed=0, n=1000):
    """A world that has turned: who said the first column decides, is half right now."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    labels = (x[:, 0] + x[:, 1] > 0).astype(np.int8)
    return x, np.where(x[:, 0] > 0, 0.9, 0.1), labels


def brier(chances, labels):
    return float(np.mean((chances - labels) ** 2))


def test_it_learns_what_was_missed():
    made = corrector.fit(*moved())
    x, before, labels = moved(seed=1)
    after = residual.corrected(made, x, before)
    assert brier(after, labels) < 0.5 * brier(before, labels)


def test_it_leaves_alone_what_was_right():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4))
    chances = rng.uniform(0.1, 0.9, 2000)
    labels = (rng.random(2000) < chances).astype(np.int8)
    made = corrector.fit(x[:1000], chances[:1000], labels[:1000])
    after = residual.corrected(made, x[1000:], chances[1000:])
    assert brier(after, labels[1000:]) < brier(chances[1000:], labels[1000:]) + 0.01


def test_missing_values_and_extreme_scores_are_taken():
    x, chances, labels = moved()
    x[::3, 1] = np.nan
    x[:, 3] = np.nan
    chances[:50], x[50, 0] = 1.0, 1e300
    made = corrector.fit(x, chances, labels)
    assert np.isfinite(residual.corrected(made, x, chances)).all()


def test_a_split_between_missing_and_known_has_a_threshold_that_json_can_write():
    x = np.where(np.arange(400) % 2, 1.0, np.nan)[:, None]
    labels = (np.arange(400) % 2).astype(np.int8)
    made = corrector.fit(x, np.full(400, 0.5), labels)
    again = msgspec.json.decode(msgspec.json.encode(made), type=residual.Corrector)
    assert again == made
    assert max(made.trees[0].threshold) == sys.float_info.max


def test_the_same_rows_give_the_same_corrector():
    assert corrector.fit(*moved()) == corrector.fit(*moved())


@pytest.mark.parametrize("gains", [True, False])
def test_bets_grow_only_where_something_is_gained(gains):
    x, before, labels = moved()
    after = residual.corrected(corrector.fit(x, before, labels), x, before)
    pair = (before, after) if gains else (after, before)
    assert (max(corrector.growth(*pair, labels)) > 0) == gains


def start():
    return decide.begin("1", rows=(0, 0), origin_row=0)


def with_growth(number, growth, **facts):
    return msgspec.structs.replace(block(number, **facts), growth=(growth,) * 4)


@pytest.mark.parametrize(("growth", "stays"), [(0.5, True), (-2.5, False)])
def test_after_harm_it_answers_where_it_has_gained_on_that_very_block(growth, stays):
    state, _ = live(start(), [with_growth(n, 0.5) for n in range(12)])
    assert correcting.is_in_force(state)
    state, told = live(state, [with_growth(12, growth, error=0.6)])
    assert next(verdict.kind for verdict in told) == "retrain"
    assert correcting.is_in_force(state) == stays


def test_to_begin_takes_more_evidence_than_to_go_on():
    state, answers = start(), []
    for number, gain in enumerate((1.5, 0.2, 1.0, -0.8, -0.3, 0.5)):
        state, _ = live(state, [with_growth(number, gain)])
        answers.append(correcting.is_in_force(state))
    assert answers == [False, False, True, True, False, False]


def test_a_record_of_an_earlier_release_goes_on_as_it_was():
    known = entities.Correction(evidence=1.5)
    assert correcting.is_in_force(msgspec.structs.replace(start(), correction=known))


def test_evidence_is_bounded_on_both_sides():
    state, _ = live(start(), [with_growth(n, 9.0) for n in range(5)])
    assert state.correction.evidence == correcting.LARGEST
    state, _ = live(state, [with_growth(n, -9.0) for n in range(5, 8)])
    assert state.correction.evidence == -correcting.LARGEST


def test_it_is_fitted_more_often_while_it_pays():
    def fits(growth):
        _, told = live(start(), [with_growth(n, growth) for n in range(24)])
        acts = [act for verdict in told for act in verdict.acts]
        return sum(isinstance(act, entities.FitCorrector) for act in acts)

    assert fits(0.5) > 2 * fits(-0.5) > 0


def test_without_one_a_state_says_nothing_of_it():
    state = decide.begin("1", rows=(0, 0), origin_row=0)
    state, _ = live(state, [block(n) for n in range(3)])
    told = msgspec.to_builtins(state)
    assert not {"correction", "duels"} & set(told)
    assert "bounded" not in told["harm"]
    assert POLICY.retraining.members == 3


def switches(told):
    acts = [act for verdict in told for act in verdict.acts]
    return [act.answers for act in acts if isinstance(act, entities.SwitchCorrector)]


def test_its_answers_begin_and_end_with_a_decision_that_says_so():
    state, told = live(start(), [with_growth(n, 0.5) for n in range(12)])
    assert switches(told) == [True]
    _, told = live(state, [with_growth(n, -9.0) for n in range(12, 14)])
    assert switches(told) == [False]


def test_where_none_may_answer_it_is_forgotten_at_once():
    state, _ = live(start(), [with_growth(n, 0.5) for n in range(12)])
    state, told = live(state, [block(12)])  # the policy wants none any more
    assert switches(told) == [False]
    assert state.correction is msgspec.UNSET
    state, told = live(state, [with_growth(13, 0.0)])
    assert state.correction.evidence == 0.0


def test_a_tier_that_asks_a_person_for_everything_has_no_corrector():
    assert correcting.is_wanted(POLICY)
    told = msgspec.structs.replace
    high = told(POLICY, model=told(POLICY.model, tier="high"))
    off = told(POLICY, retraining=told(POLICY.retraining, corrector=False))
    assert not correcting.is_wanted(high)
    assert not correcting.is_wanted(off)


@pytest.mark.parametrize(
    ("weights", "corrected", "switched"),
    [({"7": 1.0}, True, [False]), ({"7": 1.0}, False, []), ({"1": 1.0}, False, [])],
    ids=["another model", "another model without", "the same without"],
)
def test_a_plan_of_a_person_makes_it_prove_itself_again(weights, corrected, switched):
    state, _ = live(start(), [with_growth(n, 0.5) for n in range(12)])
    news = entities.PlanSet(weights=weights, by="ada", corrected=corrected)
    state, told = live(state, [news])
    assert switches(told) == switched
    assert not correcting.is_in_force(state)


def test_a_plan_of_a_person_that_changes_nobody_leaves_it_alone():
    state, _ = live(start(), [with_growth(n, 0.5) for n in range(12)])
    news = entities.PlanSet(weights={"1": 1.0}, by="ada", corrected=True)
    state, told = live(state, [news])
    assert switches(told) == []
    assert correcting.is_in_force(state)


@pytest.mark.parametrize("n", [400, 1000, 4000])
def test_who_was_sure_and_wrong_does_not_make_the_line_run_away(n):
    x, _, labels = moved(n=n)
    sure = np.where(x[:, 0] > 0, 0.001, 0.999)  # says the opposite, and is certain
    made = corrector.fit(x, sure, labels)
    assert max(map(abs, made.line.slope)) < 12
    fresh, _, truth = moved(seed=1)
    after = residual.corrected(made, fresh, np.where(fresh[:, 0] > 0, 0.001, 0.999))
    assert brier(after, truth) < 0.2


def test_of_two_worlds_the_newer_one_is_believed():
    x, chances, labels = moved(n=4000)
    early = np.arange(4000) < 2500
    made = corrector.fit(x, chances, np.where(early, x[:, 0] > 0, labels).astype(np.int8))
    fresh, before, truth = moved(seed=1)
    assert brier(residual.corrected(made, fresh, before), truth) < 0.6 * brier(before, truth)

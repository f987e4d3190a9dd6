"""What the loop decides, event by event."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.foundation import canonical
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import decide, entities, left, news, replay, weights

BLOCK = 200


def make_policy(**retraining):
    told = {"on": ("harm",), **retraining}
    return policies.Policy(
        model=policies.Model(name="credit", target="defaulted"),
        retraining=policies.Retraining(**told),
        rollout=policies.Rollout(strategy="blue-green"),
    )


POLICY = make_policy()
CANARY = msgspec.structs.replace(POLICY, rollout=policies.Rollout(steps=(0.05, 0.25, 1.0)))


def start():
    return decide.begin("1", rows=(0, 0), origin_row=0)


def block(number, *, error=0.1, members=None, mixture=0.08):
    return entities.BlockLabelled(
        first_row=number * BLOCK,
        end_row=(number + 1) * BLOCK,
        n_rows=BLOCK,
        error=error,
        mixture=mixture,
        members=members or {"1": mixture},
    )


def window(number, **facts):
    return entities.WindowJudged(
        first_row=number * BLOCK, end_row=(number + 1) * BLOCK, **facts
    )


CENTS = window(
    10,
    findings=(("unit", "income"),),
    causes=(entities.SeenCause(kind="feed", column="income", factor=100.0),),
    broken=((2050, 2200),),
)


def live(state, events, policy=POLICY):
    """Tell events one after the other; return the last state and all verdicts."""
    told = []
    for event in events:
        state, verdicts = decide.decide(state, event, policy)
        assert verdicts, "every event leads to a verdict"
        told += verdicts
    return state, told


def kinds(verdicts):
    return [verdict.kind for verdict in verdicts if verdict.kind != "none"]


def acts(verdicts, kind):
    return [act for verdict in verdicts for act in verdict.acts if isinstance(act, kind)]


def test_nothing_happens_while_nothing_changes():
    _, told = live(start(), [block(n) for n in range(60)])
    assert kinds(told) == []
    assert acts(told, entities.StartFit) == []


def test_harm_retrains_on_the_rows_since_the_change():
    events = [block(n) for n in range(20)] + [block(20, error=0.3)]
    state, told = live(start(), events)
    assert kinds(told) == ["retrain"]
    (fit,) = acts(told, entities.StartFit)
    assert fit.fit.rows == (20 * BLOCK, 21 * BLOCK)
    assert acts(told, entities.OpenAlert)[0].cause == "concept-change"
    assert told[-2].evidence["log_e"] > told[-2].evidence["threshold"]
    assert state.change_row == 20 * BLOCK


@pytest.mark.parametrize("refresh", [(), ("refresh",)])
def test_fits_follow_1_4_12_and_30_blocks_after_the_change_and_refreshes_give_way(refresh):
    state, policy, fits = start(), make_policy(on=("harm", *refresh)), []
    for number in range(66):
        error = 0.3 if number >= 20 else 0.1
        state, told = live(state, [block(number, error=error)], policy)
        for act in acts(told, entities.StartFit):
            fits.append((number, act.fit.reason))
            done = entities.FitFinished(fit=act.fit.id, version=act.fit.id)
            state, _ = live(state, [done], policy)
    burst = [(20, "harm"), (23, "burst"), (31, "burst"), (49, "burst")]
    assert fits == ([(14, "refresh"), *burst, (64, "refresh")] if refresh else burst)


def test_a_lost_lesson_is_asked_for_again_at_once_and_then_ever_more_rarely():
    state, _ = live(start(), [block(n) for n in range(20)])
    fits = []
    for number in range(20, 60):
        state, told = live(state, [block(number, error=0.3)])
        for act in acts(told, entities.StartFit):
            fits.append((number, act.fit.reason, act.fit.rows[0]))
            lost = entities.FitFailed(fit=act.fit.id, sentence="its code raised")
            state, told = live(state, [lost])
            again = told[-1].evidence["again_block"]
            assert f"it is asked for again at block {again}" in told[-1].sentence
    first = 20 * BLOCK
    assert fits == [(at, "harm", first) for at in (20, 21, 23, 27, 31, 35, 47, 49)]


def test_a_refresh_that_is_lost_waits_for_its_next_turn():
    policy = make_policy(on=("harm", "refresh"))
    state, told = live(start(), [block(n) for n in range(15)], policy)
    (fit,) = acts(told, entities.StartFit)
    lost = entities.FitFailed(fit=fit.fit.id, sentence="its code raised")
    state, told = live(state, [lost], policy)
    assert fit.fit.reason == "refresh"
    assert state.schedule == ()
    assert "again" not in told[-1].sentence


def test_raises_harm_says_what_decide_will_do():
    state, _ = live(start(), [block(n) for n in range(20)])
    assert decide.raises_harm(state, block(20, error=0.3))
    assert not decide.raises_harm(state, block(20, error=0.11))


def test_people_are_told_of_harm_once_it_is_proved():
    uneven = [block(n, error=0.05 if n % 2 else 0.15) for n in range(20)]
    state, _ = live(start(), uneven)
    state, told = live(state, [block(20, error=0.3), block(21, error=0.3)])
    (suspected,) = acts(told, entities.OpenAlert)
    assert (suspected.cause, suspected.is_proved) == ("concept-change", False)
    assert acts(told, entities.StartFit), "the loop does not wait for the proof"
    _, told = live(state, [block(22, error=0.3), block(23, error=0.3)])
    assert acts(told, entities.OpenAlert) == [entities.OpenAlert(alert="harm")]


@pytest.mark.parametrize("kind", sorted(left.ASKED))
def test_harm_that_no_fit_mends_is_left_to_a_person_until_that_person_has_seen_to_it(kind):
    state, _ = live(start(), [block(n) for n in range(20)])
    cause = entities.SeenCause(kind=kind, column="income")
    event = msgspec.structs.replace(block(20, error=0.3), cause=cause)
    calm = [block(n, error=0.3) for n in range(21, 34)]  # what is usual is usual again
    state, told = live(state, [event, *calm])
    assert kinds(told) == ["investigate"]
    assert left.ASKED[kind] in told[0].sentence
    assert not acts(told, entities.StartFit)
    asked = [a for a in acts(told, entities.OpenAlert) if a.alert == left.ALERT]
    assert [(one.cause, one.column, one.is_proved) for one in asked] == [(kind, "income", True)]
    assert left.ALERT not in {one.alert for one in acts(told, entities.ResolveAlert)}


HELD = make_policy(on=("harm", "refresh", "new-data", "schedule"), new_rows=1000)


def left_to_a_person(kind="skew"):
    state, _ = live(start(), [block(n) for n in range(20)])
    cause = entities.SeenCause(kind=kind, column="income")
    event = msgspec.structs.replace(block(20, error=0.3), cause=cause)
    return live(state, [event, *(block(n, error=0.3) for n in range(21, 40))], HELD)[0]


def test_while_harm_is_left_to_a_person_no_clock_and_no_new_data_learn_it_either():
    state = left_to_a_person()
    assert (state.n_fits, state.change_row) == (0, 4000)
    rings = entities.FitAsked(reason="schedule", end_row=8000, at=1)
    state, told = live(state, [rings], HELD)
    assert "waits: left to a person: compute the feature in one way" in told[0].sentence
    by_person = entities.FitAsked(reason="person", end_row=8000, at=2)
    state, told = live(state, [by_person], HELD)
    (begun,) = acts(told, entities.StartFit)
    assert begun.fit.rows == (4000, 8000), "who asks says that the rows are right"
    assert not state.left


def test_what_a_person_has_seen_to_is_never_learned_and_everything_else_is_again():
    state = left_to_a_person()
    settled = news.LeftSettled(by="ada", end_row=8100)
    state, told = live(state, [settled], HELD)
    assert kinds(told) == ["release"]
    (kept_out,) = acts(told, entities.KeepOut)
    assert kept_out.rows == ((4000, 8100),)
    state, told = live(state, [block(41)], HELD)
    (begun,) = acts(told, entities.StartFit)
    assert begun.fit.rows == (200, 8400), "4,000 labelled rows, on both sides of what was wrong"
    assert begun.fit.without == ((4000, 8100),)
    state, told = live(left_to_a_person("correction"), [settled], HELD)
    assert acts(told, entities.KeepOut) == [], "a correction changed answers and no row"


def test_a_member_that_may_not_answer_any_more_asks_and_one_that_is_gone_leaves():
    state, _ = candidate()
    passed = entities.GateJudged(version="2", passed=True, report="report:x")
    state, _ = live(state, [passed])
    barred = news.MembersBarred(barred={"1": "tier 'high' needs an approval"}, gone=("9",))
    state, told = live(state, [barred])
    assert kinds(told) == ["ask"]
    assert told[0].sentence.startswith("version 1 may not answer now: tier 'high' needs")
    assert [act.version for act in acts(told, entities.AskApproval)] == ["1"]
    state, _ = live(state, [block(2, members={"1": 0.01, "2": 0.06})])
    assert state.weights == {"2": 1.0}
    state, _ = live(state, [news.MembersBarred(gone=("1",))])
    assert [member.version for member in state.members] == ["2"]


def test_a_broken_feed_is_quarantined_and_never_learned():
    state, _ = live(start(), [block(n) for n in range(10)])
    state, told = live(state, [CENTS, *[block(n, error=0.4) for n in range(11, 15)]])
    assert kinds(told) == ["quarantine"]
    assert acts(told, entities.KeepOut)[0].rows == ((2050, 2200),)
    assert acts(told, entities.OpenAlert)[0].column == "income"
    assert acts(told, entities.StartFit) == []
    state, told = live(state, [window(15), *[block(n) for n in range(16, 30)]])
    assert kinds(told) == ["release"]
    state, told = live(state, [entities.FitAsked(reason="person", end_row=6000)])
    assert acts(told, entities.StartFit)[0].fit.without == ((2050, 2200),)


def test_a_second_broken_window_is_the_same_quarantine():
    more = msgspec.structs.replace(CENTS, first_row=2200, end_row=2400, broken=((2200, 2400),))
    state, told = live(start(), [CENTS, more])
    assert kinds(told) == ["quarantine"]
    assert state.quarantined == ((2050, 2400),)


def test_a_harmless_shift_is_reported_and_moves_nothing():
    state, _ = live(start(), [block(n) for n in range(12)])
    drift = {"findings": (("covariate-drift", "income"),)}
    before = state.weights
    events = [window(12, **drift), block(12), window(13, **drift), block(13), block(14)]
    state, told = live(state, events)
    assert kinds(told) == ["investigate"]
    assert any(verdict.sentence.startswith("harmless") for verdict in told)
    assert acts(told, entities.StartFit) == []
    assert state.weights == before
    state, told = live(state, [window(15)])
    assert acts(told, entities.ResolveAlert)[0].column == "income"


def test_a_policy_without_refresh_never_fits_by_the_clock():
    assert acts(live(start(), [block(n) for n in range(40)])[1], entities.StartFit) == []


def test_refresh_learns_the_last_4000_rows_every_15_blocks():
    policy = make_policy(on=("harm", "refresh"))
    state, told = live(start(), [block(n) for n in range(15)], policy)
    (fit,) = acts(told, entities.StartFit)
    assert fit.fit.rows == (0, 15 * BLOCK)
    assert fit.fit.reason == "refresh"
    _, told = live(state, [block(n) for n in range(15, 60)], policy)
    assert acts(told, entities.StartFit) == [], "one fit at a time"


def candidate(*, policy=POLICY, brier=0.05, blocks=1):
    """Return a state in which version 2 has been fitted and scored on whole blocks."""
    events = [block(n) for n in range(20)] + [block(20, error=0.3)]
    state, told = live(start(), events, policy)
    fit = acts(told, entities.StartFit)[0].fit
    told = []
    state, some = live(state, [entities.FitFinished(fit=fit.id, version="2")], policy)
    told += some
    for number in range(21, 21 + blocks):
        scores = {"1": 0.2, "2": brier}
        event = block(number, error=0.3, mixture=0.2, members=scores)
        state, some = live(state, [event], policy)
        told += some
    return state, told


def test_a_candidate_answers_only_after_exam_and_gates():
    state, told = candidate()
    assert acts(told, entities.JudgeGates)[0].rows == (21 * BLOCK, 22 * BLOCK)
    assert state.weights == {"1": 1.0}
    passed = entities.GateJudged(version="2", passed=True, report="report:x")
    state, told = live(state, [passed])
    assert kinds(told) == ["promote"]
    assert max(state.weights, key=state.weights.__getitem__) == "2"
    assert sum(state.stable.values()) == pytest.approx(1)


def test_a_candidate_that_fails_its_gates_leaves():
    state, _ = candidate()
    failed = entities.GateJudged(version="2", passed=False, report="report:x")
    state, told = live(state, [failed])
    assert kinds(told) == []
    assert [member.version for member in state.members] == ["1"]


def test_a_person_is_asked_where_the_tier_demands_it():
    state, _ = candidate()
    asked = entities.GateJudged(
        version="2", passed=True, report="report:x", needs_approval=True, registered="7"
    )
    state, told = live(state, [asked, block(22, error=0.3, members={"1": 0.2, "7": 0.05})])
    assert kinds(told) == ["ask"]
    assert state.weights == {"1": 1.0}
    state, told = live(state, [entities.Approved(version="7", by="ada")])
    assert kinds(told) == ["promote"]


def enter_canary():
    state, _ = candidate(policy=CANARY)
    passed = entities.GateJudged(version="2", passed=True, report="report:x")
    return live(state, [passed], CANARY)


def test_a_sound_canary_takes_its_steps_and_then_everything():
    state, told = enter_canary()
    assert kinds(told) == ["promote"]
    (serve,) = acts(told, entities.Serve)
    assert (serve.stable, serve.share) == ({"1": 1.0}, 0.05)
    better = entities.RolloutObserved(paired=(-0.1,) * 200, n_answered=30)
    shares = []
    for _ in range(2):
        state, told = live(state, [better], CANARY)
        shares += [act.share for act in acts(told, entities.Serve)]
    assert shares == [0.25, 0.0]
    assert state.rollout is None
    assert state.stable == state.weights


@pytest.mark.parametrize(
    "rules",
    [
        {"steps": (0.5, 1.0)},
        {"steps": (1.0,)},
        {"strategy": "blue-green"},
        {"strategy": "shadow"},
    ],
    ids=["other steps", "one step", "blue-green", "shadow"],
)
def test_a_policy_edited_in_mid_canary_gives_it_no_more_keys_before_it_is_proved(rules):
    state, _ = enter_canary()
    better = entities.RolloutObserved(paired=(-0.1,) * 200, n_answered=30)
    state, _ = live(state, [better], CANARY)
    edited = msgspec.structs.replace(CANARY, rollout=policies.Rollout(**rules))
    weighed = block(2, members={"1": 0.08, "2": 0.06})
    state, told = live(state, [weighed], edited)
    assert [act.share for act in acts(told, entities.Serve)] == [0.25]
    few = entities.RolloutObserved(n_answered=10)
    state, told = live(state, [few], edited)
    assert acts(told, entities.Serve) == []
    state, told = live(state, [better], edited)
    (serve,) = acts(told, entities.Serve)
    if rules.get("steps") == (0.5, 1.0):
        assert (serve.share, state.rollout.step) == (0.5, 2)
    else:
        assert (serve.canary, state.rollout) == ({}, None)


@pytest.mark.parametrize(
    "news",
    [
        entities.RolloutObserved(paired=(0.2,) * 200, n_answered=30),
        entities.RolloutObserved(n_answered=10, n_failed=5),
        entities.RolloutObserved(n_answered=10, n_not_finite=1),
    ],
    ids=["worse", "fails", "not finite"],
)
def test_a_bad_canary_is_rolled_back_at_once(news):
    state, _ = enter_canary()
    state, told = live(state, [news], CANARY)
    assert kinds(told) == ["rollback"]
    assert state.stable == {"1": 1.0}
    assert [member.version for member in state.members] == ["1"]


def test_weights_follow_the_better_member_and_forget():
    state, _ = candidate()
    passed = entities.GateJudged(version="2", passed=True, report="report:x")
    state, _ = live(state, [passed])
    for number in range(22, 40):
        scores = {"1": 0.05, "2": 0.2}
        state, _ = live(state, [block(number, mixture=0.1, members=scores)])
    assert state.weights["1"] > 0.97


def test_the_pool_keeps_newest_initial_and_whoever_answers():
    members = tuple(
        entities.Member(
            version=str(n), rows=(0, 0), born_block=n, standing="admitted", initial=n == 1
        )
        for n in range(1, 20)
    )
    state = entities.LoopState(members=members, weights={"3": 1.0})
    stay, gone = weights.prune(state)
    kept = {member.version for member in stay}
    assert {"1", "3", *(str(n) for n in range(12, 20))} <= kept
    assert len(stay) + len(gone) == len(members)


EVENTS = st.lists(
    st.one_of(
        st.builds(
            lambda e, m: ("block", e, m),
            st.floats(0, 0.6),
            st.floats(0.01, 0.3),
        ),
        st.sampled_from([("cents",), ("clean",), ("drift",), ("done",), ("pass",)]),
    ),
    max_size=60,
)


def make_event(state, number, told):
    match told:
        case ("block", error, brier):
            scores = {m.version: brier / (1 + place) for place, m in enumerate(state.members)}
            return block(number, error=error, mixture=brier, members=scores)
        case ("cents",):
            return msgspec.structs.replace(CENTS, broken=((number * 200, number * 200 + 9),))
        case ("drift",):
            return window(number, findings=(("covariate-drift", "income"),))
        case ("done",) if state.pending:
            return entities.FitFinished(fit=state.pending[0].id, version=f"v{number}")
        case ("pass",) if state.members[-1].standing == "gates":
            last = state.members[-1].version
            return entities.GateJudged(version=last, passed=True, report="report:x")
    return window(number)


@given(EVENTS)
@settings(max_examples=40, deadline=None)
def test_any_life_is_replayed_bit_for_bit(story):
    state = start()
    policy = make_policy(on=("harm", "refresh"))
    for number, told in enumerate(story):
        event = make_event(state, number, told)
        inputs = canonical.encode(replay.Inputs(state=state, event=event, policy=policy))
        found = replay.conclude(inputs)
        state, verdicts = decide.decide(state, event, policy)
        assert canonical.encode(state) == found.state
        assert [canonical.encode(v) for v in verdicts] == [
            canonical.encode(v) for v in found.verdicts
        ]
        assert sum(state.stable.values()) == pytest.approx(1)
        assert set(state.stable) <= {member.version for member in state.members}

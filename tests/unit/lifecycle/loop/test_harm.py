"""Harm that sure answers prove is acted on before the error rate alone would raise an alarm."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from msgspec import structs

from homeostat.lifecycle.loop import alarmed, entities, harm
from homeostat.measures import sureness

BLOCK, CALM = 200, 50


def _events(rng, *, after=12, turned=0.06):
    for number in range(CALM + after):
        told = np.where(rng.random(BLOCK) < 0.2, 0.4, 0.02)
        share = turned if number >= CALM else 0.0
        wrong = rng.random(BLOCK) < told + share * (1 - 2 * told)
        yield entities.BlockLabelled(
            first_row=1000 + number * BLOCK,
            end_row=1000 + (number + 1) * BLOCK,
            n_rows=BLOCK,
            error=float(wrong.mean()),
            mixture=0.1,
            members={},
            sureness=sureness.tally(told, wrong),
        )


def _lived(events):
    """Judge each block as the loop does; return the alarms with their block, and the state."""
    state, found = entities.HarmState(), []
    for block, event in enumerate(events):
        proof, proved = harm.prove(state, event, block=block)
        seen, alarm = harm.observe(state, event, block=block)
        state = structs.replace(seen, proof=proof)
        if alarm is not None:
            found.append((block, alarm, proved is not None))
    return state, found


def test_what_is_proved_by_sure_answers_is_suspected_and_dated():
    sooner = 0
    for seed in range(4):
        events = list(_events(np.random.default_rng(seed)))
        (block, alarm, is_new), *_ = _lived(events)[1]
        assert is_new
        assert alarm.expected is not None
        assert CALM <= block <= CALM + 3
        assert abs(alarm.change_row - events[CALM].first_row) <= 2 * BLOCK
        bare = [structs.replace(event, sureness=msgspec.UNSET) for event in events]
        later = [at for at, *_ in _lived(bare)[1]]
        sooner += not later or block < later[0]
    assert sooner >= 3


def test_one_change_is_acted_on_once():
    for seed in range(4, 8):
        _, found = _lived(_events(np.random.default_rng(seed), after=7))
        assert len(found) == 1


def _hidden(seed):
    """Events of a world that has turned, with a corrector that makes up for all of it."""
    calm = _events(np.random.default_rng([1, seed]), turned=0.0)
    turned = _events(np.random.default_rng([2, seed]), turned=0.12)
    for number, (answers, members) in enumerate(zip(calm, turned, strict=True)):
        corrected = number >= CALM // 2
        said = members.sureness if corrected else msgspec.UNSET
        yield structs.replace(answers, uncorrected=said)


def test_what_a_corrector_makes_up_for_is_learned_anew_and_not_told():
    for seed in range(3):
        events = list(_hidden(seed))
        state, found = _lived(events)
        assert [is_new for _, _, is_new in found] == [False]
        block, alarm, _ = found[0]
        assert CALM <= block <= CALM + 4
        assert abs(alarm.change_row - events[CALM].first_row) <= 2 * BLOCK
        assert not harm.is_proved(state, block=block)
        assert "without the corrector" in alarmed.told(events[block], alarm)
        bare = [structs.replace(event, uncorrected=msgspec.UNSET) for event in events]
        assert not _lived(bare)[1]


def test_what_members_say_is_watched_from_where_the_proof_was():
    state, _ = _lived(list(_hidden(5))[: CALM // 2 + 1])
    assert len(state.watch.baseline) == len(state.proof.baseline)
    assert state.watch_rows == state.proof_rows


def _wrong(errors):
    """Events of blocks that were wrong so often; none says how sure its answers were."""
    for number, error in enumerate(errors):
        yield entities.BlockLabelled(
            first_row=number * BLOCK,
            end_row=(number + 1) * BLOCK,
            n_rows=BLOCK,
            error=error,
            mixture=0.1,
            members={},
        )


@pytest.mark.parametrize(("learned", "n_found"), [(0.1, 2), (0.45, 1)])
def test_blocks_of_a_world_not_yet_learned_are_no_measure_for_the_next(learned, n_found):
    late = [0.1] * 12 + [0.5] * 14  # labels come late, so nobody knows the new world for long
    _, found = _lived(_wrong([*late, *(learned,) * 8, *(0.5,) * 3]))
    assert [block for block, *_ in found] == [12, len(late) + 8][:n_found]


def test_a_few_wrong_answers_less_begin_no_baseline_anew():
    state, _ = _lived(_wrong([0.05] * 12 + [0.3] * 8 + [0.06] * 4 + [0.025] * 4))
    assert len(state.alarm.baseline) == 8


def test_a_state_survives_its_bytes():
    state, _ = _lived(_events(np.random.default_rng(9), after=2))
    packed = msgspec.json.encode(state)
    assert msgspec.json.decode(packed, type=entities.HarmState) == state
    bare, _ = _lived(
        structs.replace(event, sureness=msgspec.UNSET)
        for event in _events(np.random.default_rng(9), after=2)
    )
    assert b"known" not in msgspec.json.encode(bare)
    assert not any(name in msgspec.json.encode(bare) for name in (b"proof_rows", b"watch"))


def test_people_read_how_wrong_answers_as_sure_are():
    events = list(_events(np.random.default_rng(3)))
    (block, found, _), *_ = _lived(events)[1]
    event = events[block]
    assert found.expected is not None
    told = alarmed.told(event, found, found)
    n_wrong, n_expected = round(event.error * BLOCK), round(found.expected * BLOCK)
    assert n_wrong > n_expected + 5
    assert told.endswith(
        f"accepted; {n_wrong} of 200 were wrong, of answers as sure {n_expected} are"
    )
    verdict = alarmed.told_proof(event, found)
    assert verdict.sentence.endswith(told.split("accepted")[1])
    seen = alarmed.evidence(event, found, threshold=7.0)
    assert verdict.evidence["expected"] == seen["expected"] == found.expected
    bare = structs.replace(found, expected=None)
    assert alarmed.told(event, bare).endswith("accepted")
    assert "expected" not in alarmed.told_proof(event, bare).evidence

"""Evidence given how sure answers were is an e-value, blind to harder cases."""

from __future__ import annotations

import itertools
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, special

from homeostat.lifecycle.loop import harm
from homeostat.measures import sequential, sureness

BLOCK = 200


def _run(blocks, settings=harm.SURE_PROOF):
    """Judge blocks of told chances of being wrong, and what was wrong."""
    state, alarms = sequential.quiet_alarm(settings), []
    for number, (told, wrong) in enumerate(blocks):
        state, alarm = sequential.observe_error(
            state,
            float(wrong.mean()),
            block=number,
            n_rows=len(told),
            settings=settings,
            sure=sureness.tally(told, wrong),
        )
        alarms += [alarm] if alarm else []
    return state, alarms


def _answers(rng, n_blocks, *, turned=0.0, unsure=0.2, overconfident=1.0):
    """Draw blocks: most answers are wrong once in fifty times, `unsure` of them guesses."""
    for _ in range(n_blocks):
        chance = np.where(rng.random(BLOCK) < unsure, 0.4, 0.02)
        told = chance / np.where(chance < 0.1, overconfident, 1.0)
        wrong = rng.random(BLOCK) < chance + turned * (1 - 2 * chance)
        yield told, wrong


@given(
    st.tuples(st.floats(0.005, 0.44), st.floats(0.005, 0.44)),
    st.floats(0, 0.1),
    st.floats(0.01, 0.4),
    st.floats(1, 10),
)
def test_the_gain_is_an_e_value_given_how_sure_the_answers_were(
    rates, accepted, rise, dispersion
):
    sizes, total = (7, 9), 0.0
    for wrong in itertools.product(*(range(n + 1) for n in sizes)):
        chance = 1.0
        for n, k, rate in zip(sizes, wrong, rates, strict=True):
            true = sureness.turned(rate, accepted)  # the worst that the null allows
            chance *= math.comb(n, k) * true**k * (1 - true) ** (n - k)
        seen = sureness.Expected(sizes, wrong, rates, 0.0, 0.0)
        gain = sureness.gain(seen, accepted=accepted, rise=rise, dispersion=dispersion)
        total += chance * math.exp(gain)
    assert total <= 1 + 1e-9


def test_five_points_are_proved_in_a_few_blocks_where_scores_tell_who_is_sure():
    """Of the error rate alone it takes five blocks and more."""
    rng = np.random.default_rng(1)
    for _ in range(5):
        blocks = [*_answers(rng, 60), *_answers(rng, 5, turned=0.06)]
        _, alarms = _run(blocks)
        assert alarms[0].block in {60, 61, 62}
        assert abs(alarms[0].change_block - 60) <= 2
        assert alarms[0].expected is not None


def test_told_chances_need_not_be_right():
    rng = np.random.default_rng(2)
    blocks = [
        *_answers(rng, 150, overconfident=20.0),
        *_answers(rng, 4, turned=0.06, overconfident=20.0),
    ]
    _, alarms = _run(blocks)
    assert [alarm.block >= 150 for alarm in alarms] == [True]


def test_harder_cases_are_harm_by_their_number_not_by_how_sure_answers_were():
    rng = np.random.default_rng(3)
    state, _ = _run(_answers(rng, 60))
    told, wrong = next(_answers(rng, 1, unsure=0.6))
    seen = sureness.expected(state.known, sureness.tally(told, wrong), share=0.3)
    assert wrong.mean() > 0.2
    assert seen.error == pytest.approx(wrong.mean(), abs=0.08)
    assert sureness.gain(seen, accepted=0.0, rise=0.12, dispersion=1.0) < 0
    _, alarms = _run([*_answers(np.random.default_rng(3), 60), *_answers(rng, 3, unsure=0.6)])
    assert alarms
    assert alarms[0].expected is None


def test_surer_answers_that_are_better_in_all_are_no_harm():
    """New members say .02 where they are wrong in .05, and guess far less often."""
    rng = np.random.default_rng(4)
    before = list(_answers(rng, 60))
    after = []
    for _ in range(10):
        told = np.where(rng.random(BLOCK) < 0.05, 0.4, 0.02)
        chance = np.where(told > 0.1, 0.4, 0.05)
        after.append((told, rng.random(BLOCK) < chance))
    assert np.mean([w.mean() for _, w in after]) < np.mean([w.mean() for _, w in before])
    assert not _run([*before, *after])[1]


def test_false_alarms_are_at_most_as_stated():
    rng = np.random.default_rng(5)
    n_runs, n_blocks = 12, 150
    alarms = sum(len(_run(_answers(rng, n_blocks))[1]) for _ in range(n_runs))
    assert alarms <= n_runs * n_blocks * math.exp(-harm.SURE_PROOF.log_threshold)


def _together(rng, n_blocks, memory):
    """Answers that are wrong together, beyond what their cases and scores say."""
    size = n_blocks * BLOCK
    steps = rng.normal(size=(size + 300, 2)) * math.sqrt(1 - memory**2)
    cases, luck = signal.lfilter([1.0], [1.0, -memory], steps, axis=0)[300:].T
    told = special.expit(-2.5 * np.abs(1.3 * cases - 1.3))
    wrong = special.ndtr(luck) < told
    return zip(told.reshape(n_blocks, BLOCK), wrong.reshape(n_blocks, BLOCK), strict=True)


def test_where_rows_err_together_beyond_their_cases_false_alarms_keep_their_rate():
    rng = np.random.default_rng(16)
    n_runs, n_blocks = 15, 150
    alarms = sum(len(_run(_together(rng, n_blocks, 0.95))[1]) for _ in range(n_runs))
    assert alarms <= n_runs * n_blocks * math.exp(-harm.SURE_PROOF.log_threshold)


def test_with_few_wrong_answers_the_error_rate_alone_counts():
    known = sureness.Known(n_blocks=1, rows=(100.0,) * sureness.N_GROUPS)
    seen = sureness.tally(np.array([0.001, 0.3]), np.array([False, True]))
    assert sureness.expected(known, seen, share=0.3).rows == (2.0,)


def test_a_state_of_before_goes_on_with_blocks_that_tell_more():
    rng = np.random.default_rng(6)
    state = sequential.quiet_alarm(harm.PROOF)
    for block, (_, wrong) in enumerate(_answers(rng, 20)):
        state, _ = sequential.observe_error(
            state, float(wrong.mean()), block=block, n_rows=BLOCK, settings=harm.PROOF
        )
    written = msgspec.json.encode(state)
    assert b"known" not in written
    state = msgspec.json.decode(written, type=sequential.AlarmState)
    for block, (told, wrong) in enumerate(_answers(rng, 20), start=20):
        state, alarm = sequential.observe_error(
            state,
            float(wrong.mean()),
            block=block,
            n_rows=BLOCK,
            settings=harm.SURE_PROOF,
            sure=sureness.tally(told, wrong),
        )
        assert alarm is None
    assert len(state.scores) == 6
    assert state.known.n_blocks + state.known.n_pending == 20
    again = msgspec.json.decode(msgspec.json.encode(state), type=sequential.AlarmState)
    assert again == state


def test_the_first_block_judged_counts_by_how_much_those_before_it_varied():
    """Rows err together here: a fifth as often as they were said to, or twice, or thrice."""
    rng = np.random.default_rng(15)
    state = sequential.quiet_alarm(harm.SURE_PROOF)
    for block, often in enumerate([0.2, 1.8] * 4 + [3.0]):
        told = rng.uniform(0.01, 0.2, size=200)
        wrong = rng.random(200) < often * told
        state, alarm = sequential.observe_error(
            state,
            float(wrong.mean()),
            block=block,
            n_rows=200,
            settings=harm.SURE_PROOF,
            sure=sureness.tally(told, wrong),
        )
        assert alarm is None
    assert state.dispersion > 4
    assert max(state.scores) < 3

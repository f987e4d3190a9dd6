"""The harm alarm follows its definition, keeps its run length and finds the change."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.lifecycle.loop import harm
from homeostat.measures import accepted, evidence, sequential

SETTINGS = sequential.AlarmSettings()


def _run(errors, settings=SETTINGS, n_rows=200):
    state, alarms = sequential.quiet_alarm(settings), []
    for block, error in enumerate(errors):
        state, alarm = sequential.observe_error(
            state, error, block=block, n_rows=n_rows, settings=settings
        )
        alarms += [alarm] if alarm else []
    return state, alarms


def _reference(errors, n_b=200):
    """The alarm as the policy states it, with numpy."""
    c, start, base, hold, found = [0.0] * 3, [0] * 3, [], 0, []
    for j, e in enumerate(errors):
        if j < hold:
            continue
        if len(base) >= 8:
            p0 = min(0.49, np.mean(base))
            p0 += max(0.005, math.sqrt(p0 * (1 - p0) / (n_b * len(base))))
            phi = max(1, np.var(base[-60:]) / (p0 * (1 - p0) / n_b))
            for q, shift in enumerate((0.03, 0.10, 0.25)):
                p1 = min(0.95, p0 + shift)
                if c[q] <= 0:
                    c[q], start[q] = 0, j
                gain = e * math.log(p1 / p0) + (1 - e) * math.log((1 - p1) / (1 - p0))
                c[q] += n_b * gain / phi
            if np.log(np.mean(np.exp(np.maximum(c, 0)))) > 7:
                q = int(np.argmax(c))
                found.append((j, start[q]))
                hold, c, base = max(j + 1, start[q] + 8), [0.0] * 3, []
        if j >= hold and (max(c) <= 1 or len(base) < 8):
            base.append(e)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_alarms_are_those_of_the_stated_policy(seed):
    rng = np.random.default_rng(seed)
    rates = np.repeat(rng.uniform(0.05, 0.4, size=8), 25)
    errors = (rng.binomial(200, rates) / 200).tolist()
    assert [(a.block, a.change_block) for a in _run(errors)[1]] == _reference(errors)


def test_with_the_settings_of_the_loop_false_alarms_are_rarer_than_stated():
    rng = np.random.default_rng(0)
    alarms = sum(
        len(_run((rng.binomial(200, 0.2, 400) / 200).tolist(), harm.SETTINGS)[1])
        for _ in range(25)
    )
    stated = 25 * 400 * math.exp(-harm.SETTINGS.log_threshold)
    chance = sum(math.exp(-stated) * stated**k / math.factorial(k) for k in range(alarms + 1))
    assert chance < 0.01, f"{alarms} alarms do not prove fewer than the {stated:.1f} stated"


@pytest.mark.parametrize("rise", [0.05, 0.15])
def test_a_rise_is_found_where_it_began(rise):
    rng = np.random.default_rng(1)
    delays, misses = [], []
    for _ in range(20):
        rates = np.repeat([0.15, 0.15 + rise], [40, 20])
        _, alarms = _run((rng.binomial(200, rates) / 200).tolist())
        assert len(alarms) == 1
        delays.append(alarms[0].block - 40)
        misses.append(abs(alarms[0].change_block - 40))
    assert np.median(delays) <= (5 if rise < 0.1 else 0)
    assert np.median(misses) <= 1


def test_blocks_that_vary_more_than_binomial_raise_the_dispersion():
    rng = np.random.default_rng(2)
    state, _ = _run(np.clip(rng.normal(0.2, 0.08, size=60), 0, 1).tolist())
    assert state.dispersion > 3


def test_nothing_is_judged_in_the_quiet_after_an_alarm():
    _, alarms = _run([0.1] * 10 + [0.5] * 6)
    assert len(alarms) == 1


@given(st.lists(st.floats(0, 1), max_size=40))
def test_state_survives_json_bit_for_bit(errors):
    state, _ = _run(errors)
    packed = msgspec.json.encode(state)
    assert msgspec.json.decode(packed, type=sequential.AlarmState) == state
    assert _run(errors)[0] == state


@given(st.floats(0.01, 0.5), st.floats(0.01, 0.4), st.floats(1, 20))
def test_the_ratio_is_an_e_value_at_the_accepted_rate(accepted, rise, dispersion):
    n = 20
    total = 0.0
    for k in range(n + 1):
        chance = math.comb(n, k) * accepted**k * (1 - accepted) ** (n - k)
        total += chance * math.exp(
            evidence.log_likelihood_ratio(
                k / n,
                n_rows=n,
                accepted=accepted,
                harmful=accepted + rise,
                dispersion=dispersion,
            )
        )
    assert total <= 1 + 1e-9


@pytest.mark.parametrize(
    "call",
    [
        lambda: accepted.rate([], block_rows=1),
        lambda: accepted.overdispersion([0.1], 0.0, block_rows=1),
        lambda: evidence.log_likelihood_ratio(0.1, n_rows=1, accepted=0.2, harmful=0.1),
        lambda: _run([1.5]),
        lambda: evidence.log_mean_exp([]),
    ],
)
def test_wrong_arguments_are_value_errors(call):
    with pytest.raises(ValueError, match=r"need|mean"):
        call()


def test_a_patient_alarm_takes_rows_that_err_together_for_what_they_are():
    rng = np.random.default_rng(11)
    settings = {
        patient: sequential.AlarmSettings(is_patient=patient) for patient in (False, True)
    }
    alarms = dict.fromkeys(settings, 0)
    for _ in range(12):
        levels = np.zeros(150)
        for block in range(1, 150):  # the error rate itself wanders around 0.1
            levels[block] = 0.5 * levels[block - 1] + rng.normal(0, 0.02)
        errors = rng.binomial(200, np.clip(0.1 + levels, 0.01, 0.4)) / 200
        for patient, chosen in settings.items():
            state = sequential.quiet_alarm(chosen)
            for block, error in enumerate(errors):
                state, alarm = sequential.observe_error(
                    state, float(error), block=block, n_rows=200, settings=chosen
                )
                alarms[patient] += alarm is not None
    assert alarms[True] < alarms[False] / 2
    state = sequential.quiet_alarm(settings[True])
    for block, error in enumerate([0.1] * 30 + [0.4] * 3):
        state, alarm = sequential.observe_error(
            state, error, block=block, n_rows=200, settings=settings[True]
        )
        if alarm:
            assert (block, alarm.change_block) == (30, 30)
            break
    else:
        pytest.fail("thirty points of loss were not seen")

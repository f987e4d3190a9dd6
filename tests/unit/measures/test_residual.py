"""A corrector answers a row alike, alone or among many, whatever is missing."""

from __future__ import annotations

import datetime as dt

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.lifecycle.loop import corrector
from homeostat.measures import residual

N = 600
COLUMNS = (
    residual.Column("a"),
    residual.Column("b"),
    residual.Column("where", "text", ("east", "north", "west")),
    residual.Column("when", "time"),
)


def _table(rng, n):
    instants = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + np.arange(n) * dt.timedelta(hours=1)
    return {
        "a": rng.normal(size=n).tolist(),
        "b": [None if x < 0.1 else x for x in rng.random(n).tolist()],
        "where": rng.choice(["east", "west", "moon"], n).tolist(),
        "when": list(instants),
    }


def _learned():
    rng = np.random.default_rng(4)
    table = _table(rng, N)
    features = residual.matrix(COLUMNS, table, N)
    labels = (features[:, 0] + (features[:, 2] == 2) > 0).astype(np.int8)
    made = corrector.fit(features, rng.uniform(0.2, 0.8, N), labels)
    return msgspec.structs.replace(made, columns=COLUMNS)


LEARNED = _learned()


@given(seed=st.integers(0, 10_000), n=st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_a_row_gets_the_same_bits_alone_and_among_others(seed, n):
    rng = np.random.default_rng(seed)
    table, chances = _table(rng, 40), rng.random(40)
    chances[::7] = (0.0, 1.0, 0.5, 1e-9, 0.3, 0.999)
    applied = residual.Applied(LEARNED)
    whole = applied.corrected(table, chances)
    part = {name: values[:n] for name, values in table.items()}
    assert applied.corrected(part, chances[:n]).tolist() == whole[:n].tolist()
    matrix = residual.matrix(COLUMNS, table, 40)
    assert residual.corrected(LEARNED, matrix, chances).tolist() == whole.tolist()
    assert ((whole > 0) & (whole < 1)).all()


def test_a_row_that_nobody_scored_stays_without_a_score():
    table = _table(np.random.default_rng(0), 50)
    chances = np.full(50, 0.4)
    chances[3] = np.nan
    applied = residual.Applied(LEARNED)
    few = {name: values[:9] for name, values in table.items()}
    assert np.isnan(applied.corrected(table, chances)).tolist() == np.isnan(chances).tolist()
    assert np.isnan(applied.corrected(few, chances[:9])).sum() == 1


def test_a_column_that_is_gone_is_missing_and_nothing_else():
    table = _table(np.random.default_rng(1), 60)
    without = {name: values for name, values in table.items() if name != "b"}
    missing = {**table, "b": [None] * 60}
    chances = np.full(60, 0.4)
    applied = residual.Applied(LEARNED)
    for n in (5, 60):
        a, b = (
            applied.corrected({k: v[:n] for k, v in one.items()}, chances[:n])
            for one in (without, missing)
        )
        assert a.tolist() == b.tolist()


def test_it_survives_as_json_to_the_last_bit():
    again = msgspec.json.decode(msgspec.json.encode(LEARNED), type=residual.Corrector)
    assert again == LEARNED

"""What is asked once an hour: joint drift, attribution, skew, service; each at its rate."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from homeostat.lifecycle.monitoring import (
    attributions,
    baseline,
    checks,
    region,
    service,
    skew,
    together,
)
from homeostat.measures import multivariate

NAMES = [f"x{i}" for i in range(6)]
HOUR = checks.HOUR_MS
START = 490_000


def _rows(n, rng, *, memory=0.0, tied=0.0):
    noise = rng.normal(size=(n, len(NAMES)))
    x = noise.copy()
    for i in range(1, n):
        x[i] = memory * x[i - 1] + np.sqrt(1 - memory**2) * noise[i]
    x[:, 1] = tied * x[:, 0] + np.sqrt(1 - tied**2) * x[:, 1]
    return pl.DataFrame(dict(zip(NAMES, x.T, strict=True)))


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_rows_like_the_training_are_called_moved_no_more_often_than_stated(memory):
    rng = np.random.default_rng(1)
    n_found = 0
    for _ in range(30):
        rows = _rows(2000, rng, memory=memory)
        table = rows.to_numpy()
        n_found += multivariate.separate(table[:1200], table[1200:]).p_value <= 0.05
    assert n_found <= 5  # of 30 at one in twenty: more has a chance of 1 in 300


def test_columns_that_are_tied_differently_are_found_though_none_has_moved():
    rng = np.random.default_rng(2)
    frozen = baseline.freeze(_rows(3000, rng), features=NAMES)
    found = together.check(_rows(2000, rng, tied=0.7), frozen, level=1e-5)
    assert found.verdict == "found"
    assert {"x0", "x1"} <= set(found.sentence.rpartition("most by ")[2].split(", "))
    assert together.check(_rows(50, rng), frozen, level=1e-5).verdict == "unknown"


def test_shares_of_columns_are_compared_with_their_error():
    rng = np.random.default_rng(3)
    usual = [rng.normal(size=(300, 4)) * [3, 2, 1, 0] for _ in range(61)]
    ask = {"names": list("abcd"), "level": 0.05}
    n_found = sum(
        attributions.check(usual[0], one, **ask).numbers["p"].value <= 0.05 for one in usual[1:]
    )
    assert n_found <= 8  # of 60 at one in twenty: more has a chance of 1 in 300
    moved = attributions.check(usual[0], usual[1] * [1, 1, 4, 1], **ask)
    assert moved.verdict == "found"
    assert "c 16% →" in moved.sentence
    assert attributions.check(usual[0][:50], usual[1], **ask).verdict == "unknown"


@pytest.fixture
def served():
    return pl.DataFrame(
        {
            "key": [f"k{i}" for i in range(100)],
            "served_at": [1000 * (i + 1) for i in range(100)],
            "income": [100.0 + i for i in range(100)],
            "region": ["north"] * 100,
        }
    )


def test_a_column_computed_differently_is_found_with_examples(served):
    offline = served.rename({"key": "id"}).with_columns(
        pl.when(pl.int_range(pl.len()) % 5 == 0)
        .then(pl.col("income") * 12)
        .otherwise(pl.col("income") * (1 + 1e-9))
        .alias("income")
    )
    paired = skew.pair(served, offline, key="id", time=None)
    ask = {"features": ["income", "region"], "source": "snapshot:1", "query": "q"}
    found = skew.check(paired, **ask)
    assert found.verdict == "found"
    assert found.numbers["income"].value == pytest.approx(0.2)
    assert "k0: served 100.0, there 1200.0" in found.sentence
    assert skew.check(skew.pair(served, served, key="key", time=None), **ask).verdict == "fine"
    few = skew.check(paired[:10], **ask)
    assert (few.verdict, few.sentence[:20]) == ("unknown", "cannot be computed: ")


def test_what_was_true_when_a_row_was_served_counts(served):
    before = served.select("key", "region", at=pl.col("served_at") - 1, income="income")
    later = before.with_columns(at=pl.col("at") + 5, income=pl.lit(0.0))
    older = before.with_columns(at=pl.col("at") - 500, income=pl.lit(1.0))
    offline = pl.concat([later, older, before]).rename({"key": "id"})
    paired = skew.pair(served, offline, key="id", time="at")
    assert paired.height == served.height
    found = skew.check(paired, features=["income"], source="snapshot:1", query="q")
    assert found.verdict == "fine"


def _hours(n, rng, *, slow=1.0, failing=0.001, busy=1.0):
    """Requests by the hour, busier and slower by day; the last hour as told."""
    hours = []
    edges = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25]
    for i in range(n):
        is_last = i == n - 1
        rate = (3000 + 2000 * np.sin(2 * np.pi * i / 24)) * (busy if is_last else 1.0)
        total = int(rng.poisson(rate))
        scale = 0.004 * (1 + 0.3 * np.sin(2 * np.pi * i / 24)) * (slow if is_last else 1.0)
        took = np.sort(rng.lognormal(np.log(scale), 0.4, size=total))
        within = {str(edge): int(np.searchsorted(took, edge)) for edge in edges}
        failed = int(rng.binomial(total, failing if is_last else 0.001))
        at = (START + i) * HOUR
        hours.append(service.Hour(at, total, failed, {**within, "+Inf": total}))
    return hours


def _verdicts(hours):
    now = hours[-1].starts_at + HOUR
    return {
        one.name.removeprefix("service "): one.verdict
        for one in service.check(hours, now=now, level=1e-4)
    }


def test_service_is_judged_by_the_same_hour_of_other_days():
    usual = _hours(24 * 20, np.random.default_rng(4))
    assert set(_verdicts(usual).values()) == {"fine"}
    for how, what in (
        ({"slow": 4.0}, "latency"),
        ({"failing": 0.05}, "errors"),
        ({"busy": 6.0}, "saturation"),
    ):
        changed = _hours(24 * 20, np.random.default_rng(5), **how)
        assert _verdicts([*usual[:-1], changed[-1]])[what] == "found"
    assert set(_verdicts(usual[-48:]).values()) == {"unknown"}


def test_the_smallest_slice_with_the_excess_loss_is_named():
    rng = np.random.default_rng(6)
    rows = _rows(4000, rng)
    label = (rng.random(4000) < 0.1).astype(int)
    told = rows.with_columns(score=pl.lit(0.1), label=pl.Series(label))
    frozen = baseline.freeze(told, features=NAMES, score="score", label="label")
    now = _rows(400, rng)
    wrong = rng.random(400) < np.where(now["x2"].to_numpy() > 0.9, 0.9, 0.1)
    found = region.find(now, wrong, frozen)
    assert found.column == "x2"
    assert found.where.endswith(" up")
    assert found.rows < 0.4
    assert region.find(now, rng.random(400) < 0.4, frozen) is None

"""How often monitoring cries wolf, and whether it sees planted changes: the full simulation.

Run ``python benchmarks/alarms.py [RUNS]`` (1000 by default, about four minutes). Each run
freezes a baseline of 3000 rows and judges ten windows of 500 rows of the same stream, at a
budget of false findings of 5 % of the windows; then the same with a planted change.
`tests/unit/lifecycle/monitoring/test_false_alarms.py` plays a few runs of it.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import polars as pl

import machine
from homeostat.lifecycle.monitoring import baseline, judge
from homeostat.measures import sequential

N_REFERENCE, N_WINDOW, N_WINDOWS = 3000, 500, 10
BUDGET = judge.AlarmBudget(false_alarms=50, windows=1000)
BLOCK, N_CALM, N_BLOCKS = 200, 150, 180
MEMORIES = (0.0, 0.5, 0.8, 0.95)


def series(n: int, n_columns: int, rng: np.random.Generator, *, memory: float) -> np.ndarray:
    """Draw standard normal columns, each row correlated with the one before."""
    steps = rng.normal(size=(n + 100, n_columns)) * np.sqrt(1 - memory**2)
    value = np.zeros(n_columns)
    rows = np.empty_like(steps)
    for i, step in enumerate(steps):
        value = memory * value + step
        rows[i] = value
    return rows[100:]


def stream(n: int, rng: np.random.Generator, *, memory: float) -> pl.DataFrame:
    """Draw seven columns of every kind from a stationary series."""
    x = series(n, 7, rng, memory=memory)
    columns: dict[str, np.ndarray] = {f"x{j}": x[:, j] for j in range(4)}
    columns["income"] = np.round(38_000 * np.exp(0.45 * x[:, 4]))
    columns["region"] = np.array(["n", "s", "e", "w"])[np.digitize(x[:, 5], [-0.7, 0, 0.7])]
    columns["member"] = x[:, 6] > 0.5
    return pl.DataFrame(columns)


def loud_share(runs: int, *, memory: float, seed: int) -> float:
    """Share of windows with any finding, where nothing has changed."""
    rng = np.random.default_rng(seed)
    loud = 0
    for _ in range(runs):
        rows = stream(N_REFERENCE + N_WINDOWS * N_WINDOW, rng, memory=memory)
        frozen = baseline.freeze(rows[:N_REFERENCE], features=rows.columns)
        for k in range(N_WINDOWS):
            window = rows.slice(N_REFERENCE + k * N_WINDOW, N_WINDOW)
            found = judge.window(window, frozen, first_row=0, budget=BUDGET)
            loud += bool(found.findings)
    return loud / (runs * N_WINDOWS)


def _shifted(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("x0") + 1.0)


def _unit(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("income") * 100)


def _nulls(rows: pl.DataFrame) -> pl.DataFrame:
    gone = pl.int_range(pl.len()).is_between(100, 299)
    return rows.with_columns(pl.when(gone).then(None).otherwise(pl.col("x1")).alias("x1"))


def _category(rows: pl.DataFrame) -> pl.DataFrame:
    is_west = pl.col("region") == "w"
    return rows.with_columns(
        pl.when(is_west).then(pl.lit("west")).otherwise(pl.col("region")).alias("region")
    )


PLANTED: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str, str]] = {
    "a deviation up": (_shifted, "covariate-drift", "x0"),
    "unit x100": (_unit, "unit", "income"),
    "nulls for 200 rows": (_nulls, "nulls", "x1"),
    "a new category": (_category, "new-category", "region"),
}


def named_share(runs: int, change: str, *, memory: float, seed: int) -> float:
    """Share of planted changes whose kind and column the window they fall into names."""
    rng = np.random.default_rng(seed)
    plant, kind, column = PLANTED[change]
    hits = 0
    for _ in range(runs):
        rows = stream(N_REFERENCE + N_WINDOW, rng, memory=memory)
        frozen = baseline.freeze(rows[:N_REFERENCE], features=rows.columns)
        found = judge.window(plant(rows[N_REFERENCE:]), frozen, first_row=0, budget=BUDGET)
        hits += (kind, column) in {(f.kind, f.column) for f in found.findings}
    return hits / runs


def errors(n: int, rng: np.random.Generator, *, rate: np.ndarray, memory: float) -> np.ndarray:
    """Draw error rates of blocks of rows that err together when they follow each other."""
    rows = series(n * BLOCK, 1, rng, memory=memory)[:, 0]
    border = np.array([NormalDist().inv_cdf(1 - each) for each in rate])
    return np.asarray((rows.reshape(n, BLOCK) > border[:, None]).mean(axis=1))


def harm(
    runs: int, *, rise: float, memory: float, is_patient: bool, seed: int
) -> tuple[float, float]:
    """Alarms in a thousand blocks without a rise, and the median rows until one after it."""
    rng = np.random.default_rng(seed)
    settings = sequential.AlarmSettings(standard_errors=2.0, is_patient=is_patient)
    false, before, delays = 0, 0, []
    for _ in range(runs):
        rate = np.where(np.arange(N_BLOCKS) < N_CALM, 0.1, 0.1 + rise)
        state = sequential.quiet_alarm(settings)
        for block, error in enumerate(errors(N_BLOCKS, rng, rate=rate, memory=memory)):
            state, alarm = sequential.observe_error(
                state, float(error), block=block, n_rows=BLOCK, settings=settings
            )
            before += block < N_CALM
            if alarm and block < N_CALM:
                false += 1
            elif alarm:
                delays.append((block - N_CALM + 1) * BLOCK)
                break
    seen = float(np.median(delays)) if len(delays) > runs / 2 else float("inf")
    return 1000 * false / before, seen


def main(runs: int) -> None:
    print(machine.facts())
    for memory in MEMORIES:
        share = loud_share(runs, memory=memory, seed=3)
        print(f"stationary, memory {memory:g}: {share:.3%} of windows loud, budget 5 %")
    for change in PLANTED:
        for memory in (0.0, 0.8):
            share = named_share(max(1, runs // 5), change, memory=memory, seed=4)
            print(f"{change:20} memory {memory:g}: named in {share:.1%} of {runs // 5} runs")
    for memory, rise, is_patient in itertools.product((0.0, 0.8), (0.05, 0.3), (False, True)):
        false, rows = harm(
            max(1, runs // 10), rise=rise, memory=memory, is_patient=is_patient, seed=5
        )
        told = f"{false:.2f} false alarms in 1000 blocks (stated 0.91 or fewer)"
        name = "patient" if is_patient else "usual"
        print(f"loss +{rise:g}, memory {memory:g}, {name}: {told}; seen after {rows:g} rows")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)

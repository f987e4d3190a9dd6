"""CPU seconds to summarise a table of 1 000 000 rows: 30 numeric and 10 categorical columns.

Run ``python benchmarks/summary.py``; the target is at most 2 CPU-s (freezing not counted: it
is done once, when a model is trained).
"""

from __future__ import annotations

import time

import numpy as np
import polars as pl

import machine
from homeostat.measures import bins, summary

BUDGET_S = 2.0
N_ROWS, N_NUMERIC, N_CATEGORICAL = 1_000_000, 30, 10


def table(seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    draws = (rng.normal, rng.lognormal, rng.random, rng.exponential)
    columns: dict[str, pl.Series] = {}
    for j in range(N_NUMERIC):
        columns[f"n{j}"] = pl.Series(draws[j % 4](size=N_ROWS))
    for j in range(N_CATEGORICAL):
        names = np.array([f"category {k}" for k in range(5 + 5 * j)])
        columns[f"c{j}"] = pl.Series(rng.choice(names, N_ROWS))
    return pl.DataFrame(columns)


def main() -> None:
    frame = table(0)
    started = time.process_time()
    frozen = bins.freeze_table(frame)
    freezing_s = time.process_time() - started
    runs: list[float] = []
    for _ in range(3):
        started = time.process_time()
        seen = summary.summarise_table(frame, frozen)
        runs.append(time.process_time() - started)
    assert seen.n_rows == N_ROWS
    size_kb = len(summary.encode(seen)) / 1024 / len(seen.columns)
    print(machine.facts())
    note = f"best of 3; freeze {freezing_s:.2f} CPU-s"
    print(machine.against("summarise 1M x 40, CPU", min(runs), BUDGET_S, "s", note=note))
    print(f"{size_kb:.1f} KB per column and window")


if __name__ == "__main__":
    main()

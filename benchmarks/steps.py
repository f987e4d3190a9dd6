"""What a step costs beside its own work: run record, lineage and event included.

    python benchmarks/steps.py

A chain of ten steps, each of which adds a column to a small frame; medians over runs.
Budgets: 0.2 ms for a cached step, 0.6 ms on top of the plain call for one that runs.
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import textwrap
import time

import numpy as np
import polars as pl

from homeostat.foundation import access, events, house, settings
from homeostat.lifecycle.pipeline import cache, drive, load, recorders

N_STEPS = 10
N_RUNS = 31
BUDGET_MS = {"cached": 0.2, "uncached": 0.6}
HEAD = "import homeostat as hs\nimport polars as pl\n"
STEP = """
@hs.step
def step_{n}(rows: pl.DataFrame, shift: float) -> pl.DataFrame:
    return rows.with_columns((pl.col("x") + shift).alias("y{n}"))
"""
PIPELINE = """
@hs.pipeline
def chain(rows, shift: float = 0.0):
    for step in ({names}):
        rows = step(rows, shift)
    return rows
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        steps = "".join(textwrap.dedent(STEP).format(n=n) for n in range(N_STEPS))
        names = ", ".join(f"step_{n}" for n in range(N_STEPS))
        (folder / "pipeline.py").write_text(HEAD + steps + PIPELINE.format(names=names))
        with house.open_house(settings.load(home=folder / "home")) as opened:
            measure(opened, folder)


def measure(opened: house.House, folder: pathlib.Path) -> None:
    chain = load.pipeline("pipeline:chain", folder)
    rows = pl.DataFrame({"x": np.arange(100.0)})
    actor = access.local_owner("bench")
    recorder = recorders.DirectRecorder(opened, actor)
    kept = cache.Cache(folder / "cache")

    def run(shift: float) -> float:
        began = time.perf_counter()
        drive.run(
            chain,
            inputs={"rows": rows},
            parameters={"shift": shift},
            cache=kept,
            recorder=recorder,
        )
        return time.perf_counter() - began

    def plain(shift: float) -> float:
        began = time.perf_counter()
        chain(rows, shift)
        return time.perf_counter() - began

    def commit() -> float:
        began = time.perf_counter()
        opened.write(
            lambda tx: events.record(tx, actor, "bench.passed", subject="run:x", facts={})
        )
        return time.perf_counter() - began

    run(-1.0)
    plain_s = statistics.median(plain(float(n)) for n in range(N_RUNS))
    uncached_s = statistics.median(run(float(n)) for n in range(N_RUNS))
    cached_s = statistics.median(run(1.0) for _ in range(N_RUNS))
    idle_s = statistics.median(commit() for _ in range(N_RUNS))
    kept.close()
    report("uncached", (uncached_s - plain_s) / N_STEPS * 1e3, uncached_s / plain_s)
    report("cached", cached_s / N_STEPS * 1e3, cached_s / plain_s)
    print(
        f"one durable write of one event: {idle_s * 1e3:.2f} ms, and each run makes one;"
        f" plain chain: {plain_s * 1e3:.2f} ms"
    )


def report(name: str, ms: float, ratio: float) -> None:
    verdict = "within" if ms <= BUDGET_MS[name] else "OVER"
    print(
        f"{name} step: {ms:.3f} ms, {verdict} the budget of {BUDGET_MS[name]} ms;"
        f" the run takes {ratio:.1f} times the plain calls"
    )


if __name__ == "__main__":
    main()

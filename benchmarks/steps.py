"""What a step costs beside its own work: run record, lineage and event included.

    python benchmarks/steps.py

A chain of ten steps, each of which adds a column to a small frame. Of many short runs the
least counts: whatever else the machine does can only add to it. Budgets: 0.2 ms for a cached
step, 0.6 ms on top of the plain call for one that runs. CPU time is that of all threads; wall
time holds the run's one durable write, which waits for the disk.
"""

from __future__ import annotations

import pathlib
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterable

import numpy as np
import polars as pl

import machine
from homeostat.foundation import access, events, house, settings
from homeostat.lifecycle.pipeline import cache, drive, load, recorders

N_STEPS = 10
N_RUNS = 60
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

    def run(shift: float) -> None:
        drive.run(
            chain,
            inputs={"rows": rows},
            parameters={"shift": shift},
            cache=kept,
            recorder=recorder,
        )

    def plain(shift: float) -> None:
        chain(rows, shift)

    def commit(_shift: float) -> None:
        opened.write(
            lambda tx: events.record(tx, actor, "bench.passed", subject="run:x", facts={})
        )

    print(machine.facts())
    run(-1.0)
    plain_ms = least(plain, map(float, range(N_RUNS)))
    uncached_ms = least(run, map(float, range(N_RUNS)))
    cached_ms = least(run, [1.0] * N_RUNS)
    write_ms = least(commit, [0.0] * N_RUNS)
    kept.close()
    for place, clock in enumerate(("CPU", "wall")):
        over_ms = (uncached_ms[place] - plain_ms[place]) / N_STEPS
        each_ms = cached_ms[place] / N_STEPS
        for name, ms in (("uncached", over_ms), ("cached", each_ms)):
            print(machine.against(f"{name} step, {clock}", ms, BUDGET_MS[name], "ms"))
    print(
        f"beside: plain chain {plain_ms[1]:.2f} ms; one durable write of one event, of which"
        f" each run makes one, {write_ms[0]:.2f} ms CPU, {write_ms[1]:.2f} ms wall"
    )


def least(act: Callable[[float], None], shifts: Iterable[float]) -> tuple[float, float]:
    """Return the least CPU and wall milliseconds of one call."""
    cpu_s, wall_s = [], []
    for shift in shifts:
        spent, began = time.process_time(), time.perf_counter()
        act(shift)
        wall_s.append(time.perf_counter() - began)
        cpu_s.append(time.process_time() - spent)
    return min(cpu_s) * 1e3, min(wall_s) * 1e3


if __name__ == "__main__":
    main()

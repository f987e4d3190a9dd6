"""CPU seconds and memory of comparing tables, beside Evidently on the same files.

Run ``python benchmarks/drift.py [NAME ...]``, of ``exact summaries evidently ten segment
windows decision fairness``; without a name, all of them. A reference of 100 000 rows against
1 000 000 current ones, 30 numeric and 10 categorical columns, from Parquet; each measurement in
a process of its own, ours and Evidently's in turn, twice; the least of each counts. Evidently
needs ``tools/setup.sh evidently`` and over a minute each time. Memory is the peak above what
the imports leave. Beside every figure stands what is aimed at.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

import machine
from homeostat.lifecycle.evaluation import fairness
from homeostat.lifecycle.monitoring import baseline
from homeostat.measures import bins, packed, summary, windows

ROOT = Path(__file__).parents[1]
EVIDENTLY = ROOT / ".venv-evidently" / "bin" / "python"
N_NUMERIC, N_CATEGORICAL = 30, 10
ROUNDS = 2
AIMS = {"exact": 30.0, "summaries": 55.0}
MEMORY_AIM = 20.0

MEASURE = """
import json, sys, time
{imports}
def peak():
    with open("/proc/self/status") as lines:
        return next(int(l.split()[1]) for l in lines if l.startswith("VmHWM:")) / 1024
before, started = peak(), time.process_time()
{work}
print(json.dumps([time.process_time() - started, peak() - before]))
"""
OURS = (
    "from homeostat.lifecycle.monitoring import report",
    "report.drift_report(sys.argv[1], sys.argv[2], convention=sys.argv[3]).values()",
)
IMPORT_THEIRS = """
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
"""
RUN_THEIRS = """
tables = [pd.read_parquet(path) for path in sys.argv[1:3]]
Report([DataDriftPreset()]).run(tables[1], tables[0]).dict()
"""
THEIRS = (IMPORT_THEIRS, RUN_THEIRS)


def table(n: int, *, seed: int, shift: float) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    draws = (rng.normal, rng.lognormal, rng.random, rng.exponential)
    columns: dict[str, pl.Series] = {}
    for j in range(N_NUMERIC):
        columns[f"n{j}"] = pl.Series(draws[j % 4](size=n) + (shift if j % 5 == 0 else 0))
    for j in range(N_CATEGORICAL):
        names = np.array([f"category {k}" for k in range(5 + 5 * j)])
        columns[f"c{j}"] = pl.Series(rng.choice(names, n))
    return pl.DataFrame(columns)


def written(folder: Path, n: int, *, seed: int, shift: float) -> Path:
    path = folder / f"{n}.parquet"
    if not path.exists():
        table(n, seed=seed, shift=shift).write_parquet(path)
    return path


def run(python: str, code: tuple[str, str], *arguments: str) -> tuple[float, float]:
    script = MEASURE.format(imports=code[0], work=code[1])
    ran = subprocess.run(
        [python, "-W", "ignore", "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    spent, memory = json.loads(ran.stdout.splitlines()[-1])
    return spent, memory


def reports(names: list[str], folder: Path) -> None:
    files = [
        str(written(folder, n, seed=i, shift=0.05 * i))
        for i, n in enumerate((100_000, 1_000_000))
    ]
    asked: dict[str, tuple[str, tuple[str, str], tuple[str, ...]]] = {
        "exact": (sys.executable, OURS, (*files, "evidently")),
        "summaries": (sys.executable, OURS, (*files, "homeostat")),
        "evidently": (str(EVIDENTLY), THEIRS, tuple(files)),
    }
    if not EVIDENTLY.exists():
        del asked["evidently"]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in asked if name in names}
    for _ in range(ROUNDS):
        for name, seen in found.items():
            python, code, arguments = asked[name]
            seen.append(run(python, code, *arguments))
    least = {
        name: tuple(min(each) for each in zip(*seen, strict=True))
        for name, seen in found.items()
    }
    for name, (spent, memory) in least.items():
        print(f"{name:34} {spent:8.3f} s   CPU, {memory:.0f} MB above the imports")
    if "evidently" not in least:
        print("Evidently was not asked: no ratios")
        return
    for name, (spent, memory) in least.items():
        if name in AIMS:
            times = least["evidently"][0] / spent
            print(machine.at_least(f"{name}, Evidently's CPU by ours", times, AIMS[name], "x"))
            times = least["evidently"][1] / memory
            print(machine.at_least(f"{name}, its memory by ours", times, MEMORY_AIM, "x"))


def ten(folder: Path) -> None:
    reference = written(folder, 100_000, seed=0, shift=0.0)
    path = folder / "ten.parquet"
    if not path.exists():
        one = pl.scan_parquet(written(folder, 1_000_000, seed=1, shift=0.05))
        pl.concat([one] * 10).sink_parquet(path, compression="lz4")
    spent, memory = run(sys.executable, OURS, str(reference), str(path), "homeostat")
    print(machine.against("report on 10M rows, CPU", spent, 10.0, "s", note=f"{memory:.0f} MB"))


def segment() -> None:
    frame = table(100_000, seed=0, shift=0.0)
    frozen = bins.freeze_table(frame)
    rows = frame[:10_000]
    spent = best(lambda: summary.summarise_table(rows, frozen))
    print(machine.against("summarise 10 000 predictions", spent * 1000, 50.0, "ms"))


def decision() -> None:
    frame = table(10_000, seed=0, shift=0.0)
    known = packed.read(baseline.encode(baseline.freeze(frame, features=frame.columns)))
    rows = table(1000, seed=1, shift=0.05).rows()
    spent = best(lambda: [known.one(row) for row in rows])
    note = "40 columns, beside the answer"
    print(machine.against("one decision against training", spent, 0.2, "ms", note=note))


def merged() -> None:
    frame = table(100_000, seed=0, shift=0.0)
    frozen = bins.freeze_table(frame)
    stored = [
        windows.pack(summary.summarise_table(frame.sample(4000, seed=i), frozen))
        for i in range(24)
    ] * 30
    size = sum(map(len, stored)) / 1e6
    spent = best(lambda: windows.merge(stored))
    note = f"720 windows of 4000 rows as they are stored, {size:.0f} MB"
    print(
        machine.against("merge 720 windows of 40 columns", spent * 1000, 50.0, "ms", note=note)
    )


def fair() -> None:
    rng = np.random.default_rng(0)
    y, decided = rng.random((2, 1_000_000)) < 0.4
    groups = pl.Series(rng.integers(0, 12, 1_000_000)).cast(pl.String)
    values = np.array(groups.to_list())
    spent = best(lambda: fairness.evaluate(fairness.count(y, decided, values, column="g")))
    print(machine.against("fairness on 1M rows x 12 groups", spent, 0.06, "s"))


def best(work: object, rounds: int = 3) -> float:
    spent = []
    for _ in range(rounds):
        started = time.process_time()
        work()  # type: ignore[operator]
        spent.append(time.process_time() - started)
    return min(spent)


def main(names: list[str]) -> None:
    print(machine.facts())
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        if {"exact", "summaries", "evidently"} & set(names):
            reports(names, folder)
        if "ten" in names:
            ten(folder)
    small = {"segment": segment, "windows": merged, "decision": decision, "fairness": fair}
    for name, work in small.items():
        if name in names:
            work()


if __name__ == "__main__":
    every = ["exact", "summaries", "evidently", "ten", "segment", "windows"]
    main(sys.argv[1:] or [*every, "decision", "fairness"])

"""How much the loop regains of what refitting after every batch would, and at which cost.

    python benchmarks/backtest.py elec2.parquet --target class
    python benchmarks/backtest.py bank_marketing.parquet --target y --drop duration

Tables are looked for in ../shared/data when they are not here. Ratios, not seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from homeostat.lifecycle.data import tables
from homeostat.lifecycle.loop import backtest, history

SHARED = Path(__file__).parents[2] / "shared" / "data"


BOTH = (("elec2.parquet", "class", []), ("bank_marketing.parquet", "y", ["duration"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--target")
    parser.add_argument("--drop", nargs="*", default=[])
    told = parser.parse_args()
    if told.data is not None:
        compare(told.data, target=told.target, drop=told.drop)
        return
    for name, target, drop in BOTH:
        if not (SHARED / name).exists():
            print(f"{name} is not in {SHARED}; skipped")
            continue
        print(name)
        compare(SHARED / name, target=target, drop=drop)


def compare(data: Path, *, target: str, drop: list[str]) -> None:
    path = data if data.exists() else SHARED / data
    rows = history.prepare(tables.read(path), target=target, drop=drop)
    policy = backtest.policy_for(target)
    found = {
        strategy: backtest.run(rows, policy, strategy=strategy)
        for strategy in ("static", "every-batch", "cron:10", "loop")
    }
    static, oracle = found["static"], found["every-batch"]
    gap = oracle.accuracy - static.accuracy
    for name, one in found.items():
        regained = (one.accuracy - static.accuracy) / gap if gap else float("nan")
        print(
            f"{name:12} accuracy {one.accuracy:.2%}  log loss {one.log_loss:.4f}  "
            f"regained {regained:5.2f}  fits {one.fits / oracle.fits:5.1%} ({one.fits})  "
            f"promotions {len(one.promotions)}  "
            f"harm alarms {sum(alarm.kind == 'harm' for alarm in one.alarms)}  "
            f"time {one.wall_s / oracle.wall_s:5.1%} ({one.wall_s:.1f} s)"
        )
    print(f"previous label {static.previous_label_accuracy:.2%}; notes: {rows.notes}")


if __name__ == "__main__":
    main()

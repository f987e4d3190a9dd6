"""How long the live loop takes from an alert of harm to a promotion, besides fit and labels.

    python benchmarks/promotion.py [--seed 7]

Lives through `homeostat demo` with its real processes, then reads the home it leaves: for each
alert of harm that led to a fit, when the first member that was fitted for it answered. Left
out is what the loop cannot hasten: the fit's run, and the wait for the labels of the exam.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple

import polars as pl

import machine
from homeostat.doors import local
from homeostat.doors.cli import ports
from homeostat.doors.client.client import Client
from homeostat.foundation import settings

NAME = "credit"
BUDGET_S = 2.0
EXAM = re.compile(r"rows (\d+) to (\d+) of")
COMMAND = "from homeostat.doors.cli import main; main()"


class Took(NamedTuple):
    """Seconds from the alert to the promotion, and those that were spent on fit and labels."""

    all_s: float
    fit_s: float
    labels_s: float

    @property
    def own_s(self) -> float:
        """What the loop itself took."""
        return self.all_s - self.fit_s - self.labels_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", default="7")
    seed = parser.parse_args().seed
    print(machine.facts())
    with tempfile.TemporaryDirectory() as folder:
        home = lived(pathlib.Path(folder), seed)
        with local.open_client(settings.load(home=home)) as client:
            found = promotions(client)
    for one in found:
        note = f"{one.all_s:.2f} s, of which fit {one.fit_s:.2f}, labels {one.labels_s:.2f}"
        told = "alert to promoted, the loop itself"
        print(machine.against(told, one.own_s, BUDGET_S, "s", note=note))
    if not found:
        sys.exit("no alert of harm led to a promotion")


def lived(folder: pathlib.Path, seed: str) -> pathlib.Path:
    """Live through the demo; return the home that it leaves."""
    arguments = ["--home", str(folder), "demo", "--exit", "--seed", seed]
    for name in ("--port", "--predict-port"):
        arguments += [name, str(ports.free("127.0.0.1"))]
    subprocess.run([sys.executable, "-c", COMMAND, *arguments], check=True)
    return next(place.parent for place in folder.rglob("project") if place.is_dir())


def promotions(client: Client) -> list[Took]:
    """Return what each alert of harm took until the first member fitted for it answered."""
    log = client.predictions.read(NAME, limit=100_000, with_labels=True)
    decisions = list(client.decisions.every(deployment=NAME))[::-1]
    found, alarm = [], None
    for one in decisions:
        if one.kind == "retrain" and "log_e" in one.evidence:
            alarm = one
        if one.kind != "promote" or alarm is None or "version" not in one.evidence:
            continue
        version = client.models.version(NAME, int(str(one.evidence["version"])))
        run = client.runs.get(version.run_id).run
        if run.started_at < alarm.at:
            continue
        rows = EXAM.search(client.reports.get(version.report_id).exam.rows)
        assert rows is not None
        first, end = map(int, rows.groups())
        known = log.filter(pl.col("row").is_between(first, end - 1))["known_at"].max()
        assert run.ended_at is not None
        fit_ms = run.ended_at - run.started_at
        labels_ms = max(0, int(known) - run.ended_at)
        found.append(Took(*(ms / 1000 for ms in (one.at - alarm.at, fit_ms, labels_ms))))
        alarm = None
    return found


if __name__ == "__main__":
    main()

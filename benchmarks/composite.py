"""What three members that answer together cost, against the sum of each answering alone.

    python benchmarks/composite.py [--rounds 7]

The starter project's pipeline is fitted three times; each model is packed and loaded as a
prediction server loads it (an ONNX twin), and asked in one pass as the engine asks it. CPU of
this process is counted, the least of some rounds.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import pathlib
import tempfile
import time
from collections.abc import Callable, Sequence

import machine
from homeostat.doors.cli import init
from homeostat.doors.cli.demo import lender
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.registry import format as formats
from homeostat.lifecycle.serving import composite, loading

BUDGET = 1.1
N_CALLS = {1: 2000, 16: 1000, 1000: 50}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(machine.facts())
    seats = members()
    for n_rows, n_calls in N_CALLS.items():
        rows = lender.Lender(9).applications(n_rows)
        columns = {name: rows[name].to_list() for name in lender.FEATURES}
        alone = [
            least(
                functools.partial(composite.score, [one._replace(weight=1.0)], columns, n_rows),
                n_calls,
                rounds,
            )
            for one in seats
        ]
        pass_once = functools.partial(composite.score, seats, columns, n_rows)
        together = least(pass_once, n_calls, rounds)
        note = f"{together * 1e6:.0f} us of CPU, alone {sum(alone) * 1e6:.0f} us in all"
        told = f"three members, {n_rows} rows a call"
        print(machine.against(told, together / sum(alone), BUDGET, "", note=note))


def members() -> Sequence[composite.Seat]:
    """Return three fitted models in their places."""
    with tempfile.TemporaryDirectory() as folder:
        project = pathlib.Path(folder, "project")
        init.write(project)
        spec = importlib.util.spec_from_file_location("pipeline", project / "pipeline.py")
        assert spec is not None
        assert spec.loader is not None
        pipeline = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(pipeline)
    found = []
    for number, weight in ((1, 0.2), (2, 0.3), (3, 0.5)):
        rows = lender.Lender(number).applications(3000)
        estimator = pipeline.credit(rows)
        features = rows.select(lender.FEATURES)
        files = formats.pack(estimator, schema=schemas.infer(features), example=features)
        found.append(composite.Seat(number, weight, loading.load(files).predictor))
    return found


def least(work: Callable[[], object], n_calls: int, rounds: int) -> float:
    """Return the CPU seconds of one call, the least of some rounds."""
    took = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(n_calls):
            work()
        took.append((time.process_time() - began) / n_calls)
    return min(took)


if __name__ == "__main__":
    main()

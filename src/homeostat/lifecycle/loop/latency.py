"""How long a model takes for one answer; called by `candidates`, and by `apart_child`.

The child has no house: nothing here may need one, or each start of it costs twice as much.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np
import polars as pl

from homeostat.lifecycle.registry.predictor import Predictor

CALLS: Final = 200
ROUNDS: Final = 3
BUSY: Final = 10.0  # times the median: something else had the core for a while


def measured(predictor: Predictor, rows: pl.DataFrame) -> float:
    """Measure one answer alone: the 99th percentile over some calls, in milliseconds.

    Where that is far above the median, the machine may have been busy with something else; it
    is measured again, and the lowest counts: others only ever add.

    Parameters
    ----------
    predictor
        In this process.
    rows
        Asked one at a time, the first again after the last.

    Returns
    -------
    float
        Milliseconds.
    """
    lowest = np.inf
    took = np.empty(CALLS)
    singles = [rows[i % rows.height] for i in range(min(rows.height, CALLS))]
    for _ in range(ROUNDS):
        for i in range(CALLS):
            row = singles[i % len(singles)]
            began = time.perf_counter()
            predictor.scores(row)
            took[i] = time.perf_counter() - began
        lowest = min(lowest, float(np.quantile(took, 0.99)))
        if lowest <= BUSY * float(np.median(took)):
            break
    return lowest * 1000.0

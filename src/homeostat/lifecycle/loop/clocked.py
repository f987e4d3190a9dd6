"""Strategies that look at nothing but the clock: never, every K batches, every batch.

Called by `backtest`; what the loop is compared with.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.loop import testbed


def answer(
    bed: testbed.Testbed,
    *,
    every: int | None,
    window: int | None,
    progress: Callable[[int, int], None] | None = None,
) -> testbed.Answers:
    """Answer every batch with the newest model, fitted anew by the clock.

    Parameters
    ----------
    bed
        The history with its options.
    every
        Batches between two fits; None for none after the first.
    window
        Newest labelled rows to learn from; None for all.
    progress
        Is told rows answered and rows to answer.

    Returns
    -------
    testbed.Answers
        Each fit is a promotion: its model answers alone from the next batch on.
    """
    model, start = bed.first, bed.rows.warmup
    parts: list[NDArray[np.float64]] = []
    promotions: list[testbed.Promotion] = []
    known_at = bed.known_at
    used = np.zeros(bed.n_rows, dtype=bool)
    used[:start] = True
    for number, (first, end) in enumerate(bed.batches()):
        if every is not None and number and number % every == 0:
            known = np.flatnonzero(known_at <= first)
            chosen = known[-window:] if window else known
            fitted = bed.fit(chosen)
            if fitted is not None:
                model = fitted
                used[chosen] = True
                version = str(len(promotions) + 2)
                promotions.append(testbed.Promotion(row=first, version=version))
        parts.append(model.chances(first, end))
        if progress is not None:
            progress(end - start, bed.n_rows - start)
    return testbed.Answers(
        chances=np.concatenate(parts),
        fits=len(promotions),
        labels_used=int(used.sum()),
        promotions=tuple(promotions),
        fit_rows=tuple(promotion.row for promotion in promotions),
    )

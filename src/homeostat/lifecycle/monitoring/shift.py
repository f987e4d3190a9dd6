"""Does a shift of the covariates hurt? Labelled reference rows are weighted like the window.

Called by `judge` when columns have drifted. The weights come from a logistic regression that
tells reference rows from window rows by the groups of the drifted columns; no model is fitted
to any label, and no new label is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import baseline, entities

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

_MOST_COLUMNS = 4
_LEAST_EFFECTIVE = 100.0
_LARGEST_WEIGHT = 20.0
_STEPS = 8
_RIDGE = 1.0
_ENOUGH = 1e-3
_Z = 1.64  # one-sided, 95 %


def effect(
    frozen: baseline.Baseline,
    codes: dict[str, baseline.Codes],
    columns: Sequence[str],
    *,
    tolerance: float = 0.02,
) -> entities.ShiftEffect | None:
    """Estimate the loss after a shift, if the outcome still depends on the columns as before.

    Parameters
    ----------
    frozen
        With labelled reference rows.
    codes
        Groups of the window's rows by column, shape ``(n,)`` each.
    columns
        The drifted ones, worst first; the first four are used.
    tolerance
        How much more loss is acceptable, in the share of wrong answers.

    Returns
    -------
    ShiftEffect or None
        None when the baseline has no labelled rows or no column has drifted. The verdict is
        ``unknown`` when the weights leave fewer than 100 rows, or the interval holds the
        tolerance.

    References
    ----------
    .. [1] S. Bickel, M. Brückner and T. Scheffer, "Discriminative learning under covariate
       shift", JMLR 10, 2009.
    .. [2] L. Kish, *Survey Sampling*, 1965: effective size of a weighted sample.
    """
    wrong = frozen.reference_wrong.astype(np.float64)
    used = [name for name in columns if name in codes and name in frozen.features]
    used = used[:_MOST_COLUMNS]
    if not len(wrong) or not used:
        return None
    places = [frozen.features.index(name) for name in used]
    both = np.vstack(
        [
            frozen.reference_codes[:, places],
            np.column_stack([codes[name] for name in used]),
        ]
    )
    weights = _weights(both.astype(np.intp), len(wrong))
    total = float(weights.sum())
    before, after = float(wrong.mean()), float(weights @ wrong) / total
    # The same rows stand on both sides, so the error is that of the difference.
    influence = weights / total * (wrong - after) - (wrong - before) / len(wrong)
    # The window is a sample too: its groups would hold other shares the next time.
    groups = both[: len(wrong)].astype(np.intp)
    between = sum(_between(groups[:, i], weights, wrong) for i in range(len(used)))
    error = math.sqrt(float(influence @ influence) + between / (len(both) - len(wrong)))
    effective = total**2 / float(weights @ weights)
    return entities.ShiftEffect(
        columns=tuple(used),
        loss_before=before,
        loss_after=after,
        standard_error=error,
        effective_rows=effective,
        verdict=verdict(after - before, error, effective, tolerance),
    )


def _between(groups: Codes, weights: Floats, wrong: Floats) -> float:
    """Variance between groups of the share answered wrongly, under the weights."""
    mass = np.bincount(groups, weights=weights)
    hit = np.bincount(groups, weights=weights * wrong)
    kept = mass > 0
    share = hit[kept] / mass[kept]
    center = float(hit.sum() / mass.sum())
    return float(mass[kept] @ (share - center) ** 2 / mass.sum())


def verdict(
    change: float, error: float, effective: float, tolerance: float
) -> Literal["harmless", "harmful", "unknown"]:
    """Say whether a change of the loss is beyond the tolerance, for all the noise it has."""
    if effective < _LEAST_EFFECTIVE:
        return "unknown"
    if change + _Z * error <= tolerance or change <= 0:
        return "harmless"
    return "harmful" if change - _Z * error > tolerance else "unknown"


def _weights(codes: Codes, n_reference: int) -> Floats:
    """Density of the window over that of the reference, at the reference rows; mean about 1.

    Newton's method with one coefficient for each group of each column. As every row has one
    group in a column, all products of the design are weighted counts: no matrix is built.
    """
    n, n_columns = codes.shape
    widths = codes.max(axis=0) + 1
    starts = np.concatenate([[0], np.cumsum(widths)])
    size = int(starts[-1])
    places = codes + starts[:-1]
    pairs = [
        (i, j, places[:, i] * size + places[:, j])
        for i in range(n_columns)
        for j in range(i, n_columns)
    ]
    target = (np.arange(n) >= n_reference).astype(np.float64)
    base = math.log((n - n_reference) / n_reference)
    beta = np.zeros(size)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(base + beta[places].sum(axis=1), -30, 30)))
        spread = np.maximum(chance * (1 - chance), 1e-9)
        slope, curve = -_RIDGE * beta, np.zeros(size * size)
        for i, j, cells in pairs:
            curve += np.bincount(cells, weights=spread, minlength=size * size)
            if i == j:
                slope += np.bincount(places[:, i], weights=target - chance, minlength=size)
        square = curve.reshape(size, size)
        # Pairs were counted once; the design's products are symmetric.
        square = square + square.T - np.diag(np.diag(square)) + _RIDGE * np.eye(size)
        step = np.linalg.solve(square, slope)
        beta += step
        if float(np.abs(step).max()) < _ENOUGH:
            break
    logit = base + beta[places[:n_reference]].sum(axis=1)
    odds = np.exp(np.clip(logit, -30, 30)) * (n_reference / (n - n_reference))
    return np.asarray(np.minimum(odds, _LARGEST_WEIGHT))

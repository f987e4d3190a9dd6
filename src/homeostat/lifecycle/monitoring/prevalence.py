"""Have only the shares of the two classes moved? Asked by `judge` before any other shift.

When positives become more frequent and each class looks as before, every column that tells the
classes apart moves at once, and by one number. A shift of one column alone is never taken for
it: a single column can be matched by almost any mixture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import baseline, drift, entities, shift
from homeostat.measures import drift as distances
from homeostat.measures import noise

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_LEAST_OF_A_CLASS = 30
_LEAST_COLUMNS = 2
_LEAST_CHANGE = 0.05
_LEAST_GAIN = 3.0
_MISFIT_CHANCE = 0.01
_STEPS = 200
_ENOUGH = 1e-6


def effect(
    frozen: baseline.Baseline,
    codes: dict[str, baseline.Codes],
    *,
    tolerance: float = 0.02,
) -> entities.ShiftEffect | None:
    """Estimate the share of positives, and the loss it brings, where that explains the shift.

    Parameters
    ----------
    frozen
        With labelled reference rows, 30 or more of each class.
    codes
        Groups of the window's rows by column, shape ``(n,)`` each.
    tolerance
        How much more loss is acceptable, in the share of wrong answers.

    Returns
    -------
    ShiftEffect or None
        None unless one mixture of the two classes fits every feature of the window (its
        distance is below the border of `drift.LEAST_EFFECT`, or no more than chance) and
        explains two or more better than the shares at training do.

    Notes
    -----
    Maximum likelihood of a mixture with two known components (their groups on the reference,
    half a row added to each), features taken as independent within a class; the share moves,
    the components do not [1]_. No calibrated probability is needed.

    References
    ----------
    .. [1] M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the outputs of a classifier
       to new a priori probabilities", Neural Computation 14, 2002.
    """
    positive = frozen.reference_positive
    sizes = (int((positive == 0).sum()), int((positive == 1).sum()))
    names = [name for name in frozen.features if name in codes]
    if min(sizes) < _LEAST_OF_A_CLASS:
        return None
    parts = {name: _components(frozen, name, positive) for name in names}
    before = sizes[1] / sum(sizes)
    after = _share([parts[name] for name in names], [codes[name] for name in names], before)
    if abs(after - before) < _LEAST_CHANGE:
        return None
    # The error of the mixture's shares, as of so many rows.
    rows = 1 / ((1 - after) ** 2 / sizes[0] + after**2 / sizes[1])
    explained = []
    for name in names:
        negative, of_positive = parts[name]
        mixed = (1 - after) * negative + after * of_positive
        usual = (1 - before) * negative + before * of_positive
        seen = np.bincount(codes[name], minlength=len(mixed))
        series = frozen.profiles[name].dependence
        if not _fits(mixed, seen, rows, series, n_columns=len(names)):
            return None
        gain = float(seen @ np.log(mixed / usual))
        if gain > _LEAST_GAIN * series.effect:
            explained.append((-gain, name))
    if len(explained) < _LEAST_COLUMNS:
        return None
    columns = tuple(name for _, name in sorted(explained))
    return _loss(frozen, columns, (before, after), tolerance)


def _components(
    frozen: baseline.Baseline, name: str, positive: NDArray[np.uint8]
) -> tuple[Floats, Floats]:
    """Shares of the groups among negatives and among positives."""
    place, width = frozen.features.index(name), len(frozen.profiles[name].grouped)
    groups = frozen.reference_codes[:, place]
    found = []
    for each in (0, 1):
        counts = np.bincount(groups[positive == each], minlength=width) + 0.5
        found.append(counts / counts.sum())
    return found[0], found[1]


def _share(
    parts: Sequence[tuple[Floats, Floats]], codes: Sequence[baseline.Codes], before: float
) -> float:
    """Maximise the likelihood of the window over the share of positives."""
    odds = np.zeros(len(codes[0]))
    for (negative, positive), groups in zip(parts, codes, strict=True):
        odds += (np.log(positive) - np.log(negative))[groups]
    ratio = np.exp(np.clip(odds, -30.0, 30.0))
    share = before
    for _ in range(_STEPS):
        updated = float(np.mean(share * ratio / (share * ratio + 1 - share)))
        done = abs(updated - share) < _ENOUGH
        share = min(1 - 1e-6, max(1e-6, updated))
        if done:
            break
    return share


def _fits(
    mixed: Floats, seen: Counts, rows: float, series: noise.Design, *, n_columns: int
) -> bool:
    """Say whether the window may come from the mixture, for all we know of its components."""
    kept = (seen > 0) | (mixed * seen.sum() >= 1)  # neither has any of the others
    scaled = np.round(mixed[kept] * 1e6).astype(np.int64)
    index = distances.population_stability_index(scaled, seen[kept]).value
    scale = 1 / rows + 1 / int(seen.sum())
    free = max(1, int(kept.sum()) - 1)
    if index - series.effect * free * scale <= drift.LEAST_EFFECT:
        return True
    chance = noise.chi_square_tail(index / scale, free, series)
    return chance * n_columns > _MISFIT_CHANCE


def _loss(
    frozen: baseline.Baseline,
    columns: tuple[str, ...],
    shares: tuple[float, float],
    tolerance: float,
) -> entities.ShiftEffect:
    before, after = shares
    wrong, positive = frozen.reference_wrong.astype(np.float64), frozen.reference_positive == 1
    among = [wrong[~positive], wrong[positive]]
    means = [float(each.mean()) for each in among]
    change = (after - before) * (means[1] - means[0])
    noise = [
        max(float(each.var()), 0.25 / len(each)) * (after - before) ** 2 / len(each)
        for each in among
    ]
    error = math.sqrt(sum(noise))
    effective = 1 / ((1 - after) ** 2 / len(among[0]) + after**2 / len(among[1]))
    loss = float(wrong.mean())
    return entities.ShiftEffect(
        columns=columns,
        loss_before=loss,
        loss_after=loss + change,
        standard_error=error,
        effective_rows=effective,
        verdict=shift.verdict(change, error, effective, tolerance),
        prior=shares,
    )

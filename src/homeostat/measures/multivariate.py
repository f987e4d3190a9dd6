"""Have rows moved as a whole, even where each column alone has not? Monitoring asks it.

A classifier tries to tell current rows from reference rows; if it can on rows it was not
fitted on, the tables differ, and its weights say by what.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import distributions

Floats = NDArray[np.float64]

LEAST_ROWS = 100
_MOST_COLUMNS = 20
_RIDGE = 1.0
_EDGE = 3.0
_BLOCKS = 10
_TURNS = 8
_FREEDOM = 2.0 * (_BLOCKS - 1)


class Separation(msgspec.Struct, frozen=True, kw_only=True):
    """How well current rows can be told from reference rows.

    `auc` is cross-fitted, 0.5 when they cannot; `p_value` the chance of at least that when
    nothing has changed; `weights` says how much each column contributes, largest first.
    """

    auc: float
    standard_error: float
    p_value: float
    weights: tuple[tuple[int, float], ...]


def separate(reference: Floats, current: Floats) -> Separation | None:
    """Tell two tables apart by a cross-fitted classifier.

    Parameters
    ----------
    reference, current
        Shape ``(n, k)`` and ``(m, k)``: numbers (times and categories as numbers that make
        sense, such as their frequency); NaN is missing. Rows in time order; the first 20
        columns are used.

    Returns
    -------
    Separation or None
        None with fewer than 100 rows in either table: not enough data.

    Raises
    ------
    ValueError
        When the tables have different columns or none.

    Notes
    -----
    Every column becomes the normal score of its rank in the reference; a ridge regression on
    scores, their squares and products then finds shifts of level, spread and correlation [1]_.
    Each table's rows are cut into eight blocks in time that take turns: the odd ones are scored
    by the even ones and the other way round, so that the classifier hardly knows the neighbours
    of the rows it is asked about, on which they may depend, and a change is seen when two
    blocks have it. Without a change the area under the curve of a part lies around 0.5. Its
    variance is that of ranks, ``(n + m + 1) / (12 n m)`` [2]_, or what the means of ten blocks
    of either table say where that is more; so the tail is Student's. The two parts are one
    question, so the smaller p-value is doubled.

    References
    ----------
    .. [1] D. Lopez-Paz and M. Oquab, "Revisiting classifier two-sample tests", ICLR 2017.
    .. [2] H. B. Mann and D. R. Whitney, "On a test of whether one of two random variables is
       stochastically larger than the other", Annals of Mathematical Statistics 18, 1947.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(2, 500, 2))
    >>> b[:, 1] = b[:, 0]
    >>> found = separate(a, b)
    >>> found.auc > 0.7, found.p_value < 1e-6
    (True, True)
    """
    if reference.ndim != 2 or reference.shape[1:] != current.shape[1:] or not reference.size:  # noqa: PLR2004
        msg = f"need two tables with the same columns; got {reference.shape}, {current.shape}"
        raise ValueError(msg)
    n, m = len(reference), len(current)
    if min(n, m) < LEAST_ROWS:
        return None
    used = min(_MOST_COLUMNS, reference.shape[1])
    rows = np.vstack([reference[:, :used], current[:, :used]])
    is_current = np.arange(n + m) >= n
    is_first = np.concatenate([_in_turns(n), _in_turns(m)])
    areas, errors, chances, strength = [], [], [], np.zeros(used)
    for tested in (is_first, ~is_first):
        ordered = [np.sort(rows[~tested & ~is_current, j]) for j in range(used)]
        features, owners = _expand(_normal_scores(rows, ordered))
        weights = _ridge(features[~tested], is_current[~tested].astype(np.float64))
        found = features[tested] @ weights
        area, error = _area(found[~is_current[tested]], found[is_current[tested]])
        areas.append(area)
        errors.append(error)
        chances.append(_student_tail((area - 0.5) / error))
        strength += _shares(np.abs(weights) * features.std(axis=0), owners, used)
    order = np.argsort(-strength, kind="stable")
    return Separation(
        auc=float(np.mean(areas)),
        standard_error=math.hypot(*errors) / 2,
        p_value=min(1.0, 2 * min(chances)),
        weights=tuple((int(j), float(strength[j] / 2)) for j in order),
    )


def _in_turns(n: int) -> NDArray[np.bool_]:
    """Which rows are in the first of two parts that take turns by contiguous blocks."""
    return np.asarray(np.arange(n) * _TURNS // n % 2 == 0)


def _normal_scores(rows: Floats, ordered: list[Floats]) -> Floats:
    """Rank among other rows, as a normal quantile; the missing stand in the middle."""
    found = np.zeros(rows.shape)
    for j, others in enumerate(ordered):
        known = others[~np.isnan(others)]
        column = rows[:, j]
        place = known.searchsorted(column, "left") + known.searchsorted(column, "right")
        share = (place / 2 + 0.5) / (len(known) + 1)
        # Logistic quantiles scaled to the normal: within 2 % of it up to the clipped edge.
        score = np.log(share / (1 - share)) * (math.sqrt(3) / math.pi)
        found[:, j] = np.where(np.isnan(column), 0.0, np.clip(score, -_EDGE, _EDGE))
    return found


def _expand(x: Floats) -> tuple[Floats, list[tuple[int, int]]]:
    """Columns, squares and products, centred, and which columns each is made of."""
    k = x.shape[1]
    owners = [(j, j) for j in range(k)]
    parts = [x[:, j] for j in range(k)]
    for i in range(k):
        for j in range(i, k):
            owners.append((i, j))
            parts.append(x[:, i] * x[:, j])
    found = np.column_stack(parts)
    return np.asarray(found - found.mean(axis=0)), owners


def _ridge(features: Floats, target: Floats) -> Floats:
    square: Floats = features.T @ features + _RIDGE * np.eye(features.shape[1])
    return np.asarray(np.linalg.solve(square, features.T @ (target - target.mean())))


def _area(negative: Floats, positive: Floats) -> tuple[float, float]:
    """Area under the curve, and its deviation when the two are alike."""
    n, m = len(negative), len(positive)
    above, below = _placements(negative, positive), _placements(positive, negative)
    independent = (n + m + 1) / (12 * n * m)
    dependent = _of_blocks(above) + _of_blocks(below)
    return float(above.mean()), math.sqrt(max(independent, dependent))


def _placements(among: Floats, values: Floats) -> Floats:
    """Share of other values below each value, ties by half."""
    ordered = np.sort(among)
    both = ordered.searchsorted(values, "left") + ordered.searchsorted(values, "right")
    return np.asarray(both / (2 * len(among)))


def _of_blocks(values: Floats) -> float:
    """Variance of the mean of values in time order, by the means of contiguous blocks."""
    means = [float(part.mean()) for part in np.array_split(values, _BLOCKS)]
    return float(np.var(means, ddof=1)) / _BLOCKS


def _student_tail(t: float) -> float:
    """Chance of more than `t`, with as many degrees of freedom as both tables' blocks leave."""
    half = distributions.beta_share(_FREEDOM / (_FREEDOM + t * t), _FREEDOM / 2, 0.5) / 2
    return half if t > 0 else 1 - half


def _shares(strength: Floats, owners: list[tuple[int, int]], used: int) -> Floats:
    total = np.zeros(used)
    for size, (i, j) in zip(strength.tolist(), owners, strict=True):
        total[i] += size / 2
        total[j] += size / 2
    return total / total.sum() if total.any() else total

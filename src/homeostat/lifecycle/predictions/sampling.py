"""Which rows to label next: a draw of fixed size whose chances are known; pure.

Every row has a chance above 0, so what is estimated from the labels stays unbiased, however
strongly the draw prefers rows that tell more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def uncertainty(scores: Floats) -> Floats:
    """Return how near each score is to the even chance, 0 to 1; shape as given.

    Examples
    --------
    >>> uncertainty(np.array([0.5, 0.75, 1.0])).tolist()
    [1.0, 0.5, 0.0]
    """
    near = 1.0 - np.abs(2.0 * scores - 1.0)
    return np.asarray(np.clip(np.nan_to_num(near, nan=1.0), 0.0, 1.0), dtype=np.float64)


def disagreement(member_scores: Sequence[Sequence[float]]) -> Floats:
    """Return the range of what the members said of each row, 0 to 1; 0 where one answered.

    Examples
    --------
    >>> disagreement([[0.25, 0.75], [0.4]]).tolist()
    [0.5, 0.0]
    """
    spans = [max(one) - min(one) if len(one) > 1 else 0.0 for one in member_scores]
    return np.clip(np.nan_to_num(np.asarray(spans, dtype=np.float64), nan=1.0), 0.0, 1.0)


def apart(member_scores: Sequence[Sequence[float]], n_members: Sequence[int]) -> Floats:
    """Return how far members are apart on each row, 1 for the furthest; for `chances`.

    Parameters
    ----------
    member_scores
        Of each row: of several classes a number for each, member after member; or the numbers
        of a regression.
    n_members
        How many answered each row.

    Examples
    --------
    >>> apart([[0.2, 0.8, 0.6, 0.4], [0.5, 0.5], [0.1, 0.9, 0.3, 0.7]], [2, 1, 2]).tolist()
    [1.0, 0.0, 0.5]
    """
    spans = np.zeros(len(member_scores))
    for at, (said, n) in enumerate(zip(member_scores, n_members, strict=True)):
        if n > 1:
            by_member = np.asarray(said, dtype=np.float64).reshape(n, -1)
            spans[at] = float(np.max(by_member.max(axis=0) - by_member.min(axis=0)))
    spans = np.nan_to_num(spans, nan=0.0)
    most = float(spans.max(initial=0.0))
    return np.asarray(np.round(spans / most, 12) if most > 0 else spans)


def chances(
    value: Floats, strata: Sequence[object], *, budget: int, random_share: float
) -> Floats:
    """Return with which chance each row is to be drawn.

    Parameters
    ----------
    value
        How much the label of a row is expected to tell, 0 or more, shape ``(n,)``.
    strata
        Group of each row; the random share is divided equally among groups.
    budget
        Rows to draw, 1 or more.
    random_share
        Share of the budget that goes by chance alone, in (0, 1].

    Returns
    -------
    ndarray
        In (0, 1], summing to ``min(budget, n)``.

    Notes
    -----
    ``min(1, c q)`` with ``q = (1 - e) v / sum(v) + e / (groups * size of the row's group)``
    and ``c`` such that they sum to the budget [1]_. With `value` near the expected loss this
    is the proposal of active testing [2]_, kept away from 0 by the random share.

    References
    ----------
    .. [1] C.-E. Särndal, B. Swensson, J. Wretman, *Model Assisted Survey Sampling*, 3.6, 1992.
    .. [2] J. Kossen, S. Farquhar, Y. Gal, T. Rainforth, *Active Testing: Sample-Efficient
       Model Evaluation*, ICML 2021.

    Examples
    --------
    >>> found = chances(np.array([3.0, 1.0, 0.0, 0.0]), "aabb", budget=2, random_share=0.5)
    >>> [round(float(one), 6) for one in found]
    [1.0, 0.5, 0.25, 0.25]
    """
    n = len(value)
    if n <= budget:
        return np.ones(n)
    names, group, sizes = np.unique(
        np.asarray([str(one) for one in strata]), return_inverse=True, return_counts=True
    )
    even = 1.0 / (len(names) * sizes[group])
    total = float(value.sum())
    aimed = value / total if total > 0 else even
    q = (1.0 - random_share) * aimed + random_share * even
    found = np.zeros(n)
    sure = np.zeros(n, dtype=bool)
    while True:
        rest = ~sure
        found[sure] = 1.0
        found[rest] = (budget - int(sure.sum())) * q[rest] / q[rest].sum()
        over = rest & (found >= 1.0)
        if not over.any():
            return found
        sure |= over


def draw(chance: Floats, strata: Sequence[object], *, start: float) -> list[int]:
    """Draw rows with the given chances; their number is fixed.

    Parameters
    ----------
    chance
        From `chances`, rows in the order of time, shape ``(n,)``.
    strata
        Group of each row.
    start
        Uniform in [0, 1): the only thing that is random.

    Returns
    -------
    list of int
        Rows, ascending.

    Notes
    -----
    Systematic sampling with unequal chances [1]_ along groups and time, which also spreads
    the rows over both. Each row is drawn with exactly its chance.

    References
    ----------
    .. [1] W. G. Madow, *On the Theory of Systematic Sampling, II*, Annals of Mathematical
       Statistics 20 (1949).

    Examples
    --------
    >>> draw(np.full(6, 0.5), "ababab", start=0.5)
    [1, 2, 5]
    """
    certain = [at for at in range(len(chance)) if chance[at] >= 1.0]
    order = sorted(
        (at for at in range(len(chance)) if chance[at] < 1.0),
        key=lambda at: (str(strata[at]), at),
    )
    upto = np.cumsum(chance[order])
    n_drawn = round(float(upto[-1])) if order else 0
    if not n_drawn:
        return certain
    # The sum is a whole number; what rounding left of it must not cost the last row.
    upto *= n_drawn / upto[-1]
    steps = np.arange(n_drawn, dtype=np.float64)
    points = np.minimum(steps + start, np.nextafter(steps + 1.0, 0.0))
    places = np.searchsorted(upto, points, side="right")
    return sorted({*certain, *(order[min(int(at), len(order) - 1)] for at in places)})


def share(values: Sequence[float], chance: Sequence[float], *, n_rows: int) -> float:
    """Estimate the mean of a value over all rows from those that were drawn.

    Parameters
    ----------
    values
        Of each drawn row, such as 1 where the answer was wrong.
    chance
        With which it was drawn, in (0, 1].
    n_rows
        Rows that it was drawn from.

    Returns
    -------
    float
        Unbiased, whatever the chances were [1]_; all drawn rows must be given.

    References
    ----------
    .. [1] D. G. Horvitz, D. J. Thompson, *A Generalization of Sampling Without Replacement
       from a Finite Universe*, JASA 47 (1952).

    Examples
    --------
    >>> share([1.0, 0.0], [0.5, 0.25], n_rows=10)
    0.2
    """
    return sum(one / pi for one, pi in zip(values, chance, strict=True)) / n_rows

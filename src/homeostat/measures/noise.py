"""What sampling alone does to a distance; drift reports and monitoring subtract it."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import distributions

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_LEAST_BLOCKS = 30
_LEAST_BLOCK = 20
_STRONG = 1.5


def wasserstein(reference: Counts, current: Counts, edges: Floats) -> tuple[float, float]:
    """Return the first Wasserstein distance of two histograms and its mean by chance alone.

    Parameters
    ----------
    reference, current
        Shape ``(k + 1,)`` each, counts on the bins between `edges`, a row in each.
    edges
        Shape ``(k,)``, increasing, in the unit of the column; what lies outside counts as if
        it were on the outer edge.

    Returns
    -------
    tuple
        Distance and noise, in the unit of the column.

    Raises
    ------
    ValueError
        When the shapes do not fit or a histogram is empty.

    Notes
    -----
    Without a change, the difference of the two distribution functions at x is about normal
    with variance ``F (1 - F) (1 / n + 1 / m)``; the mean of its absolute value is that
    deviation times ``sqrt(2 / pi)``, and the noise is its integral [1]_. `drift.wasserstein`
    gives a p-value by simulation, for 200 times the work.

    References
    ----------
    .. [1] E. del Barrio, E. Giné and C. Matrán, "Central limit theorems for the Wasserstein
       distance between the empirical and the true distributions", Annals of Probability 27,
       1999.

    Examples
    --------
    >>> far, usual = wasserstein(np.array([0, 9, 0]), np.array([0, 9, 0]), np.array([0.0, 1.0]))
    >>> far, usual
    (0.0, 0.0)
    """
    n, m = int(reference.sum()), int(current.sum())
    if reference.shape != current.shape or len(edges) + 1 != len(reference) or min(n, m) < 1:
        shapes = f"{reference.shape}, {current.shape} and {edges.shape}"
        msg = f"need two histograms on the edges with rows in each; got {shapes}, {n}, {m}"
        raise ValueError(msg)
    centers = np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])
    widths = np.diff(centers)
    below, above = (np.cumsum(x)[:-1] for x in (reference, current))
    pooled = (below + above) / (n + m)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    with np.errstate(over="ignore", invalid="ignore"):
        value = float(np.abs(below / n - above / m) @ widths)
        usual = float(spread @ widths) * math.sqrt(2 / math.pi)
    return value, usual


class Design(msgspec.Struct, frozen=True):
    """How much more the counts of a dependent series vary than those of independent rows.

    `effect` is the mean factor on their variance (1 for independent rows), `spread` the
    squared coefficient of variation of the factors, `n_blocks` what they were measured on.
    """

    effect: float = 1.0
    spread: float = 0.0
    n_blocks: int = 0


def design(codes: NDArray[np.integer], *, n_groups: int) -> Design:
    """Measure how strongly rows that follow each other in time depend on each other.

    Parameters
    ----------
    codes
        Shape ``(n,)``: group of each row of the reference, 0 to ``n_groups - 1``, in time
        order.
    n_groups
        Number of groups, 2 or more.

    Returns
    -------
    Design
        Independent (effect 1) with fewer than 600 rows, and where blocks are so unlike each
        other that the rows must be sorted rather than in time order.

    Notes
    -----
    The reference is cut into thirty blocks; their counts vary by the design effects times what
    a multinomial would. A block of b rows misses about 1 / b of a strong dependence, so that
    is measured on doubled blocks too and drawn out; dependence much longer than a block is not
    seen. The trace of the squared matrix is corrected for the number of blocks, without which
    thirty blocks of independent rows would look uneven.

    References
    ----------
    .. [1] J. N. K. Rao and A. J. Scott, "On chi-squared tests for multiway contingency tables
       with cell proportions estimated from survey data", Annals of Statistics 12, 1984.
    .. [2] H. R. Künsch, "The jackknife and the bootstrap for general stationary
       observations", Annals of Statistics 17, 1989: blocks.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.integers(0, 5, 3000)
    >>> round(design(rows, n_groups=5).effect, 1)
    1.0
    >>> design(np.repeat(rows, 5), n_groups=5).effect > 3
    True
    """
    n_blocks = _LEAST_BLOCKS
    length = len(codes) // n_blocks
    if length < _LEAST_BLOCK or n_groups < 2:  # noqa: PLR2004 - one group does not vary
        return Design()
    used = codes[: length * n_blocks].astype(np.intp)
    cells = np.repeat(np.arange(n_blocks), length) * n_groups + used
    counts = np.bincount(cells, minlength=n_blocks * n_groups).reshape(n_blocks, n_groups)
    shares = counts.sum(axis=0) / len(used)
    kept = shares > 0
    if kept.sum() < 2:  # noqa: PLR2004
        return Design()
    root = np.sqrt(shares[kept])
    scaled = (counts[:, kept] - length * shares[kept]) / (math.sqrt(length) * root)
    free, df = n_blocks - 1, int(kept.sum()) - 1
    square = scaled @ scaled.T / free  # its traces are those of the factors' matrix
    effect = float(np.trace(square)) / df
    raw = float(np.sum(square**2))
    trace = (raw - (effect * df) ** 2 / free) * free**2 / ((free - 1) * (free + 2))
    if effect > length / 2:
        return Design(1.0, 0.0, n_blocks)
    spread = max(0.0, trace / (df * effect**2) - 1) if effect > 0 else 0.0
    if effect > _STRONG:
        joined = scaled[0::2] + scaled[1::2]
        doubled = float(np.sum(joined**2)) / (2 * df * (n_blocks / 2 - 1))
        effect = max(effect, min(2 * effect, 2 * doubled - effect))
    # A series steadier than chance (balanced by design) earns no smaller noise.
    return Design(max(1.0, effect), min(spread, float(df)), n_blocks)


def chi_square_tail(statistic: float, df: int, series: Design) -> float:
    """Return the p-value of a chi-square statistic whose rows depend on each other in time.

    Parameters
    ----------
    statistic
        Of independent rows, 0 or more.
    df
        Its degrees of freedom there, 1 or more.
    series
        From `design`.

    Returns
    -------
    float
        In 0 to 1, by Rao and Scott's second correction: the statistic over ``effect (1 +
        spread)`` is about chi-square with ``df / (1 + spread)`` degrees of freedom; with the
        design measured on few blocks, an F distribution takes its place.

    Examples
    --------
    >>> [round(chi_square_tail(16.9, 9, Design(*by)), 2) for by in ((), (2.0, 0.0, 30))]
    [0.05, 0.49]
    """
    if not series.n_blocks or (series.effect <= 1 and series.spread <= 0):
        return distributions.chi_square_tail(statistic, df)
    inner = df / (1 + series.spread)
    outer = inner * (series.n_blocks - 1)
    ratio = statistic / (series.effect * df)
    return distributions.beta_share(outer / (outer + inner * ratio), outer / 2, inner / 2)


def resample(
    codes: NDArray[np.integer], *, n_groups: int, n_rows: int, draws: int = 200, seed: int = 0
) -> Counts:
    """Draw windows from a reference, in blocks that keep its dependence in time.

    Parameters
    ----------
    codes
        Shape ``(n,)``, n >= 1: group of each row of the reference, in time order.
    n_groups
        Number of groups.
    n_rows
        Rows of a window, 1 or more.
    draws
        Number of windows, 1 or more.
    seed
        Of the draws.

    Returns
    -------
    NDArray
        Shape ``(draws, n_groups)``: counts of each window. What any distance to the reference
        shows on them is its noise for windows of this size.

    Raises
    ------
    ValueError
        When there is no row, or a number is below 1.

    Notes
    -----
    Circular moving blocks of about the cube root of the reference, at least 1 and at most a
    window; counts of a block are differences of running sums, so long windows cost nothing.

    References
    ----------
    .. [1] D. N. Politis and J. P. Romano, "A circular block-resampling procedure for
       stationary data", 1992.

    Examples
    --------
    >>> resample(np.array([0, 1, 1, 0]), n_groups=2, n_rows=10, draws=3).sum(axis=1).tolist()
    [10, 10, 10]
    """
    n = len(codes)
    if not n or min(n_rows, draws, n_groups) < 1:
        msg = f"need rows, groups and draws; got {n}, {n_rows}, {n_groups} and {draws}"
        raise ValueError(msg)
    length = max(1, min(n_rows, n, round(2 * n ** (1 / 3))))
    rng = np.random.default_rng(seed)
    twice = np.concatenate([codes, codes[:length]]).astype(np.intp)
    running = np.zeros((len(twice) + 1, n_groups), dtype=np.int64)
    running[np.arange(1, len(twice) + 1), twice] = 1
    np.cumsum(running, axis=0, out=running)
    found = np.zeros((draws, n_groups), dtype=np.int64)
    left = n_rows
    while left:
        taken = min(length, left)
        starts = rng.integers(0, n, draws)
        found += running[starts + taken] - running[starts]
        left -= taken
    return found

"""What sampling alone does to a distance; drift reports and monitoring subtract it."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import distributions

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_FEW_BLOCKS = 30
_MOST_BLOCKS = 100
_LEAST_BLOCKS = 8
_LEAST_BLOCK = 20
_BLOCKS_OF_MEMORY = 4
_QUIET_LAGS = 5
_MOST_LAGS = 400
_MOST_ROWS = 20_000


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
    squared coefficient of variation of the factors, `n_blocks` what they were measured on,
    `third` the mean of the cubed factors over the cube of their mean, `memory` the rows after
    which no dependence is seen, and `factors` the factors themselves, the largest first, drawn
    together by what the noise of the blocks adds to their spread.
    """

    effect: float = 1.0
    spread: float = 0.0
    n_blocks: int = 0
    third: float = 1.0
    memory: int = 0
    factors: tuple[float, ...] = ()

    @property
    def largest(self) -> float:
        """Largest factor: that of the slowest change of the counts."""
        return max((self.effect, *self.factors[:1]))

    def joined(self, df: int) -> Design:
        """Return the design of the same rows in fewer groups.

        Parameters
        ----------
        df
            Degrees of freedom after groups were joined, 1 or more.

        Returns
        -------
        Design
            With the `df` largest factors. Joining groups projects their counts, so each
            factor that remains is at most the one of the same rank before (Cauchy's
            interlacing theorem [1]_): never too small a variance.

        References
        ----------
        .. [1] R. A. Horn and C. R. Johnson, *Matrix Analysis*, 2nd ed., 2013, theorem 4.3.17.
        """
        if df >= len(self.factors):
            return self
        kept = self.factors[:df]
        mean = math.fsum(kept) / df
        return Design(
            effect=mean,
            spread=math.fsum((f / mean - 1) ** 2 for f in kept) / df,
            n_blocks=self.n_blocks,
            third=math.fsum((f / mean) ** 3 for f in kept) / df,
            memory=self.memory,
            factors=kept,
        )


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
        Independent (effect 1) with fewer than 600 rows, and where each group comes in one piece
        or two, so that the rows must be sorted rather than in time order.

    Notes
    -----
    Rows belong together over `memory` lags: up to the first five in a row whose
    autocorrelation is noise. From it come the long-run variance (flat-top kernel of twice
    that width) [1]_ and the length of blocks, four times the memory, between a hundredth and
    an eighth of the reference [2]_. The counts of the blocks say how unequal the factors are
    [3]_. The largest of three effects counts: of these blocks, of thirty long ones (for what
    moves slowly), and of the long-run variance. The trace of the squared matrix is corrected
    for the number of blocks, without which those of independent rows would look uneven. Where
    nothing is above its own noise, rows are independent.

    Assumed: the reference is stationary, in time order, and longer than about twenty times
    the dependence. Slower waves are not seen; those nearly as slow leave so few independent
    rows that windows are too small to judge.

    References
    ----------
    .. [1] D. N. Politis and H. White, "Automatic block-length selection for the dependent
       bootstrap", Econometric Reviews 23, 2004.
    .. [2] H. R. Künsch, "The jackknife and the bootstrap for general stationary
       observations", Annals of Statistics 17, 1989.
    .. [3] J. N. K. Rao and A. J. Scott, "On chi-squared tests for multiway contingency tables
       with cell proportions estimated from survey data", Annals of Statistics 12, 1984.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.integers(0, 5, 3000)
    >>> design(rows, n_groups=5).effect
    1.0
    >>> design(np.repeat(rows, 5), n_groups=5).effect > 3
    True
    """
    least = len(codes) // _FEW_BLOCKS
    if least < _LEAST_BLOCK or n_groups < 2:  # noqa: PLR2004 - one group does not vary
        return Design()
    shares = np.bincount(codes, minlength=n_groups) / len(codes)
    df = int(np.count_nonzero(shares)) - 1
    if df < 1:
        return Design()
    of_few = float(_factors(codes, shares, least).mean())
    n_runs = 1 + int(np.count_nonzero(np.diff(codes)))
    if of_few > least / 2 and n_runs <= 2 * n_groups:
        return Design(n_blocks=_FEW_BLOCKS)
    long_run, memory = _long_run(codes[:_MOST_ROWS], shares, df)
    length = min(_BLOCKS_OF_MEMORY * memory, len(codes) // _LEAST_BLOCKS)
    length = max(_LEAST_BLOCK, len(codes) // _MOST_BLOCKS, length)
    n_blocks = len(codes) // length
    free = n_blocks - 1
    factors = _factors(codes, shares, length)
    effect = float(factors.mean())
    largest = max(effect, of_few)
    raw = float(factors @ factors)
    trace = (raw - (effect * df) ** 2 / free) * free**2 / ((free - 1) * (free + 2))
    spread = min(float(df), max(0.0, trace / (df * effect**2) - 1)) if effect > 0 else 0.0
    if not memory and largest <= 1 + math.sqrt(2 / (_FEW_BLOCKS * df)):
        return Design(n_blocks=n_blocks)
    # A series steadier than chance (balanced by design) earns no smaller noise.
    used = max(1.0, largest, long_run)
    relative = _drawn_together(factors, spread)
    return Design(
        effect=used,
        spread=spread,
        n_blocks=n_blocks,
        third=float(np.mean(relative**3)),
        memory=memory,
        factors=tuple((used * relative).tolist()),
    )


def _factors(codes: NDArray[np.integer], shares: Floats, length: int) -> Floats:
    """Factors on the variance of the counts of blocks: eigenvalues, one for each free group."""
    n_groups, n_blocks = len(shares), len(codes) // length
    cells = np.repeat(np.arange(n_blocks), length) * n_groups
    cells += codes[: length * n_blocks].astype(np.intp)
    counts = np.bincount(cells, minlength=n_blocks * n_groups).reshape(n_blocks, n_groups)
    used = counts.sum(axis=0) / (length * n_blocks)
    kept = used > 0
    scaled = (counts[:, kept] - length * used[kept]) / np.sqrt(length * used[kept])
    square = scaled.T @ scaled if kept.sum() < n_blocks else scaled @ scaled.T
    found = np.zeros(max(1, int(np.count_nonzero(shares)) - 1))
    largest = np.linalg.eigvalsh(square / (n_blocks - 1))[::-1][: len(found)]
    found[: len(largest)] = np.maximum(largest, 0.0)
    return found


def _long_run(codes: NDArray[np.integer], shares: Floats, df: int) -> tuple[float, int]:
    """Variance of long sums over that of independent rows, and the lags that matter."""
    n = len(codes)
    weights = np.divide(1 / df, shares, out=np.zeros_like(shares), where=shares > 0)[codes]

    def alike(lag: int) -> float:
        same = codes[lag:] == codes[:-lag]
        return float(weights[:-lag] @ same) / (n - lag) - 1 / df

    limit = 2 * math.sqrt(math.log10(n) / (n * df))
    most = min(n // 5, _MOST_LAGS)
    seen: list[float] = []
    quiet = 0
    while quiet < _QUIET_LAGS and len(seen) < most:
        seen.append(alike(len(seen) + 1))
        quiet = quiet + 1 if abs(seen[-1]) < limit else 0
    memory = len(seen) - quiet
    width = 2 * memory
    seen += [alike(lag) for lag in range(len(seen) + 1, min(width, most) + 1)]
    kept = zip(range(1, width + 1), seen, strict=False)
    return 1 + 2 * sum(r * min(1.0, 2 * (1 - lag / width)) for lag, r in kept), memory


def _drawn_together(factors: Floats, spread: float) -> Floats:
    """Factors over their mean, drawn together until their spread is `spread`."""
    mean = float(factors.mean())
    if mean <= 0:
        return np.ones(len(factors))
    away = factors / mean - 1
    raw = float(away @ away) / len(away)
    shrink = min(1.0, math.sqrt(spread / raw)) if raw > 0 else 0.0
    return np.asarray(1 + shrink * away)


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
        In 0 to 1. The statistic is a sum of chi-squares with unequal factors; it is taken for
        a shifted chi-square with the same mean, variance and skewness [1]_, and for an F where
        the factors were measured on few blocks. Two moments only (Rao and Scott's second
        correction) make small p-values up to thirty times too small when one factor leads, as
        in a series with a memory of 0.95.

    References
    ----------
    .. [1] J. P. Imhof, "Computing the distribution of quadratic forms in normal variables",
       Biometrika 48, 1961 (Pearson's approximation by three moments).

    Examples
    --------
    >>> [round(chi_square_tail(16.9, 9, Design(*by)), 2) for by in ((), (2.0, 0.0, 30))]
    [0.05, 0.51]
    """
    if not series.n_blocks or (series.effect <= 1 and series.spread <= 0):
        return distributions.chi_square_tail(statistic, df)
    second = 1 + series.spread
    third = max(series.third, second**2)  # no factors have less
    inner = df * second**3 / third**2
    away = statistic / series.effect - df
    moved = inner + away * math.sqrt(inner / (df * second))
    if moved <= 0:
        return 1.0
    outer = series.n_blocks - 1
    return distributions.beta_share(outer / (outer + moved), outer / 2, inner / 2)


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
    Circular moving blocks of twice the cube root of the reference, or four times the memory
    that `design` finds in it, at most a window; counts of a block are differences of running
    sums, so long windows cost nothing.

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
    memory = design(codes, n_groups=n_groups).memory
    length = max(1, min(n_rows, n, max(_BLOCKS_OF_MEMORY * memory, round(2 * n ** (1 / 3)))))
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

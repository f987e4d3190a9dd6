"""How much more do counts of hours vary than by chance? For columns that follow the clock.

Used by `monitoring.wandering`: each hour's rows fall into the groups of a column; where the
shares of the groups differ from hour to hour, a window of an hour says little of all of them.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import noise

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

LEAST_ROWS = 20
_LEAST_BLOCKS = 5
_LEAST_EXPECTED = 5.0
_Z = 3.0


def of_blocks(counts: Counts) -> noise.Design | None:
    """Measure how much more blocks of rows vary than blocks of independent rows.

    Parameters
    ----------
    counts
        Shape ``(blocks, groups)``: rows of each block in each group.

    Returns
    -------
    Design or None
        Independent where the blocks vary no more than by chance (three standard errors); None
        with fewer than five blocks of 20 rows.

    Notes
    -----
    Pearson's statistic against the pooled shares, over its degrees of freedom [1]_; the factors
    are the eigenvalues of the blocks' standardised counts, as in `noise.design`. Groups that
    expect fewer than five rows of a usual block are one.

    References
    ----------
    .. [1] D. A. Williams, "Extra-binomial variation in logistic linear models", Applied
       Statistics 31, 1982.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> of_blocks(rng.multinomial(100, [0.5, 0.3, 0.2], 24)).effect
    1.0
    >>> by_hour = 0.5 + 0.3 * np.sin(np.arange(24) / 24 * 2 * np.pi)
    >>> rows = rng.binomial(100, by_hour)
    >>> of_blocks(np.column_stack([rows, 100 - rows])).effect > 5
    True
    """
    kept = counts[counts.sum(axis=1) >= LEAST_ROWS]
    if len(kept) < _LEAST_BLOCKS:
        return None
    joined = _joined(kept)
    n = joined.sum(axis=1, keepdims=True)
    shares = joined.sum(axis=0) / joined.sum()
    free = len(joined) - 1
    df = free * (len(shares) - 1)
    if not df:
        return noise.Design()
    scaled = (joined - n * shares) / np.sqrt(n * shares)
    if float((scaled**2).sum()) <= df + _Z * math.sqrt(2 * df):
        return noise.Design(n_blocks=len(joined))
    found = np.linalg.eigvalsh(scaled.T @ scaled / free)[::-1]
    return of_factors(np.maximum(found[: len(shares) - 1], 0.0), n_blocks=len(joined))


def of_factors(factors: Floats, *, n_blocks: int) -> noise.Design:
    """Return the design of factors that were measured.

    Parameters
    ----------
    factors
        Shape ``(k,)``, k >= 1, above 0 on average, the largest first.
    n_blocks
        On how many blocks.

    Returns
    -------
    Design
        No factor is smaller than 1.
    """
    mean = float(factors.mean())
    relative = factors / mean
    return noise.Design(
        effect=max(1.0, mean),
        spread=float(np.mean((relative - 1) ** 2)),
        n_blocks=n_blocks,
        third=float(np.mean(relative**3)),
        factors=tuple(np.maximum(factors, 1.0).tolist()),
    )


def usual(found: list[noise.Design | None]) -> noise.Design | None:
    """Return the lower median by effect.

    Parameters
    ----------
    found
        Of several days, or weeks.

    Returns
    -------
    Design or None
        None without two that are known.

    Notes
    -----
    What has changed for good makes one day unlike itself, and the days before and after it not.
    Of the blocks of all half count: a median knows about as much.
    """
    known = sorted((one for one in found if one is not None), key=lambda one: one.effect)
    if len(known) < 2:  # noqa: PLR2004 - said above
        return None
    n_blocks = sum(one.n_blocks for one in known) // 2
    return msgspec.structs.replace(known[(len(known) - 1) // 2], n_blocks=n_blocks)


def _joined(counts: Counts) -> Counts:
    """Join groups that are rare in a usual block into one, and leave out empty ones."""
    expected = np.median(counts.sum(axis=1)) * counts.sum(axis=0) / counts.sum()
    is_rare = expected < _LEAST_EXPECTED
    kept, rare = counts[:, ~is_rare], counts[:, is_rare].sum(axis=1, keepdims=True)
    if not rare.any():
        return kept
    if expected[is_rare].sum() >= _LEAST_EXPECTED or not kept.shape[1]:
        return np.hstack([kept, rare])
    least = int(np.argmin(kept.sum(axis=0)))
    kept = kept.copy()
    kept[:, least] += rare[:, 0]
    return kept

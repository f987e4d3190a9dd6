"""How far out does a tail reach? Extreme values judged by the outer fiftieth of what was seen.

Used by `rarity` and by prediction servers; only numpy is imported.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TOP: Final = 0.02
LEAST_EXCESSES: Final = 20
MOST_INDEX: Final = 8.0
_Z: Final = 1.64


class Tail(msgspec.Struct, frozen=True, array_like=True):
    """An exponential tail beyond `start`, which a share of `above` lies above.

    `scale` is the upper end of the mean excess's interval, so that levels hold in practice.
    """

    start: float
    scale: float
    above: float = TOP

    def chance(self, value: float) -> float:
        """Find the chance of a value as large.

        Parameters
        ----------
        value
            Any.

        Returns
        -------
        float
            1 below `start`.
        """
        if value <= self.start:
            return 1.0
        return self.above * math.exp(-(value - self.start) / self.scale) if self.scale else 0.0


def fit(values: Floats) -> Tail | None:
    """Fit the upper tail of values that were seen.

    Parameters
    ----------
    values
        Shape ``(n,)``, finite.

    Returns
    -------
    Tail or None
        None with fewer than 1,000 values: twenty must lie in the outer fiftieth.

    Notes
    -----
    Excesses over a high border are taken as exponential, the middle of the generalised Pareto
    family [1]_; their mean has a relative error of ``1 / sqrt(k)``, and its upper end (95 %,
    one-sided) is used. Assumed: tails no heavier than exponential, which sums of logarithms of
    chances have.

    References
    ----------
    .. [1] J. Pickands, "Statistical inference using extreme order statistics", Annals of
       Statistics 3, 1975.

    Examples
    --------
    >>> found = fit(np.random.default_rng(0).exponential(size=5000))
    >>> 1e-5 < found.chance(10.0) < 1e-3
    True
    """
    k = int(len(values) * TOP)
    if k < LEAST_EXCESSES:
        return None
    ordered = np.sort(values)
    start = float(ordered[-k - 1])
    excess = float((ordered[-k:] - start).mean())
    return Tail(start, excess / (1 - _Z / math.sqrt(k)))


def hill(reach: Floats, counts: NDArray[np.int64], n: int) -> float:
    """Return the lower end of Hill's index, from the outer fiftieth.

    Parameters
    ----------
    reach
        Distances that grow, one for each bin: its far side. Shape ``(k,)``.
    counts
        Values in each bin.
    n
        All values.

    Returns
    -------
    float
        Index of a tail that falls as a power of the distance, at most 8; 0 where there are too
        few values to know.

    References
    ----------
    .. [1] B. M. Hill, "A simple general approach to inference about the tail of a
       distribution", Annals of Statistics 3, 1975.
    """
    beyond = np.cumsum(counts[::-1])[::-1]
    inside = np.flatnonzero(beyond <= n * TOP)
    if not len(inside) or inside[0] == 0:
        return 0.0
    start = float(reach[inside[0] - 1])
    k = int(counts[inside].sum())
    if start <= 0 or k < LEAST_EXCESSES // 2:
        return 0.0
    total = float(counts[inside] @ np.log(np.maximum(reach[inside], start) / start))
    index = k / total if total > 0 else MOST_INDEX
    return min(MOST_INDEX, index * max(0.0, 1 - _Z / math.sqrt(k)))

"""Do the highest scores come more often than at training? Asked of each window by `columns`."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import bursts, noise

Floats = NDArray[np.float64]

SHARE: Final = 0.05
LEAST_ROWS: Final = 10
LEAST_BURSTS: Final = 15


class High(msgspec.Struct, frozen=True):
    """The highest twentieth of the scores of a baseline.

    They lie above `above`, `n_rows` of `n_known`; `effect` is how much more such a number
    varies than that of independent rows, at the upper end of its interval.
    """

    above: float
    n_rows: int
    n_known: int
    effect: float


def freeze(x: Floats, dependence: noise.Design) -> High | None:
    """Return the highest twentieth of scores; None where it is fewer than ten rows.

    Nor is there any where these are worth fewer than fifteen rows that come alone: nobody
    knows how often they come then.

    Parameters
    ----------
    x
        Shape ``(n,)``, in time order, NaN where there is none.
    dependence
        Of the groups of the scores, which holds until ten bursts of high ones were seen.
    """
    known = x[~np.isnan(x)]
    above = float(np.quantile(known, 1 - SHARE)) if len(known) else 0.0
    is_high = known > above
    if int(is_high.sum()) < LEAST_ROWS:
        return None
    effect = bursts.effect(is_high, dependence)
    if int(is_high.sum()) < LEAST_BURSTS * effect:
        return None
    return High(above, int(is_high.sum()), len(known), effect)


def chance(x: Floats, high: High) -> tuple[float, float]:
    """Return the share of such scores in a window, and the chance of so many or more.

    Parameters
    ----------
    x
        Shape ``(n,)``, NaN where there is none.
    high
        Of the baseline.

    Notes
    -----
    When positives become frequent, scores that were rare come often, and hardly vary without
    it: where 250 rows with a memory of 0.8 are worth 28, tenths of all scores say less. Of 200
    such windows after a rise from 3 to 50 % 98 % are found at the yearly budget instead of 92.
    Rows that come together count as one for every `effect` of them (beta-binomial).
    """
    known = x[~np.isnan(x)]
    n_high = int(np.sum(known > high.above))
    before = (high.n_rows, high.n_known)
    found = bursts.more_of(n_high, len(known), before, weight=high.effect)
    return n_high / max(1, len(known)), found

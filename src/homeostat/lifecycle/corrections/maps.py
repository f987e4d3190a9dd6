"""Maps of recalibrations: from the score of a composite to the probability that labels showed.

Called by `compiled` where answers are corrected, by `calibrating` where maps are fitted, and
where an explanation follows a map.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable

from homeostat.lifecycle.corrections.entities import Recalibration

_NEAREST = 1e-15


def mapped(body: Recalibration) -> Callable[[float], float]:
    """Return the map of a recalibration.

    Parameters
    ----------
    body
        With its knots, or slope and intercept.

    Returns
    -------
    callable
        From a score to a probability, both 0 to 1; non-decreasing.

    Examples
    --------
    >>> halve = mapped(Recalibration(method="isotonic", knots=((0.0, 0.0), (1.0, 0.5))))
    >>> halve(0.5), halve(1.0)
    (0.25, 0.5)
    >>> round(mapped(Recalibration(method="platt", intercept=-1.0))(0.5), 4)
    0.2689
    """
    if body.method == "platt":
        return _platt(body.slope, body.intercept)
    xs = [x for x, _ in body.knots]
    ys = [y for _, y in body.knots]

    def between(score: float) -> float:
        after = bisect.bisect_right(xs, score)
        if after == 0:
            return ys[0]
        if after == len(xs):
            return ys[-1]
        x, y = xs[after - 1], ys[after - 1]
        return y + (ys[after] - y) * (score - x) / (xs[after] - x)

    return between


def _platt(slope: float, intercept: float) -> Callable[[float], float]:
    def sigmoid(score: float) -> float:
        near = min(max(score, _NEAREST), 1.0 - _NEAREST)
        level = slope * math.log(near / (1.0 - near)) + intercept
        if level >= 0:
            return 1.0 / (1.0 + math.exp(-level))
        grown = math.exp(level)
        return grown / (1.0 + grown)

    return sigmoid

"""Does a model rest on other columns than at training? Asked hourly by `loop.looking`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring.checks import Check, Number
from homeostat.measures import distributions, drift

Floats = NDArray[np.float64]

NAME: Final = "attribution drift"
LEAST_ROWS: Final = 100
LEAST_CHANGE: Final = 0.05
_BLOCKS: Final = 20
_SHOWN: Final = 3


def check(
    before: Floats,
    now: Floats,
    *,
    names: Sequence[str],
    level: float,
    method: str = "",
    deployment: str = "",
) -> Check:
    """Compare the shares that columns have in what moves the score.

    Parameters
    ----------
    before, now
        Contributions of rows of the training and of the newest rows, in time order; shapes
        ``(n, k)`` and ``(m, k)``.
    names
        Of the `k` columns.
    level
        Chance of a false finding over all columns.
    method
        How contributions were found, for people.
    deployment
        For the command.

    Returns
    -------
    Check
        Found when the share of a column has changed by 0.05 or more and, over all columns, by
        chance no more often than `level`; unknown with fewer than 100 rows of either.

    Notes
    -----
    A share is the mean absolute contribution of a column over the sum of all columns'. Its
    error is that of a ratio, from the means of twenty contiguous blocks [1]_, so that rows may
    depend on their neighbours; Holm's step is over the columns.

    References
    ----------
    .. [1] W. G. Cochran, *Sampling Techniques*, 1977, chapter 6.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(2, 400, 2))
    >>> check(a, b, names=["x", "y"], level=0.01).verdict
    'fine'
    >>> check(a, b * [3, 1], names=["x", "y"], level=0.01).verdict
    'found'
    """
    query = f"homeostat monitor check {deployment} --json"
    few = min(len(before), len(now))
    if few < LEAST_ROWS:
        told = f"{few} explained rows are too few; {LEAST_ROWS} are needed"
        return Check(name=NAME, verdict="unknown", sentence=told, query=query)
    (old, old_variance), (new, new_variance) = (_shares(np.abs(one)) for one in (before, now))
    change = new - old
    errors = np.sqrt(old_variance + new_variance)
    freedom = 2.0 * (_BLOCKS - 1)
    chances = [
        _two_sided(abs(float(by)) / float(error), freedom) if error > 0 else float(by == 0)
        for by, error in zip(change, errors, strict=True)
    ]
    adjusted = np.array(drift.holm(chances))
    is_found = (np.abs(change) >= LEAST_CHANGE) & (adjusted <= level)
    order = np.argsort(np.where(is_found, -1.0, 0.0) - np.abs(change), kind="stable")[:_SHOWN]
    told = ", ".join(f"{names[i]} {old[i]:.0%} → {new[i]:.0%}" for i in order)
    how = f" ({method})" if method else ""
    return Check(
        name=NAME,
        verdict="found" if is_found.any() else "fine",
        sentence=f"shares of columns in what moves the score{how}, training → newest "
        f"{len(now):,} rows: {told}",
        numbers={
            f"share of {names[i]}": Number(
                float(new[i]),
                max(0.0, float(new[i] - 1.96 * math.sqrt(new_variance[i]))),
                min(1.0, float(new[i] + 1.96 * math.sqrt(new_variance[i]))),
            )
            for i in order
        }
        | {"p": Number(float(adjusted.min()))},
        query=query,
    )


def _shares(sizes: Floats) -> tuple[Floats, Floats]:
    """Return the share of each column and its variance."""
    total = float(sizes.sum(axis=1).mean())
    if total <= 0:
        return np.zeros(sizes.shape[1]), np.zeros(sizes.shape[1])
    share = sizes.mean(axis=0) / total
    left = (sizes - share * sizes.sum(axis=1, keepdims=True)) / total
    means = np.array([part.mean(axis=0) for part in np.array_split(left, _BLOCKS)])
    return share, np.asarray(means.var(axis=0, ddof=1) / _BLOCKS)


def _two_sided(t: float, freedom: float) -> float:
    return distributions.beta_share(freedom / (freedom + t * t), freedom / 2, 0.5)

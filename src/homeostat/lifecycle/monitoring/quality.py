"""Is the feed whole? Null bursts, stuck columns, renamed categories; called by `columns`.

Each test returns the rows it is about, so that only those are kept out of training.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import baseline
from homeostat.measures import bins, bursts, distributions

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_BURST_SHARE = 0.98
_LEAST_SHARE = 0.9
_LEAST_NATS = 20.0
_LEAST_ROWS = 8
_LONGER = 4
_STUCK_ROWS = 20
_STUCK_CHANCE = 1e-8
_RENAMED_SHARE = 0.8


class Stretch(NamedTuple):
    """Rows ``[first, end)`` of the window, and how strongly they speak (nats)."""

    first: int
    end: int
    evidence: float


def null_burst(missing: Flags, profile: baseline.Profile) -> Stretch | None:
    """Return the stretch of rows in which a value that used to be there is missing.

    Parameters
    ----------
    missing
        Shape ``(n,)``, True where the row has no value.
    profile
        Of the baseline.

    Returns
    -------
    Stretch or None
        Where at least nine in ten rows miss it, with 20 nats or more against the
        baseline's share; values that used to vanish together count less, by their effect,
        and must be gone for four times as long as they ever were.
    """
    least = max(_LEAST_ROWS * profile.missing_effect, _LONGER * profile.longest_missing)
    if int(missing.sum()) < least:
        return None
    before = (profile.grouped[-1] + 0.5) / (profile.n + 1)
    if before >= 0.5:  # noqa: PLR2004 - a column that is mostly missing cannot burst
        return None
    gone = math.log(_BURST_SHARE / before)
    there = math.log((1 - _BURST_SHARE) / (1 - before))
    totals = np.concatenate([[0.0], np.cumsum(np.where(missing, gone, there))])
    rise = totals - np.minimum.accumulate(totals)
    end = int(np.argmax(rise))
    first = end - int(np.argmin(totals[: end + 1][::-1]))
    if end - first < least or rise[end] < _LEAST_NATS * profile.missing_effect:
        return None
    if float(missing[first:end].mean()) < _LEAST_SHARE:
        return None
    return Stretch(first, end, float(rise[end]))


def stuck(x: Floats, profile: baseline.Profile) -> Stretch | None:
    """Return the run of one value that is too long to be chance.

    Parameters
    ----------
    x
        Shape ``(n,)``, the column in time order, NaN where missing.
    profile
        Of the baseline; a column in which one value holds a fifth of the rows or more is not
        asked, for it may pause naturally.

    Returns
    -------
    Stretch or None
        When the run is at least 20 rows, three times the longest of the baseline, and has a
        chance below 1e-8 at the baseline's share of repeats.
    """
    if not profile.is_number or profile.top_share >= 0.2:  # noqa: PLR2004 - said above
        return None
    runs = baseline.run_lengths(x)
    if not len(runs) or runs.max() < max(_STUCK_ROWS, 3 * profile.longest_run):
        return None
    k = int(np.argmax(runs))
    log_chance = math.log(len(x)) + (int(runs[k]) - 1) * math.log(profile.repeat_share)
    if log_chance > math.log(_STUCK_CHANCE):
        return None
    first = int(runs[:k].sum())
    return Stretch(first, first + int(runs[k]), -log_chance)


def missing_chance(missing: Flags, profile: baseline.Profile) -> float:
    """Return the chance of so many missing values or more, as the baseline misses them.

    Values that vanish together count as one for every `profile.missing_effect` of them; the
    baseline's share is known from its rows only, so the count is beta-binomial.
    """
    before = (profile.grouped[-1], profile.n)
    return bursts.more_of(
        int(missing.sum()), len(missing), before, weight=profile.missing_effect
    )


def outside(x: Floats, profile: baseline.Profile) -> tuple[int, float]:
    """Count values outside the baseline's range, and the chance of so many or more.

    Rows that depend on each other leave the range together, so rows less than the memory
    of the baseline apart count once.

    References
    ----------
    .. [1] S. S. Wilks, "Statistical prediction with special reference to the problem of
       tolerance limits", Annals of Mathematical Statistics 13, 1942: the share outside the
       range of n rows has a beta distribution with shapes 2 and n - 1.
    """
    if profile.minimum is None or profile.maximum is None:
        return 0, 1.0
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero((x < profile.minimum) | (x > profile.maximum))
    if not len(rows):
        return 0, 1.0
    length = max(1, profile.dependence.memory, round(profile.dependence.effect))
    known = profile.n - profile.grouped[-1]
    seen, before = (max(2, round(m / length)) for m in (int(np.sum(~np.isnan(x))), known))
    stretches = min(seen, bursts.count(rows, length))
    share = distributions.beta_binomial_tail
    return len(rows), share(stretches, seen, 2.0, float(before - 1))


def unseen_chance(rows: NDArray[np.intp], n: int, profile: baseline.Profile) -> float:
    """Return the chance of unseen categories in so many stretches of a window or more.

    A rare category that comes stays for a while, so rows less than the memory of the
    baseline apart count once; `rows` are those with an unseen one, of `n`.

    References
    ----------
    .. [1] I. J. Good, "The population frequencies of species and the estimation of
       population parameters", Biometrika 40, 1953: the chance that the next row is of a new
       category is about the share of categories seen once.
    """
    if not len(rows):
        return 1.0
    length = max(1, profile.dependence.memory, round(profile.dependence.effect))
    *known, others, _ = profile.grouped
    once = sum(0 < count <= length for count in known) + -(-others // length)
    share = min(0.5, (once + 1) / (profile.n / length + 1))
    return at_least(min(bursts.count(rows, length), -(-n // length)), -(-n // length), share)


def at_least(k: int, n: int, share: float) -> float:
    """Return the chance of `k` or more of `n` at a share (binomial).

    Examples
    --------
    >>> round(at_least(1, 2, 0.5), 6), at_least(0, 5, 0.1)
    (0.75, 1.0)
    """
    if k <= 0:
        return 1.0
    return distributions.beta_share(share, k, n - k + 1)


def renamed(values: pl.Series, kept: bins.CategoryBins) -> NDArray[np.intp]:
    """Return the rows whose category is a known one written differently (case, spaces).

    Parameters
    ----------
    values
        The column in time order.
    kept
        Categories of the baseline.

    Returns
    -------
    NDArray
        Row numbers, increasing; empty unless such rows are most of the unseen ones.
    """
    known = set(kept.categories)
    plain = {_plain(name) for name in known}
    unseen = [
        (i, name)
        for i, name in enumerate(values.cast(pl.String).to_list())
        if name is not None and name not in known
    ]
    alike = [i for i, name in unseen if _plain(name) in plain]
    if len(alike) < _LEAST_ROWS or len(alike) < _RENAMED_SHARE * len(unseen):
        return np.zeros(0, dtype=np.intp)
    return np.array(alike, dtype=np.intp)


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())

"""What was promised and what is left of it: error budgets and how fast they burn; pure.

Called by `loop.measuring`. An objective counts good and bad events over a time; what it needs
to know of them is how many there were between two instants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.policy import Objective
from homeostat.measures import intervals

Standing = Literal["kept", "burning-slow", "burning-fast", "spent", "no-data"]
Count = Callable[[int, int], "Counted"]
"""How many events there were from an instant to before another; milliseconds UTC."""

CHANCE: Final = 0.001
"""What a budget that is only just kept would call burning, at most."""


class Counted(NamedTuple):
    """Events of a time; milliseconds where moments are counted."""

    good: float
    total: float


class _Pair(NamedTuple):
    """A long window with its short one, as parts of the objective's time."""

    long_part: float
    threshold: float
    of_most: float
    is_fast: bool


# Of 30 days: an hour, six hours, three days [1]_; each with a twelfth of it.
_PAIRS: Final = (
    _Pair(1 / 720, 14.4, 0.5, is_fast=True),
    _Pair(1 / 120, 6.0, 0.25, is_fast=True),
    _Pair(1 / 10, 1.0, 0.0, is_fast=False),
)
_SHORT: Final = 12


class Burn(msgspec.Struct, frozen=True, kw_only=True):
    """How fast the budget is spent in a long window and in its last twelfth.

    Attributes
    ----------
    long_ms, short_ms
        Milliseconds.
    long, short
        1 spends the budget exactly by the end of the objective's time; None without events.
    threshold
        Both must reach it.
    is_over
        Whether they do, and more than chance would.
    is_fast
        Whether somebody should look now.
    """

    long_ms: int
    short_ms: int
    long: float | None
    short: float | None
    threshold: float
    is_over: bool
    is_fast: bool


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How an objective stands.

    Attributes
    ----------
    name, of, target, window_ms
        As promised.
    model_class
        The class of models it is promised for; empty for the deployment's own.
    standing
        ``spent`` is a budget that is used up and does not burn now; ``no-data`` says that
        there was nothing to count.
    good, total
        Events within the window: rows, requests, hours; milliseconds for freshness.
    share
        Of good ones; None without any.
    budget_left
        1 untouched, 0 used up, below 0 overdrawn; None without events.
    burns
        The fastest first.
    sentence
        For people.
    at
        Milliseconds UTC.
    """

    name: str
    of: str
    target: float
    window_ms: int
    model_class: str = ""
    standing: Standing
    good: float
    total: float
    share: float | None
    budget_left: float | None
    burns: tuple[Burn, ...]
    sentence: str
    at: int


def judge(
    name: str,
    promised: Objective,
    count: Count,
    *,
    now: int,
    model_class: str = "",
    what: str = "events",
) -> Kept:
    """Say how an objective stands.

    Parameters
    ----------
    name, promised
        As in the policy.
    count
        Events between two instants.
    now
        Milliseconds UTC.
    model_class
        Where the objective comes from, if not from the deployment itself.
    what
        What is counted, for people.

    Returns
    -------
    Kept
        With the burn rates of three pairs of windows.

    Notes
    -----
    The burn rate of a window is the share of bad events in it over the share that the target
    allows. People are told when a long window and its last twelfth both burn at 14.4, 6 or 1
    times the budget, as [1]_ recommends for 30 days (an hour, six hours, three days); other
    times are cut in the same parts. A target below 93 % cannot burn 14.4 times as fast, so a
    threshold is at most 1 plus a half (then a quarter) of what there is above 1. With few
    events a single bad one would burn: the exact chance of so many in the long window, were
    the budget just kept, must be below one in a thousand (moments are not chance).

    References
    ----------
    .. [1] S. Thurgood et al., "Alerting on SLOs", in: B. Beyer et al. (eds.), The Site
       Reliability Workbook, O'Reilly 2018, chapter 5.

    Examples
    --------
    >>> fast = Objective(of="latency", target=0.99, within="50ms")
    >>> kept = judge("fast", fast, lambda since, until: Counted(900.0, 1000.0), now=0)
    >>> kept.standing, round(kept.budget_left, 6), [round(b.long, 6) for b in kept.burns]
    ('burning-fast', -9.0, [10.0, 10.0, 10.0])
    """
    allowed = 1 - promised.target
    is_time = promised.of == "freshness"
    burns = tuple(
        _burn(pair, promised, count, now=now, allowed=allowed, is_time=is_time)
        for pair in _PAIRS
    )
    whole = count(now - promised.window_ms, now)
    share = whole.good / whole.total if whole.total else None
    left = None if share is None else 1 - (1 - share) / allowed
    over = [one for one in burns if one.is_over]
    standing: Standing = "kept"
    if share is None:
        standing = "no-data"
    elif over:
        standing = "burning-fast" if over[0].is_fast else "burning-slow"
    elif left is not None and left <= 0:
        standing = "spent"
    return Kept(
        name=name,
        of=promised.of,
        target=promised.target,
        window_ms=promised.window_ms,
        model_class=model_class,
        standing=standing,
        good=whole.good,
        total=whole.total,
        share=share,
        budget_left=left,
        burns=burns,
        sentence=_tell(promised, whole, left, over, what=what),
        at=now,
    )


def of_events(at: Sequence[int] | NDArray[np.int64], good: NDArray[np.bool_]) -> Count:
    """Return what counts single events.

    Parameters
    ----------
    at
        Shape ``(n,)``: when each happened, milliseconds UTC.
    good
        Shape ``(n,)``.
    """
    when = np.asarray(at, dtype=np.int64)
    order = np.argsort(when, kind="stable")
    when = when[order]
    sums = np.concatenate([[0], np.cumsum(np.asarray(good, dtype=np.int64)[order])])

    def count(since: int, until: int) -> Counted:
        first, end = np.searchsorted(when, [since, until])
        return Counted(float(sums[end] - sums[first]), float(end - first))

    return count


def of_slots(slots: Sequence[tuple[int, float, float]]) -> Count:
    """Return what counts slots of time: begin (milliseconds UTC), good and all events."""
    found = sorted(slots)
    when = np.array([slot[0] for slot in found], dtype=np.int64)
    good = np.concatenate([[0.0], np.cumsum([slot[1] for slot in found])])
    total = np.concatenate([[0.0], np.cumsum([slot[2] for slot in found])])

    def count(since: int, until: int) -> Counted:
        first, end = np.searchsorted(when, [since, until])
        return Counted(float(good[end] - good[first]), float(total[end] - total[first]))

    return count


def of_silence(seen: Sequence[int], *, within_ms: int, begin: int) -> Count:
    """Return what counts moments: good ones are no longer after something was seen.

    Parameters
    ----------
    seen
        When something was seen, milliseconds UTC.
    within_ms
        How long a moment stays good.
    begin
        Moments before do not count; milliseconds UTC.

    Examples
    --------
    >>> of_silence([0, 100], within_ms=30, begin=0)(0, 200)
    Counted(good=60.0, total=200.0)
    """
    when = np.unique(np.asarray([begin, *seen], dtype=np.int64))
    following = np.append(when[1:], 2**62)
    fresh_until = np.minimum(when + within_ms, following)

    def count(since: int, until: int) -> Counted:
        first = max(since, begin)
        if until <= first:
            return Counted(0.0, 0.0)
        low, high = np.maximum(when, first), np.minimum(fresh_until, until)
        return Counted(float(np.maximum(high - low, 0).sum()), float(until - first))

    return count


def _burn(
    pair: _Pair,
    promised: Objective,
    count: Count,
    *,
    now: int,
    allowed: float,
    is_time: bool,
) -> Burn:
    long_ms = max(1, round(promised.window_ms * pair.long_part))
    short_ms = max(1, round(long_ms / _SHORT))
    long, short = count(now - long_ms, now), count(now - short_ms, now)
    most = 1 / allowed
    threshold = min(pair.threshold, 1 + pair.of_most * (most - 1))
    rates = [
        (1 - one.good / one.total) / allowed if one.total else None for one in (long, short)
    ]
    is_over = all(rate is not None and rate >= threshold for rate in rates)
    if is_over and not is_time:
        bad = round(long.total - long.good)
        seen = intervals.clopper_pearson(bad, round(long.total), level=1 - 2 * CHANCE)
        is_over = seen.low > allowed
    return Burn(
        long_ms=long_ms,
        short_ms=short_ms,
        long=rates[0],
        short=rates[1],
        threshold=threshold,
        is_over=is_over,
        is_fast=pair.is_fast,
    )


def _tell(
    promised: Objective,
    whole: Counted,
    left: float | None,
    over: Sequence[Burn],
    *,
    what: str,
) -> str:
    if left is None:
        return f"nothing to count within {promised.window}: it is not known whether it is kept"
    share = whole.good / whole.total
    counted = "of the time" if promised.of == "freshness" else f"of {whole.total:,.0f} {what}"
    verb = "was" if promised.of == "freshness" else "were"
    told = (
        f"{share:.2%} {counted} {verb} good within {promised.window}; "
        f"{promised.target * 100:.6g}% is promised"
    )
    if over:
        rate = over[0].long or 0.0
        hours = over[0].long_ms / 3_600_000
        time = f"{hours:.3g} h" if hours < 48 else f"{hours / 24:.3g} d"  # noqa: PLR2004 - two days
        return f"{told}, and the budget burns {rate:.1f} times too fast over the last {time}"
    if left <= 0:
        return f"{told}: the budget is used up"
    return f"{told}: {left:.0%} of the budget is left"

"""How a deployment is served: slower, failing more or fuller than at this hour of other weeks.

Pure; called by `loop.looking` with what the prediction server has counted. Latency is the 95th
percentile, saturation the requests that were answered at once: by Little's law, how many came
in a second times how long each took.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import checks
from homeostat.lifecycle.monitoring.checks import Check, Number
from homeostat.measures import distributions

Floats = NDArray[np.float64]

LEAST_REQUESTS: Final = 100
LEAST_FACTOR: Final = 1.5
LEAST_ERRORS: Final = 0.01
_HOUR_S: Final = 3600.0
_LEAST_DEVIATION: Final = 0.05
_KNOWN: Final = 0.5
_TO_DEVIATION: Final = 1.4826


class Hour(NamedTuple):
    """Requests of an hour: all, those that failed, and how many took at most so long."""

    starts_at: int
    total: int
    failed: int
    within: Mapping[str, int]


class _Asked(NamedTuple):
    """One question: values of each hour, and what makes a change large enough."""

    name: str
    told: str
    values: Floats
    floor: float


def check(
    hours: Sequence[Hour], *, now: int, level: float, deployment: str = ""
) -> list[Check]:
    """Compare the last whole hour with the same hour of other weeks.

    Parameters
    ----------
    hours
        With requests, in order.
    now
        Milliseconds UTC.
    level
        Chance of a false finding in an hour, for each of the three.
    deployment
        For the command.

    Returns
    -------
    list of Check
        ``service latency``, ``service errors``, ``service saturation``. With four weeks or more
        the same hour of the week counts, with two weeks the same hour of the day; with less
        nothing is known. Only what got worse, by half or more (of errors: one in a hundred
        more), is found.

    Notes
    -----
    On a scale on which changes add (logarithms, of errors the arcsine of the root of the
    share), the last hour is compared with the median of its slot; the deviation is that of each
    hour from the median of its slot without itself, by the median of absolute values. The tail
    is Student's, because slots have few weeks. Hours with fewer than 100 requests say nothing.
    """
    query = f"homeostat monitor check {deployment}"
    last = now // checks.HOUR_MS - 1
    by_hour = {one.starts_at // checks.HOUR_MS: one for one in hours}
    asked = _asked(by_hour, last)
    if asked is None:
        n = 0 if last not in by_hour else by_hour[last].total
        told = f"{n} requests in the last whole hour are too few; {LEAST_REQUESTS} are needed"
        return [_unknown(name, told, query) for name in ("latency", "errors", "saturation")]
    return [_judged(one, level=level, query=query) for one in asked]


def _unknown(name: str, told: str, query: str) -> Check:
    return Check(name=f"service {name}", verdict="unknown", sentence=told, query=query)


def _asked(by_hour: Mapping[int, Hour], last: int) -> list[_Asked] | None:
    """Return the three series up to the last hour; None where it has too few requests."""
    if last not in by_hour or by_hour[last].total < LEAST_REQUESTS:
        return None
    first = max(min(by_hour), last - checks.MOST_WEEKS * checks.WEEK)
    slow, wrong, full = (np.full(last - first + 1, np.nan) for _ in range(3))
    for at, one in by_hour.items():
        if not first <= at <= last or one.total < LEAST_REQUESTS:
            continue
        slow[at - first] = math.log(percentile(one, 0.95))
        wrong[at - first] = math.asin(math.sqrt(min(1.0, one.failed / one.total)))
        full[at - first] = math.log(_mean(one) * one.total / _HOUR_S)
    n = by_hour[last].total
    return [
        _Asked("latency", "95 % of requests took at most {:.3g} s", slow, _LEAST_DEVIATION),
        _Asked("errors", "{:.2%} of requests failed", wrong, 0.5 / math.sqrt(n)),
        _Asked("saturation", "{:.3g} requests were answered at once", full, _LEAST_DEVIATION),
    ]


def _judged(asked: _Asked, *, level: float, query: str) -> Check:
    values = asked.values
    period = checks.WEEK if len(values) > checks.LEAST_WEEKS * checks.WEEK else checks.DAY
    n = (len(values) - 1) // period
    if period == checks.DAY and n < checks.LEAST_DAYS:
        told = f"{max(0, n)} whole days are known; {checks.LEAST_DAYS} are needed"
        return _unknown(asked.name, told, query)
    slots = values[-1 - n * period : -1].reshape(n, period)
    known = np.count_nonzero(~np.isnan(slots), axis=0)
    if known[0] < _KNOWN * n:
        told = f"this hour had requests in {known[0]} of {n} {_slot(period)}s only"
        return _unknown(asked.name, told, query)
    middle = float(np.nanmedian(slots[:, 0]))
    left = [
        abs(slots[i, j] - np.nanmedian(np.delete(slots[:, j], i)))
        for j in np.flatnonzero(known > _KNOWN * n)
        for i in np.flatnonzero(~np.isnan(slots[:, j]))
    ]
    deviation = max(asked.floor, _TO_DEVIATION * float(np.median(left)))
    reach = distributions.student_quantile(1 - level, 4.0 * (n - 1)) * deviation
    back = _share if asked.name == "errors" else math.exp
    seen, usual, most = (back(one) for one in (values[-1], middle, middle + reach))
    large = usual + LEAST_ERRORS if asked.name == "errors" else usual * LEAST_FACTOR
    sentence = asked.told.format(seen)
    return Check(
        name=f"service {asked.name}",
        verdict="found" if seen > max(most, large) else "fine",
        sentence=f"{sentence} in the last whole hour; {usual:.3g} is usual for the "
        f"{_slot(period)}, up to {most:.3g} by chance",
        numbers={asked.name: Number(seen), "usual": Number(usual, None, most)},
        query=query,
    )


def _slot(period: int) -> str:
    return "hour of the week" if period == checks.WEEK else "hour of the day"


def _share(angle: float) -> float:
    return math.sin(min(max(angle, 0.0), math.pi / 2)) ** 2


def percentile(hour: Hour, share: float) -> float:
    """Return the time within which a share of the requests was answered, inside its bucket.

    Parameters
    ----------
    hour
        With requests.
    share
        In (0, 1).

    Examples
    --------
    >>> one = Hour(0, 100, 0, {"0.1": 90, "0.2": 100, "+Inf": 100})
    >>> percentile(one, 0.95)
    0.15
    """
    edges = sorted((float(edge), n) for edge, n in hour.within.items() if edge != "+Inf")
    wanted = share * hour.total
    before, low = 0, 0.0
    for edge, n in edges:
        if n >= wanted and n > before:
            return round(low + (edge - low) * (wanted - before) / (n - before), 9)
        before, low = n, edge
    return low or 1.0


def _mean(hour: Hour) -> float:
    """Mean time of a request, taken in the middle of its bucket."""
    edges = sorted((float(edge), n) for edge, n in hour.within.items() if edge != "+Inf")
    total, before, low = 0.0, 0, 0.0
    for edge, n in edges:
        total += (n - before) * (low + edge) / 2
        before, low = n, edge
    total += (hour.total - before) * low
    return max(total / hour.total, 1e-6)

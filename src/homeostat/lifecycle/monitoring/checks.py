"""What a deployment is asked beside its windows: does as much arrive as usual, late, or twice.

Pure; called by `loop.checking`. Every answer is a `Check`: numbers with intervals, a sentence,
and the command that shows what it rests on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.measures import distributions, intervals

HOUR_MS: Final = 3_600_000
WEEK: Final = 168
DAY: Final = 24
MOST_WEEKS = 8
LEAST_WEEKS = 4
LEAST_DAYS = 14
LEAST_CHANGE = 0.2
REPEATED_SHARE = 0.01
LEAST_ROWS = 100
_TO_DEVIATION = 1.4826

Verdict = Literal["fine", "found", "told", "unknown"]


class Number(msgspec.Struct, frozen=True):
    """A value with its interval, where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One answer.

    Attributes
    ----------
    verdict
        ``found`` asks for a look; ``told`` is an estimate that decides nothing; ``unknown``
        says in `sentence` what is missing.
    query
        A command that shows the evidence.
    """

    name: str
    verdict: Verdict
    sentence: str
    numbers: dict[str, Number] = {}
    query: str = ""


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """How well the newest mature rows were answered.

    Attributes
    ----------
    as_of
        Milliseconds UTC; nothing that became known later counts.
    maturity
        How long a row waits for its label, as the policy writes it.
    n_mature, n_labelled
        Answered rows that are old enough, and those of them that have a label.
    metrics
        With 95 % intervals; empty where fewer than 30 rows are labelled.
    """

    deployment: str
    as_of: int
    maturity: str
    n_mature: int
    n_labelled: int
    metrics: dict[str, Number]
    sentence: str


def volume(
    counts: Sequence[tuple[int, int]], *, now: int, level: float, deployment: str = ""
) -> Check:
    """Compare the last whole hour with the same hour of other weeks.

    Parameters
    ----------
    counts
        Begin of each hour with rows (milliseconds UTC) and their number, in order.
    now
        Milliseconds UTC.
    level
        Chance of a false finding in an hour, in (0, 1).
    deployment
        For the command.

    Returns
    -------
    Check
        With four weeks or more the same hour of the week counts, with two weeks the same hour
        of the day; with less nothing is known. A change by less than a fifth is fine.

    Notes
    -----
    Square roots of counts have a deviation that does not depend on their mean [1]_. Each hour
    is compared with the median of its slot without itself; the deviation of what that leaves,
    by the median of its absolute values [2]_ over the quarter of the slots that are as busy, is
    that of a prediction. It is never taken to be smaller than that of independent arrivals.
    Simulated with eight weeks of Poisson and of gamma-mixed counts: see the tests.

    References
    ----------
    .. [1] F. J. Anscombe, "The transformation of Poisson, binomial and negative-binomial
       data", Biometrika 35, 1948.
    .. [2] F. R. Hampel, "The influence curve and its role in robust estimation", Journal of
       the American Statistical Association 69, 1974.
    """
    query = f"homeostat monitor show {deployment} --by hour --limit 200"
    by_hour = _hours(counts, now)
    period = WEEK if len(by_hour) > LEAST_WEEKS * WEEK else DAY
    n = min((len(by_hour) - 1) // period, MOST_WEEKS if period == WEEK else LEAST_DAYS * 2)
    if period == DAY and n < LEAST_DAYS:
        told = f"{max(0, n)} whole days are known; {LEAST_DAYS} are needed"
        return Check(name="volume", verdict="unknown", sentence=told, query=query)
    seen, before = by_hour[-1], by_hour[-1 - n * period : -1]
    y = 2 * np.sqrt(before.reshape(n, period) + 0.375)
    others = np.stack([np.median(np.delete(y, i, axis=0), axis=0) for i in range(n)])
    middles = np.median(y, axis=0)
    middle = float(middles[0])
    # Where the rate itself varies, busy hours vary more: only hours as busy as this one count.
    alike = np.argsort(np.abs(middles - middle), kind="stable")[: max(DAY, period // 4)]
    left = np.abs(y - others)[:, alike]
    deviation = max(1.0, _TO_DEVIATION * float(np.median(left)))
    # The median of few weeks is not normal itself, so the tails are longer.
    reach = distributions.student_quantile(1 - level / 2, 4.0 * (n - 1)) * deviation
    usual, low, high = (
        max(0.0, (max(0.0, edge) / 2) ** 2 - 0.375)
        for edge in (middle, middle - reach, middle + reach)
    )
    is_large = abs(seen - usual) > LEAST_CHANGE * max(usual, 1.0)
    is_rare = abs(2 * math.sqrt(seen + 0.375) - middle) > reach
    when = "hour of the week" if period == WEEK else "hour of the day"
    sentence = f"{seen:,.0f} rows in the last whole hour; {usual:,.0f} is usual for the {when}"
    return Check(
        name="volume",
        verdict="found" if is_large and is_rare else "fine",
        sentence=f"{sentence}, {low:,.0f} to {high:,.0f} by chance",
        numbers={"rows": Number(float(seen)), "usual": Number(usual, low, high)},
        query=query,
    )


def _hours(counts: Sequence[tuple[int, int]], now: int) -> NDArray[np.float64]:
    """Return rows by hour from the first hour to the last whole one, silence as zeros."""
    last = now // HOUR_MS - 1
    if not counts or counts[0][0] // HOUR_MS > last:
        return np.zeros(0)
    first = max(counts[0][0] // HOUR_MS, last - MOST_WEEKS * WEEK)
    found = np.zeros(last - first + 1)
    for at, n in counts:
        if first <= at // HOUR_MS <= last:
            found[at // HOUR_MS - first] += n
    return found


def freshness(
    counts: Sequence[tuple[int, int]], *, last_at: int | None, now: int, deployment: str = ""
) -> Check:
    """Say whether the log has been silent for longer than ever before.

    Parameters
    ----------
    counts
        As for `volume`.
    last_at
        When the newest row was served, milliseconds UTC; None without any.
    now, deployment
        As for `volume`.

    Returns
    -------
    Check
        Found when the silence is more than an hour and more than twice the longest one of the
        last eight weeks: a rule, not a test. Unknown within the first day.
    """
    query = f"homeostat monitor show {deployment} --by minute --limit 5"
    if last_at is None:
        told = "no prediction has been handed over yet"
        return Check(name="freshness", verdict="unknown", sentence=told, query=query)
    silent = max(0, now - last_at) / HOUR_MS
    since = last_at - MOST_WEEKS * WEEK * HOUR_MS
    hours = [at // HOUR_MS for at, _ in counts if at >= since]
    numbers = {"hours silent": Number(silent)}
    if not hours or hours[-1] - hours[0] < DAY:
        told = f"the newest row is {silent:.1f} h old; what is usual is not known within a day"
        return Check(
            name="freshness", verdict="unknown", sentence=told, numbers=numbers, query=query
        )
    longest = float(np.diff(hours).max(initial=1))
    numbers["longest before"] = Number(longest)
    is_late = silent > max(1.0, 2 * longest)
    return Check(
        name="freshness",
        verdict="found" if is_late else "fine",
        sentence=f"the newest row is {silent:.1f} h old; the longest silence was "
        f"{longest:.0f} h",
        numbers=numbers,
        query=query,
    )


def duplicates(rows: pl.DataFrame, *, deployment: str = "") -> Check:
    """Say how many rows are the same as an earlier one in key and every feature.

    Parameters
    ----------
    rows
        Key and features of the newest rows.
    deployment
        For the command.

    Returns
    -------
    Check
        Found when the interval of their share lies above one in a hundred.
    """
    query = f"homeostat predictions export {deployment} log.parquet"
    if rows.height < LEAST_ROWS:
        told = f"{rows.height} rows are too few; {LEAST_ROWS} are needed"
        return Check(name="duplicates", verdict="unknown", sentence=told, query=query)
    n = rows.height - rows.n_unique()
    share = intervals.wilson(n, rows.height)
    return Check(
        name="duplicates",
        verdict="found" if share.low > REPEATED_SHARE else "fine",
        sentence=f"{n:,} of the newest {rows.height:,} rows came before, with the same key and "
        f"the same values",
        numbers={"share": Number(share.value, share.low, share.high)},
        query=query,
    )

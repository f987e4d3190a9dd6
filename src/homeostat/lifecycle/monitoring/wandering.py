"""Columns that follow the clock: how much their hours and days differ where all is as usual.

A baseline may be a sample, or shuffled, or of times with less traffic: rows that stand beside
each other in it are not what arrives within an hour, so it cannot say that nights differ from
noon. What was served can. Pure; called by the loop's `summarising`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import baseline, drift
from homeostat.measures import noise, overdispersion, summary

DAY_MS: Final = 86_400_000
DAYS: Final = 14
_WEEK: Final = 7

Counts = NDArray[np.int64]


class Seen(NamedTuple):
    """What one version was served in an hour or a day, with its baseline."""

    starts_at: int
    version: str
    table: summary.TableSummary
    frozen: baseline.Baseline


class Wander(NamedTuple):
    """How a column wanders.

    `hours` is how much more its hours of one day vary than by chance, `missing` the same of its
    missing values, `a_row` how much more for each row of a window the days of one week do.
    """

    hours: noise.Design = noise.Design()
    missing: float = 1.0
    a_row: float = 0.0


def measure(hours: Sequence[Seen], days: Sequence[Seen]) -> dict[str, Wander]:
    """Measure how columns wander from hour to hour and from day to day.

    Parameters
    ----------
    hours, days
        Windows of the newest two weeks, in any order; the day that is not over may be there.

    Returns
    -------
    dict
        Columns that do, by name.

    Notes
    -----
    The hours of each day are compared with that day, and the days of each week with that week;
    of these the lower median counts, from two days and two weeks up. So what has changed for
    good, which makes one day and one week unlike themselves, does not make the column look
    as if it always wandered.
    """
    names = {name for one in (*hours, *days) for name in one.frozen.profiles}
    by_day = _grouped(hours, lambda one: one.starts_at // DAY_MS)
    newest = max((one.starts_at for one in days), default=0)
    by_week = _grouped(days, lambda one: (newest - one.starts_at) // (_WEEK * DAY_MS))
    found = {}
    for name in sorted(names):
        values = overdispersion.usual([_between(part, name) for part in by_day])
        missing = overdispersion.usual([_between(part, name, _presence) for part in by_day])
        one = Wander(
            hours=values or noise.Design(),
            missing=1.0 if missing is None else missing.effect,
            a_row=_a_row(by_week, name),
        )
        if one.hours.effect > 1 or one.missing > 1 or one.a_row > 0:
            found[name] = one
    return found


def widened(
    frozen: baseline.Baseline, wandering: Mapping[str, Wander], *, n_rows: int
) -> baseline.Baseline:
    """Return a baseline that allows for what its columns wander by in a window.

    Parameters
    ----------
    frozen
        As it was stored.
    wandering
        From `measure`.
    n_rows
        Of the window.
    """
    profiles = {
        name: _allowing(profile, wandering[name], n_rows) if name in wandering else profile
        for name, profile in frozen.profiles.items()
    }
    return msgspec.structs.replace(frozen, profiles=profiles)


def _allowing(profile: baseline.Profile, by: Wander, n_rows: int) -> baseline.Profile:
    missing = max(profile.missing_effect, by.missing)
    factors = np.array(by.hours.factors or np.ones(max(1, len(profile.grouped) - 2)))
    factors[0] += by.a_row * n_rows * len(factors)
    series = overdispersion.of_factors(factors, n_blocks=by.hours.n_blocks or _WEEK)
    if series.effect <= profile.dependence.effect:
        return msgspec.structs.replace(profile, missing_effect=missing)
    series = msgspec.structs.replace(series, memory=profile.dependence.memory)
    return msgspec.structs.replace(profile, missing_effect=missing, dependence=series)


def _grouped(seen: Sequence[Seen], key: Callable[[Seen], int]) -> list[list[Seen]]:
    """Return windows of one version and day, or week, together."""

    def both(one: Seen) -> tuple[str, int]:
        return one.version, key(one)

    return [list(part) for _, part in groupby(sorted(seen, key=both), both)]


def _between(
    part: Sequence[Seen],
    name: str,
    counted: Callable[[summary.ColumnSummary, Seen, str], Counts] | None = None,
) -> noise.Design | None:
    counts = [
        (counted or _groups)(one.table.columns[name], one, name)
        for one in part
        if name in one.table.columns and name in one.frozen.profiles
    ]
    return overdispersion.of_blocks(np.array(counts)) if counts else None


def _groups(column: summary.ColumnSummary, one: Seen, name: str) -> Counts:
    return drift.grouped(column, one.frozen.summary.columns[name])


def _presence(column: summary.ColumnSummary, _: Seen, __: str) -> Counts:
    if isinstance(column, summary.NumericSummary):
        return np.array([column.n_finite, column.n - column.n_finite])
    return np.array([column.n - column.nulls, column.nulls])


def _a_row(by_week: Sequence[Sequence[Seen]], name: str) -> float:
    """How much more counts vary for each row, by the days of a week."""
    found = overdispersion.usual([_between(part, name) for part in by_week])
    if found is None or found.effect <= 1:
        return 0.0
    usual = float(np.median([one.table.n_rows for part in by_week for one in part]))
    return (found.effect - 1) / max(1.0, usual)

"""Look at each column of a window: is its feed whole, and if so, has it moved; for `judge`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from homeostat.lifecycle.monitoring import baseline, drift, entities, high, quality, unit
from homeostat.measures import bins, summary

LEAST_MORE = 0.05
"""So many more rows with a high score are worth telling."""
Row = int


class Suspicion(NamedTuple):
    """A test whose chance must still be adjusted for all tests of the window."""

    chance: float
    is_large: bool
    finding: entities.Finding


class Seen(NamedTuple):
    """What one column shows: certain faults with their rows, suspicions, and its groups.

    `lacking` says why nobody can tell whether it has moved, empty where one can.
    """

    faults: tuple[tuple[entities.Finding, entities.Cause], ...]
    suspicions: tuple[Suspicion, ...]
    codes: baseline.Codes
    lacking: str = ""


class _Place(NamedTuple):
    """Which column, and which row of the log its first row is."""

    column: str
    first_row: Row


def look(
    values: pl.Series, frozen: baseline.Baseline, *, first_row: int, drift_kind: str
) -> Seen:
    """Judge one column against its baseline.

    Parameters
    ----------
    values
        The column in time order, one row or more.
    frozen
        The baseline; it knows the column.
    first_row
        Row of the log of the first value.
    drift_kind
        ``covariate-drift`` or ``prediction-drift``.

    Returns
    -------
    Seen
        Faults mute the suspicions of their column.
    """
    name = values.name
    profile, kept = frozen.profiles[name], frozen.bins.columns[name]
    place = _Place(name, first_row)
    codes = baseline.group(values, profile, kept)
    if isinstance(kept, bins.NumericBins):
        x = baseline.numbers(values)
        missing = np.isnan(x)
        faults = _number_faults(x, place, frozen)
    else:
        x = np.zeros(0)
        missing = codes == len(profile.grouped) - 1
        faults = _category_faults(values, place, kept, profile)
    burst = quality.null_burst(missing, profile)
    if burst:
        faults = (_null_fault(burst, place), *faults)
    if faults:
        return Seen(faults, (), codes)
    suspicions = [_too_many_nulls(missing, place, profile)]
    if isinstance(kept, bins.NumericBins):
        suspicions.append(_out_of_range(x, place, profile))
    elif kept.is_complete:
        suspicions.append(_new_category(values, codes, place, profile=profile, kept=kept))
    moved = drift.shift(codes, profile)
    suspicions.append(_drift(moved, place, n_rows=len(codes), kind=drift_kind))
    if profile.high is not None and isinstance(kept, bins.NumericBins):
        suspicions.append(_high_scores(x, place, profile.high))
    return Seen((), tuple(suspicions), codes, moved.lacking)


Faults = tuple[tuple[entities.Finding, entities.Cause], ...]


def _number_faults(x: baseline.Floats, place: _Place, frozen: baseline.Baseline) -> Faults:
    profile = frozen.profiles[place.column]
    kept, seen = frozen.bins.columns[place.column], frozen.summary.columns[place.column]
    assert isinstance(kept, bins.NumericBins)
    assert isinstance(seen, summary.NumericSummary)
    change = unit.find(x, profile, kept, seen)
    if change:
        first, end = place.first_row + change.first, place.first_row + change.end
        factor = change.factor if change.factor >= 1 else 1 / change.factor
        verb = "multiplied" if change.factor >= 1 else "divided"
        sentence = (
            f"{place.column} is {verb} by {factor:g} from row {first} to {end}: "
            f"the value itself does not fit the baseline, its proper unit does"
        )
        return (
            _fault(
                "unit",
                place,
                rows=(first, end),
                seen=("evidence in nats", change.evidence),
                sentence=sentence,
                factor=change.factor,
            ),
        )
    run = quality.stuck(x, profile)
    if run:
        first, end = place.first_row + run.first, place.first_row + run.end
        sentence = (
            f"{place.column} stands still at {x[run.first]:g} for {run.end - run.first} rows "
            f"from row {first}; the longest run at training was {profile.longest_run}"
        )
        seen_rows = ("rows", run.end - run.first)
        return (_fault("stuck", place, rows=(first, end), seen=seen_rows, sentence=sentence),)
    return ()


def _category_faults(
    values: pl.Series, place: _Place, kept: bins.CategoryBins, profile: baseline.Profile
) -> Faults:
    if profile.is_constant or values.dtype.is_nested():
        return ()
    rows = quality.renamed(values, kept)
    if not len(rows):
        return ()
    first, end = place.first_row + int(rows[0]), place.first_row + int(rows[-1]) + 1
    sentence = (
        f"{place.column} writes known categories differently in {len(rows)} rows from row "
        f"{first}, such as {values.cast(pl.String)[int(rows[0])]!r}"
    )
    alike = ("rows", len(rows))
    return (_fault("new-category", place, rows=(first, end), seen=alike, sentence=sentence),)


def _null_fault(
    burst: quality.Stretch, place: _Place
) -> tuple[entities.Finding, entities.Cause]:
    first, end = place.first_row + burst.first, place.first_row + burst.end
    sentence = f"{place.column} has no value from row {first} to {end}, where it used to have"
    seen = ("evidence in nats", burst.evidence)
    return _fault("nulls", place, rows=(first, end), seen=seen, sentence=sentence)


def _fault(
    kind: entities.FindingKind,
    place: _Place,
    *,
    rows: entities.RowRange,
    seen: tuple[str, float],
    sentence: str,
    factor: float | None = None,
) -> tuple[entities.Finding, entities.Cause]:
    """Make the finding, and the cause it proves: the feed is broken."""
    finding = entities.Finding(
        kind=kind,
        column=place.column,
        statistic=seen[0],
        value=float(seen[1]),
        needed=0.0,
        factor=factor,
        first_row=rows[0],
        end_row=rows[1],
        sentence=sentence,
    )
    cause = entities.Cause(
        kind="feed",
        column=place.column,
        factor=factor,
        share=1.0,
        sentence=f"the feed is broken: {sentence}",
        evidence=(sentence,),
    )
    return finding, cause


def _suspicion(
    kind: entities.FindingKind,
    place: _Place,
    *,
    n_rows: int,
    statistic: str,
    seen: tuple[float, float],
    chance: float,
    sentence: str,
) -> Suspicion:
    value, needed = seen
    found = entities.Finding(
        kind=kind,
        column=place.column,
        statistic=statistic,
        value=float(value),
        needed=float(needed),
        first_row=place.first_row,
        end_row=place.first_row + n_rows,
        sentence=sentence,
    )
    return Suspicion(chance, value > needed, found)


def _too_many_nulls(
    missing: quality.Flags, place: _Place, profile: baseline.Profile
) -> Suspicion:
    share = float(missing.mean())
    before = profile.missing_share
    told = f"{place.column} is missing in {share:.1%} of rows; at training in {before:.1%}"
    return _suspicion(
        "nulls",
        place,
        n_rows=len(missing),
        statistic="share missing",
        seen=(share, before),
        chance=quality.missing_chance(missing, profile),
        sentence=told,
    )


def _out_of_range(x: baseline.Floats, place: _Place, profile: baseline.Profile) -> Suspicion:
    n, chance = quality.outside(x, profile)
    low, high = profile.minimum or 0.0, profile.maximum or 0.0
    told = f"{place.column} leaves its range at training, {low:g} to {high:g}, in {n} rows"
    return _suspicion(
        "range",
        place,
        n_rows=len(x),
        statistic="rows outside",
        seen=(n, 0),
        chance=chance,
        sentence=told,
    )


def _new_category(
    values: pl.Series,
    codes: baseline.Codes,
    place: _Place,
    *,
    profile: baseline.Profile,
    kept: bins.CategoryBins,
) -> Suspicion:
    others = len(profile.grouped) - 2
    rows = np.flatnonzero(codes == others)
    nested = values.dtype.is_nested() or not len(rows)
    text = [] if nested else sorted(set(values[rows.tolist()].cast(pl.String).to_list()))
    named = ", ".join(repr(name) for name in text[:3])
    return _suspicion(
        "new-category",
        place,
        n_rows=len(values),
        statistic="rows",
        seen=(len(rows), 0),
        chance=quality.unseen_chance(rows, len(values), profile),
        sentence=f"{place.column} holds {named} in {len(rows)} rows, "
        f"not among the {len(kept.categories)} categories at training",
    )


def _high_scores(x: baseline.Floats, place: _Place, top: high.High) -> Suspicion:
    share, chance = high.chance(x, top)
    before = top.n_rows / top.n_known
    return _suspicion(
        "prediction-drift",
        place,
        n_rows=len(x),
        statistic="share of high scores",
        seen=(share, before + LEAST_MORE),
        chance=chance,
        sentence=f"the score has moved: {share:.1%} of rows score above {top.above:.3g}, "
        f"{before:.1%} at training",
    )


def _drift(moved: drift.Shift, place: _Place, *, n_rows: int, kind: str) -> Suspicion:
    name = "the score" if kind == "prediction-drift" else place.column
    return _suspicion(
        "prediction-drift" if kind == "prediction-drift" else "covariate-drift",
        place,
        n_rows=n_rows,
        statistic="psi above noise",
        seen=(moved.effect, drift.LEAST_EFFECT),
        chance=moved.p_value,
        sentence=f"{name} has moved: stability index {moved.effect:.2f} above its noise, "
        f"{drift.LEAST_EFFECT:g} is moderate",
    )

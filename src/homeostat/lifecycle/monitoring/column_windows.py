"""One column in one window in numbers a person reads; `stored` makes them, doors show them."""

from __future__ import annotations

import msgspec

from homeostat.lifecycle.monitoring import baseline, drift
from homeostat.measures import bins as frozen_bins
from homeostat.measures import quantile, summary, variety


class ColumnWindow(msgspec.Struct, frozen=True, kw_only=True):
    """One column in one window.

    Attributes
    ----------
    missing, missing_before
        Share of the rows without a value, 0 to 1; the same at training.
    mean, low, median, high
        Of the finite values of a number, with the 10th and 90th percentile; None otherwise.
    unseen
        Rows of a category that training never saw.
    n_different, different_error
        How many different values were seen, and the relative standard error of that, 0 where
        it is exact; None in windows kept before values were counted.
    examples
        Up to five of the values, rare and frequent ones alike.
    shift, p_value
        Population stability index above its noise, and the chance of it without a shift; None
        where there is nothing to compare with.
    lacking
        Why nobody can tell whether it has moved: not enough data.
    """

    n_rows: int
    missing: float
    missing_before: float = 0.0
    mean: float | None = None
    low: float | None = None
    median: float | None = None
    high: float | None = None
    unseen: int = 0
    n_different: int | None = None
    different_error: float | None = None
    examples: tuple[str, ...] = ()
    shift: float | None = None
    p_value: float | None = None
    lacking: str = ""


def view(name: str, seen: summary.ColumnSummary, frozen: baseline.Baseline) -> ColumnWindow:
    """Say in numbers what a column held, and compare it with the baseline.

    Parameters
    ----------
    name
        Of the column; the baseline knows it.
    seen
        What was counted in the window.
    frozen
        Baseline of the version that answered.
    """
    told, values = _described(name, seen, frozen), variety.of(seen)
    if values is None:
        return told
    return msgspec.structs.replace(
        told, n_different=values.n, different_error=values.error, examples=values.examples
    )


def _described(
    name: str, seen: summary.ColumnSummary, frozen: baseline.Baseline
) -> ColumnWindow:
    profile, before, bins = (
        frozen.profiles[name],
        frozen.summary.columns[name],
        frozen.bins.columns[name],
    )
    is_comparable = seen.bins_digest == before.bins_digest and seen.n > seen.nulls
    moved = drift.of_summary(seen, before, profile) if is_comparable else None
    is_told = moved is not None and not moved.lacking
    shift, p_value = (moved.effect, moved.p_value) if moved and is_told else (None, None)
    lacking = moved.lacking if moved else ""
    if isinstance(seen, summary.CategorySummary):
        return ColumnWindow(
            n_rows=seen.n,
            missing=seen.nulls / max(1, seen.n),
            missing_before=profile.missing_share,
            unseen=seen.others,
            shift=shift,
            p_value=p_value,
            lacking=lacking,
        )
    assert isinstance(bins, frozen_bins.NumericBins)
    low, median, high = (quantile.of(seen, bins, q) for q in (0.1, 0.5, 0.9))
    return ColumnWindow(
        n_rows=seen.n,
        missing=1 - seen.n_finite / max(1, seen.n),
        missing_before=profile.missing_share,
        mean=seen.mean,
        low=low,
        median=median,
        high=high,
        shift=shift,
        p_value=p_value,
        lacking=lacking,
    )

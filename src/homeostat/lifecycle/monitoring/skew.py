"""Compares what a model is served with what a data set has for the same key and time.

Training-serving skew: two ways to compute one feature that do not agree. Asked by
`loop.looking`; no statistics, for the same thing is read twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from homeostat.lifecycle.monitoring.checks import Check, Number
from homeostat.measures import intervals

NAME: Final = "training-serving skew"
LEAST_PAIRS: Final = 30
LEAST_SHARE: Final = 0.01
CLOSE: Final = 1e-6
_EXAMPLES: Final = 3
_SHOWN: Final = 5
_AT: Final = "homeostat at"
_KEY: Final = "homeostat key"
_WAS: Final = "homeostat offline "


def unknown(sentence: str, *, query: str = "") -> Check:
    """Return that it cannot be computed, and why."""
    told = f"cannot be computed: {sentence}"
    return Check(name=NAME, verdict="unknown", sentence=told, query=query)


def pair(
    served: pl.DataFrame, offline: pl.DataFrame, *, key: str, time: str | None
) -> pl.DataFrame:
    """Find what a data set had for each served row.

    Parameters
    ----------
    served
        Rows of the log: ``key``, ``served_at`` (milliseconds UTC), features as plain columns.
    offline
        Rows of a snapshot.
    key
        Column of `offline` that identifies a thing.
    time
        Column of `offline` that says since when a row is true: the latest one before the
        prediction counts. None: a row is true always, and the last one of a key counts.

    Returns
    -------
    polars.DataFrame
        Served rows that have one, with its values beside theirs.
    """
    shared = [n for n in served.columns if n in offline.columns and n not in {"key", time}]
    right = offline.select(
        pl.col(key).cast(pl.String).alias(_KEY),
        *([_instant(offline[time]).alias(_AT)] if time else []),
        *[pl.col(name).alias(_WAS + name) for name in shared],
    ).drop_nulls(_KEY)
    left = served.with_columns(pl.col("key").cast(pl.String).alias(_KEY))
    if not time:
        last = right.unique(_KEY, keep="last", maintain_order=True)
        return left.join(last, on=_KEY, how="inner")
    left = left.with_columns(pl.col("served_at").cast(pl.Int64).alias(_AT)).sort(_AT)
    right = right.drop_nulls(_AT).sort(_AT).with_columns(pl.lit(1).alias("homeostat is there"))
    found = left.join_asof(right, on=_AT, by=_KEY, strategy="backward", check_sortedness=False)
    return found.drop_nulls("homeostat is there")


def check(paired: pl.DataFrame, *, features: Sequence[str], source: str, query: str) -> Check:
    """Compare value by value.

    Parameters
    ----------
    paired
        From `pair`.
    features
        Columns that the model takes.
    source
        Reference of the snapshot.
    query
        A command that shows the evidence.

    Returns
    -------
    Check
        Found when the interval of the share of rows that differ in a column lies above one in
        a hundred; numbers differ when they are not the same to 1e-6 of their size. Unknown with
        fewer than 30 pairs.
    """
    if paired.height < LEAST_PAIRS:
        return unknown(
            f"{paired.height} of the newest predictions have their key in {source}; "
            f"{LEAST_PAIRS} are needed",
            query=query,
        )
    names = [name for name in features if _WAS + name in paired.columns]
    if not names:
        return unknown(f"{source} has none of the columns that the model takes", query=query)
    numbers: dict[str, Number] = {}
    told: list[tuple[float, str]] = []
    is_found = False
    for name in names:
        differs = paired.filter(_differs(paired, name))
        share = intervals.wilson(differs.height, paired.height)
        if not differs.height:
            continue
        numbers[name] = Number(share.value, share.low, share.high)
        is_found = is_found or share.low > LEAST_SHARE
        shown = ", ".join(
            f"{row['key']}: served {row[name]}, there {row[_WAS + name]}"
            for row in differs.head(_EXAMPLES).iter_rows(named=True)
        )
        told.append((share.value, f"{name} in {share.value:.1%} ({shown})"))
    told.sort(key=lambda one: -one[0])
    found = "; ".join(text for _, text in told[:_SHOWN]) or "no value differs"
    ordered = sorted(numbers.items(), key=lambda one: -one[1].value)
    return Check(
        name=NAME,
        verdict="found" if is_found else "fine",
        sentence=f"{paired.height:,} predictions were compared with {source} in {len(names)} "
        f"columns: {found}",
        numbers={"pairs": Number(float(paired.height)), **dict(ordered)},
        query=query,
    )


def _differs(paired: pl.DataFrame, name: str) -> pl.Expr:
    served, there = pl.col(name), pl.col(_WAS + name)
    one, other = paired.schema[name], paired.schema[_WAS + name]
    if one.is_numeric() and other.is_numeric():
        x, y = served.cast(pl.Float64).fill_nan(None), there.cast(pl.Float64).fill_nan(None)
        far = (x - y).abs() > CLOSE * pl.max_horizontal(x.abs(), y.abs(), pl.lit(1e-12))
        return far.fill_null(value=False) | (x.is_null() != y.is_null())
    if one.is_numeric() or other.is_numeric():
        x = served.cast(pl.Float64, strict=False)
        y = there.cast(pl.Float64, strict=False)
        return x.ne_missing(y)
    return served.cast(pl.String).ne_missing(there.cast(pl.String))


def _instant(values: pl.Series) -> pl.Series:
    """Return times as milliseconds UTC; whole numbers are milliseconds already."""
    if values.dtype == pl.String:
        values = values.str.to_datetime(strict=False, time_zone="UTC")
    if values.dtype.is_temporal():
        return values.cast(pl.Datetime("ms")).cast(pl.Int64)
    return values.cast(pl.Int64, strict=False)

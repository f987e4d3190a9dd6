"""What the business counts, beside the predictions it came of; pure.

Called by `loop.measuring`. A dataset has values by the key of a prediction. Joined, they say
what a model, a version, or a slice of people brought.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.monitoring import measured, slicing
from homeostat.lifecycle.policy import Kpi, slices
from homeostat.measures import intervals

VALUE = "kpi value"
MOST_VERSIONS = 12


def values(table: pl.DataFrame, wanted: Kpi) -> pl.DataFrame:
    """Return the value of each key that counts.

    Parameters
    ----------
    table
        The dataset.
    wanted
        Names its columns.

    Returns
    -------
    polars.DataFrame
        ``key`` as text and the value, each key once: the latest by time, or the last.

    Raises
    ------
    InvalidInputError
        When a column is missing, or the values are no numbers.
    """
    for column in (wanted.key, wanted.value, wanted.time):
        if column is not None and column not in table.columns:
            raise errors.InvalidInputError(
                f"dataset {wanted.dataset!r} has no column {column!r}",
                hint=f"it has {', '.join(table.columns[:20])}",
                column=column,
            )
    kind = table[wanted.value].dtype
    if not (kind.is_numeric() or kind == pl.Boolean):
        raise errors.InvalidInputError(
            f"column {wanted.value!r} of dataset {wanted.dataset!r} holds {kind}, not numbers",
            column=wanted.value,
        )
    ordered = table if wanted.time is None else table.sort(wanted.time, maintain_order=True)
    value = pl.col(wanted.value).cast(pl.Float64)
    found = ordered.select(pl.col(wanted.key).cast(pl.String).alias("key"), value.alias(VALUE))
    found = found.filter(pl.col(VALUE).is_finite() & pl.col("key").is_not_null())
    return found.unique("key", keep="last", maintain_order=True)


def measure(
    name: str,
    wanted: Kpi,
    rows: pl.DataFrame,
    *,
    known: pl.DataFrame,
    named: Mapping[str, str],
    at: int,
) -> Iterator[measured.Measured]:
    """Yield an indicator of everybody, of each version and of each slice.

    Parameters
    ----------
    name, wanted
        As in the policy.
    rows
        Answered predictions of the window, the earliest first: ``key``, ``version``, and the
        columns of the slices. Of a key predicted twice the first counts.
    known
        From `values`.
    named
        Slices of the policy, by name.
    at
        Milliseconds UTC.
    """
    joined = rows.unique("key", keep="first", maintain_order=True).join(
        known, on="key", how="inner", maintain_order="left"
    )
    if joined.is_empty() and not known.is_empty() and not rows.is_empty():
        told = (
            f"none of the {known.height:,} values has the key of a prediction: does column "
            f"{wanted.key!r} hold the keys that predictions came with?"
        )
        yield measured.without(name, wanted, told, at=at)
        return
    yield _of(name, wanted, joined, part=measured.EVERYBODY, at=at)
    counted = joined["version"].value_counts(name="n").sort("n", "version", descending=True)
    counts = counted["version"].to_list()
    for version in sorted(counts[:MOST_VERSIONS]) if len(counts) > 1 else ():
        part = joined.filter(pl.col("version") == version)
        yield _of(name, wanted, part, part=f"version={version}", at=at)
    for one in wanted.slices:
        label = slicing.label(one)
        try:
            part = joined.filter(slicing.inside(joined, slices.parse(named[one])))
        except errors.InvalidInputError as error:
            yield measured.without(
                name, wanted, f"slice {one}: {error}", at=at, part=label, verdict="failed"
            )
            continue
        yield _of(name, wanted, part, part=label, at=at)


def _of(
    name: str, wanted: Kpi, joined: pl.DataFrame, *, part: str, at: int
) -> measured.Measured:
    n = joined.height
    if n < max(2, wanted.minimum_rows):
        told = f"{n:,} predictions have a value; {wanted.minimum_rows:,} are needed"
        return measured.without(name, wanted, told, at=at, part=part, n_rows=n)
    seen = joined[VALUE].to_numpy()
    if wanted.of == "share":
        found = intervals.wilson(int(np.count_nonzero(seen)), n)
    else:
        found = intervals.mean(seen)
    factor = float(n) if wanted.of == "sum" else 1.0
    numbers = (factor * found.value, factor * found.low, factor * found.high)
    return measured.judge(name, wanted, numbers, n_rows=n, at=at, part=part)

"""From the bytes of a closed segment to tables; called by `actions` in the server."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.predictions import frames
from homeostat.lifecycle.predictions.entities import ABSTAINED, Held, Hour, Touched

FEATURE = "x."
CONTEXT = "c."
CHANCE = "p."
"""Before the name of a class: the probability that the mixture gave it."""
_KINDS: dict[str, pl.DataType] = {
    "number": pl.Float64(),
    "integer": pl.Int64(),
    "boolean": pl.Boolean(),
    "category": pl.String(),
    "text": pl.String(),
}
_FIXED: dict[str, pl.DataType] = {
    "id": pl.String(),
    "key": pl.String(),
    "served_at": pl.Int64(),
    "generation": pl.Int64(),
    "arm": pl.String(),
    "answered": pl.Boolean(),
    "version": pl.String(),
    "score": pl.Float64(),
}
_MEMBERS: dict[str, pl.DataType] = {
    "members": pl.List(pl.String()),
    "member_scores": pl.List(pl.Float64()),
}
_SERVED: dict[str, pl.DataType] = {
    "served_score": pl.Float64(),
    "corrections": pl.String(),
    "propensity": pl.Float64(),
}
HOUR_MS = 3_600_000
_NO_LAYOUT = frames.Layout((), (), ())


class Contents(NamedTuple):
    """What a segment holds, as tables.

    `predictions` has the columns of `predictions.read` but for `row`; `labels` has key, label,
    event_at, known_at; both keep the order of the log.
    """

    segment: str
    deployment: str
    predictions: pl.DataFrame
    labels: pl.DataFrame
    failures: tuple[frames.Failure, ...]


def decode(raw: bytes) -> Contents:
    """Read a closed segment.

    Parameters
    ----------
    raw
        The segment's bytes, as written by the spool.

    Returns
    -------
    Contents
        Its predictions, labels and failures.

    Raises
    ------
    CorruptError
        When a checksum fails, or the segment does not begin by saying whose it is.
    """
    found = frames.decode(raw)
    opened = found[0] if found else None
    if not isinstance(opened, frames.Opened) or opened.format not in frames.READABLE:
        raise errors.CorruptError(
            "the segment does not begin with an opening of a known format",
            hint="the prediction server may be newer than this server; update it",
        )
    labels = [one for one in found if isinstance(one, frames.Labels)]
    return Contents(
        opened.segment,
        opened.deployment,
        _predictions(found),
        _labels(labels),
        tuple(one for one in found if isinstance(one, frames.Failure)),
    )


def stack(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Put tables of the log under each other; a column that one lacks is null there.

    Parameters
    ----------
    parts
        Tables; a column may be an integer in one and a float or text in another.

    Returns
    -------
    polars.DataFrame
        All rows, in order.
    """
    return pl.concat(parts, how="diagonal_relaxed")


def encode(frame: pl.DataFrame) -> bytes:
    """Write a table as Parquet; the form in which the log is sealed.

    Parameters
    ----------
    frame
        Any table.

    Returns
    -------
    bytes
        Parquet, zstd.
    """
    target = io.BytesIO()
    frame.write_parquet(target, compression="zstd", compression_level=1, statistics=False)
    return target.getvalue()


def completed(table: pl.DataFrame, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Fill in what segments of format 1, sealed before there were corrections, do not say.

    Parameters
    ----------
    table
        Rows of the log, with ``score`` where ``served_score`` is wanted.
    columns
        Which are wanted; all when None.

    Returns
    -------
    polars.DataFrame
        With ``served_score`` (the score), ``corrections`` (none) and ``propensity`` (1) where
        they were missing.
    """
    told = {
        "served_score": pl.col("score") if "score" in table.columns else pl.lit(None),
        "corrections": pl.lit(""),
        "propensity": pl.lit(1.0),
    }
    missing = [
        value.cast(_SERVED[name]).alias(name)
        for name, value in told.items()
        if name not in table.columns and (columns is None or name in columns)
    ]
    return table.with_columns(missing) if missing else table


def touched(predictions: pl.DataFrame) -> Touched:
    """Count how often corrections changed an answer, and name the rows that wait for a person.

    Parameters
    ----------
    predictions
        Of one segment, as `decode` returns them.

    Returns
    -------
    Touched
        Of answered rows only; shadows and corrections have nothing to do with each other.
    """
    hours = predictions.filter(pl.col("answered"))["served_at"] // HOUR_MS
    if hours.is_empty():
        return Touched()
    counts: dict[int, dict[str, int]] = {}
    held: tuple[Held, ...] = ()
    if (predictions["corrections"] != "").any():
        counts, held = _fired(predictions)
    rows = hours.value_counts().sort("served_at").iter_rows()
    return Touched(
        hours=tuple(Hour(hour=at, n_rows=n, fired=counts.get(at, {})) for at, n in rows),
        held=held,
    )


def _fired(predictions: pl.DataFrame) -> tuple[dict[int, dict[str, int]], tuple[Held, ...]]:
    """Count what fired by hour and correction, and find the rows left to a person."""
    wanted = ("id", "served_at", "answered", "served_score", "answer", "corrections")
    rows = predictions.select(wanted).with_row_index("place")
    rows = rows.filter(pl.col("answered"), pl.col("corrections") != "")
    each = rows.select(
        pl.col("served_at") // HOUR_MS, pl.col("corrections").str.split(",")
    ).explode("corrections")
    counts: dict[int, dict[str, int]] = {}
    for hour, which, n in each.group_by("served_at", "corrections").len().iter_rows():
        counts.setdefault(hour, {})[which] = n
    # A regression that abstains answers NaN; whoever opens cases looks at what fired.
    said = pl.col("answer").cast(pl.String)
    held = rows.filter(said.is_null() | said.is_in([ABSTAINED, "NaN"]))
    return counts, tuple(
        Held(
            id=one["id"],
            place=one["place"],
            score=one["served_score"],
            served_at=one["served_at"],
            fired=tuple(one["corrections"].split(",")),
        )
        for one in held.iter_rows(named=True)
    )


def empty_predictions() -> pl.DataFrame:
    """Return a log without rows, features or context; its columns have their types."""
    return _table(_NO_LAYOUT, [])


def empty_labels() -> pl.DataFrame:
    """Return a table of no labels; its columns have their types."""
    return _labels([])


def _predictions(found: list[frames.Frame]) -> pl.DataFrame:
    runs: list[tuple[frames.Layout, list[frames.Batch]]] = []
    for one in found:
        if isinstance(one, frames.Layout):
            runs.append((one, []))
        elif isinstance(one, frames.Batch):
            if not runs:
                raise errors.CorruptError("the segment has predictions before their layout")
            runs[-1][1].append(one)
    parts = [_table(layout, batches) for layout, batches in runs if batches]
    if len(parts) == 1:
        return parts[0]
    return stack(parts) if parts else _table(_NO_LAYOUT, [])


def _of_classes(batch: frames.Batch, n_classes: int) -> list[list[float]]:
    """Return what the members said of several classes by row, member after member."""
    return [
        [score for one in batch.member_scores for score in one[start : start + n_classes]]
        for start in range(0, len(batch.keys) * n_classes, n_classes)
    ]


def _table(layout: frames.Layout, batches: list[frames.Batch]) -> pl.DataFrame:
    columns = [_fixed(name, batches) for name in _FIXED]
    columns += [
        pl.Series(name, _flat([_said(name, one) for one in batches]), dtype=dtype)
        for name, dtype in _SERVED.items()
    ]
    columns.append(_loose("answer", [value for one in batches for value in one.answers]))
    columns.append(_members(batches))
    if layout.classes:
        said = _flat([_of_classes(one, len(layout.classes)) for one in batches])
        columns.append(pl.Series("member_scores", said, dtype=_MEMBERS["member_scores"]))
    else:
        columns.append(_member_scores(batches))
    for at, name in enumerate(layout.classes):
        given = _flat([one.chances[at :: len(layout.classes)] for one in batches])
        columns.append(pl.Series(CHANCE + name, given, dtype=pl.Float64()))
    for at, (name, kind) in enumerate(zip(layout.features, layout.kinds, strict=True)):
        values = _flat([one.features[at] for one in batches])
        columns.append(_loose(FEATURE + name, values, kind=kind))
    for at, name in enumerate(layout.context):
        columns.append(_loose(CONTEXT + name, _flat([one.context[at] for one in batches])))
    return pl.DataFrame(columns)


def _fixed(name: str, batches: list[frames.Batch]) -> pl.Series:
    values: list[Any]
    if name == "id":
        values = _flat([one.ids for one in batches])
    elif name == "key":
        values = _flat([one.keys for one in batches])
    elif name == "score":
        values = _flat([one.scores for one in batches])
    else:
        values = _flat([[getattr(one, name)] * len(one.keys) for one in batches])
    return pl.Series(name, values, dtype=_FIXED[name])


def _members(batches: list[frames.Batch]) -> pl.Series:
    """Return who answered, per row; each list of members is made once, then taken."""
    known: dict[tuple[str, ...], int] = {}
    at = _flat(
        [[known.setdefault(tuple(one.members), len(known))] * len(one.keys) for one in batches]
    )
    lists = pl.Series("members", [list(one) for one in known], dtype=_MEMBERS["members"])
    return lists.gather(pl.Series(at, dtype=pl.UInt32()))


def _member_scores(batches: list[frames.Batch]) -> pl.Series:
    """Return what each member said, per row: one flat column, cut at the widest row's width.

    A list for each row, made one by one, took four times what all else of a segment takes.
    """
    width = max((len(one.member_scores) for one in batches), default=0)
    if not width:
        return pl.Series(
            "member_scores",
            [[]] * sum(len(one.keys) for one in batches),
            dtype=_MEMBERS["member_scores"],
        )
    flat: list[float | None] = []
    for one in batches:
        missing = [[None] * len(one.keys)] * (width - len(one.member_scores))
        flat.extend(
            itertools.chain.from_iterable(zip(*one.member_scores, *missing, strict=True))
        )
    values = (
        pl.Series("member_scores", flat, dtype=pl.Float64()).reshape((-1, width)).arr.to_list()
    )
    if all(len(one.member_scores) == width for one in batches):
        return values
    widths = _flat([[len(one.member_scores)] * len(one.keys) for one in batches])
    cut = values.to_frame().with_columns(width=pl.Series(widths, dtype=pl.UInt32()))
    return cut.select(pl.col("member_scores").list.head(pl.col("width"))).to_series()


def _said(name: str, one: frames.Batch) -> list[Any]:
    """Return what a batch says of corrections and chance; one that says nothing means none."""
    if name == "served_score":
        return one.served or one.scores
    if name == "corrections":
        return one.fired or [""] * len(one.keys)
    return one.propensities or [1.0] * len(one.keys)


def _labels(found: list[frames.Labels]) -> pl.DataFrame:
    known = [[one.known_at] * len(one.keys) for one in found]
    return pl.DataFrame(
        [
            pl.Series("key", _flat([one.keys for one in found]), dtype=pl.String()),
            pl.Series("label", _flat([one.labels for one in found]), dtype=pl.String()),
            pl.Series("event_at", _flat([one.event_at for one in found]), dtype=pl.Int64()),
            pl.Series("known_at", _flat(known), dtype=pl.Int64()),
        ]
    )


def _loose(name: str, values: list[Any], *, kind: str = "") -> pl.Series:
    """Make a column of values that a request supplied; what has two types becomes text."""
    with contextlib.suppress(TypeError, pl.exceptions.PolarsError):
        if kind == "timestamp":
            return pl.Series(name, values, dtype=pl.String()).str.to_datetime(time_unit="ms")
        return pl.Series(name, values, dtype=_KINDS.get(kind), strict=True)
    kinds = {type(one) for one in values if one is not None}
    if kinds <= {int, float, bool}:
        return pl.Series(name, values, dtype=pl.Float64(), strict=False)
    return pl.Series(name, [None if one is None else str(one) for one in values])


def _flat(parts: list[list[Any]]) -> list[Any]:
    return [value for part in parts for value in part]

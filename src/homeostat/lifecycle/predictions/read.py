"""Reads the log as tables, as of any instant; called by monitoring, the loop and the doors."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Protocol

import polars as pl
import sqlalchemy as sa

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import records, segments
from homeostat.lifecycle.predictions.entities import Failed, Segment

END = 2**62
_LONGEST_ANSWER_MS = 120_000


class Unsealing(Protocol):
    """What returns stored bytes; the house does."""

    def get_blob(self, owner: str, digest: str, *, project: str | None = None) -> bytes:
        """Return the bytes of a digest."""


def predictions(
    house: Unsealing,
    tx: Transaction,
    deployment: str,
    *,
    first_row: int = 0,
    end_row: int | None = None,
    as_of: int | None = None,
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Read rows of a deployment's log.

    Parameters
    ----------
    house
        What returns stored bytes.
    tx
        Any transaction.
    deployment
        Its name; an unknown one has no rows.
    first_row, end_row
        Rows [first_row, end_row); to the end when None.
    as_of
        Only what was served until then; milliseconds UTC.
    columns
        Only these, where they exist; all when None. `row` is always there.

    Returns
    -------
    polars.DataFrame
        In log order: row, id, key, served_at, generation, arm, answered, version, score,
        served_score, corrections, propensity, answer, members, member_scores, ``x.<feature>``
        and ``c.<context>``. A row that was scored in the shadow has answered false. A feature
        that a segment lacks is null there. `served_score` is what `answer` was decided on,
        after the corrections that `corrections` names (``<id>@<version>``, commas between).
    """
    end = END if end_row is None else end_row
    found = _segments(tx, records.SEGMENTS_WITH_ROWS, deployment, first=first_row, end=end)
    parts = []
    for segment in found:
        data = _unseal(house, tx, segment, segment.predictions)
        table = segments.completed(_load(data, columns), columns)
        table = table.with_row_index("row", offset=segment.first_row)
        table = table.with_columns(pl.col("row").cast(pl.Int64))
        parts.append(_within(table, first_row - segment.first_row, end - segment.first_row))
    if not parts:
        empty = segments.empty_predictions()
        parts = [empty.insert_column(0, pl.Series("row", [], dtype=pl.Int64()))]
    together = segments.stack(parts)
    if as_of is not None:
        together = together.filter(pl.col("served_at") <= as_of)
    return together


def labels(
    house: Unsealing,
    tx: Transaction,
    deployment: str,
    *,
    first_label: int = 0,
    end_label: int | None = None,
    as_of: int | None = None,
) -> pl.DataFrame:
    """Read the labels of a deployment in the order in which they were accepted.

    Parameters
    ----------
    house
        What returns stored bytes.
    tx
        Any transaction.
    deployment
        Its name; an unknown one has no labels.
    first_label, end_label
        Labels [first_label, end_label), numbered apart from rows; to the end when None.
    as_of
        Only what was known then; milliseconds UTC.

    Returns
    -------
    polars.DataFrame
        key, label (text), event_at, known_at. A key may come several times; nothing is dropped.
    """
    end = END if end_label is None else end_label
    found = _segments(tx, records.SEGMENTS_WITH_LABELS, deployment, first=first_label, end=end)
    parts = []
    for segment in found:
        table = _load(_unseal(house, tx, segment, segment.labels), None)
        first, last = first_label - segment.first_label, end - segment.first_label
        parts.append(_within(table, first, last))
    together = segments.stack(parts or [segments.empty_labels()])
    if as_of is not None:
        together = together.filter(pl.col("known_at") <= as_of)
    return together


def find(house: Unsealing, tx: Transaction, prediction: str) -> tuple[str, pl.DataFrame] | None:
    """Find a prediction by its id, in whichever deployment.

    Parameters
    ----------
    house
        What returns stored bytes.
    tx
        Any transaction.
    prediction
        An id; it carries the instant, so few segments are opened.

    Returns
    -------
    tuple or None
        Deployment and the rows of that id (its answer, and its shadows where there were any).
    """
    try:
        since = int(prediction[:12], 16)
    except ValueError:
        return None
    window = {"since": since, "until": since + _LONGEST_ANSWER_MS}
    rows = tx.execute(records.SEGMENTS_SERVED, {"in_project": tx.project, **window}).mappings()
    for segment in [Segment(**row) for row in rows]:
        table = _load(_unseal(house, tx, segment, segment.predictions), None)
        table = table.with_row_index("row", offset=segment.first_row)
        hit = table.filter(pl.col("id") == prediction)
        if len(hit):
            return segment.deployment, hit
    return None


def failures(
    tx: Transaction, deployment: str, *, since_generation: int = 0, limit: int = 1000
) -> list[Failed]:
    """Read which members could not score rows.

    Parameters
    ----------
    tx
        Any transaction.
    deployment
        Its name.
    since_generation
        Only under this plan and later ones.
    limit
        At most this many, the earliest first.

    Returns
    -------
    list of Failed
        One per batch, arm, member and kind of failure.
    """
    found = tx.execute(
        records.FAILURES,
        {
            "in_project": tx.project,
            "in_deployment": deployment,
            "since_generation": since_generation,
            "n": limit,
        },
    )
    return [Failed(**row) for row in found.mappings()]


def count_failed(
    tx: Transaction, deployment: str, *, arm: str, generation: int
) -> dict[str, int]:
    """Count what an arm could not score under one plan.

    Parameters
    ----------
    tx
        Any transaction.
    deployment
        Its name.
    arm
        Such as ``canary``.
    generation
        Of the plan.

    Returns
    -------
    dict
        By kind of failure: rows, or, for ``load``, how often a version could not be loaded.
    """
    which: dict[str, str | int] = {"in_project": tx.project, "in_deployment": deployment}
    which |= {"in_arm": arm, "in_generation": generation}
    return {
        row.kind: int(row.n_times if row.kind == "load" else row.n_rows)
        for row in tx.execute(records.COUNT_FAILED, which)
    }


def _segments(
    tx: Transaction,
    statement: sa.Select[tuple[object, ...]],
    deployment: str,
    *,
    first: int,
    end: int,
) -> Iterable[Segment]:
    which = {"in_project": tx.project, "in_deployment": deployment, "first": first, "end": end}
    return [Segment(**row) for row in tx.execute(statement, which).mappings()]


def _unseal(house: Unsealing, tx: Transaction, segment: Segment, digest: str) -> bytes:
    return house.get_blob(f"deployment:{segment.deployment}", digest, project=tx.project)


def _load(data: bytes, columns: Sequence[str] | None) -> pl.DataFrame:
    source = io.BytesIO(data)
    if columns is None:
        return pl.read_parquet(source)
    there = pl.read_parquet_schema(io.BytesIO(data))
    return pl.read_parquet(source, columns=[name for name in columns if name in there])


def _within(table: pl.DataFrame, first: int, end: int) -> pl.DataFrame:
    start = max(first, 0)
    return table.slice(start, max(min(end, len(table)) - start, 0))

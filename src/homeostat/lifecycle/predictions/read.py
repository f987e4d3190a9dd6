"""Reads the log as tables, as of any instant; called by monitoring, the loop and the doors."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import polars as pl
import sqlalchemy as sa

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import records, segments
from homeostat.lifecycle.predictions.entities import Failed, Segment

END = 2**62
_LONGEST_ANSWER_MS = 120_000


def owner(deployment: str) -> str:
    """Return whose key seals a deployment's log.

    Parameters
    ----------
    deployment
        Its name.

    Returns
    -------
    str
        The same for every segment, so that one destroyed key erases the whole log.
    """
    return f"deployment:{deployment}"


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
    parts = [
        load(house, run, tx.project, first_row=first_row, end_row=end, columns=columns)
        for run in stored_together(found)
    ]
    together = stacked(parts)
    if as_of is not None:
        together = together.filter(pl.col("served_at") <= as_of)
    return together


def stacked(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Put parts of the log under each other; without any it is a log without rows.

    Parameters
    ----------
    parts
        As `load` returns them.

    Returns
    -------
    polars.DataFrame
        As `predictions`.
    """
    if not parts:
        empty = segments.empty_predictions()
        return empty.insert_column(0, pl.Series("row", [], dtype=pl.Int64()))
    return segments.stack(parts)


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
    opened, stored = "", segments.empty_labels()
    for segment in found:
        if segment.labels != opened:  # many segments may lie in one object
            data = house.get_blob(owner(deployment), segment.labels, project=tx.project)
            opened, stored = segment.labels, pl.read_parquet(io.BytesIO(data))
        table = stored.slice(segment.labels_at, segment.n_labels)
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
    which = {"in_project": tx.project, "in_id": prediction, "since": since}
    which["until"] = since + _LONGEST_ANSWER_MS
    rows = tx.execute(records.SEGMENTS_WITH_ID, which).mappings()
    for segment in [Segment(**row) for row in rows]:
        hit = rows_of(house, tx, segment, pl.col("id") == prediction)
        if len(hit):
            return segment.deployment, hit
    return None


def rows_of(
    house: Unsealing, tx: Transaction, segment: Segment, wanted: pl.Expr
) -> pl.DataFrame:
    """Return the rows of one segment that fulfil a condition, with their row numbers.

    Parameters
    ----------
    house
        What returns stored bytes.
    tx
        Any transaction.
    segment
        With predictions.
    wanted
        On the columns of `predictions`; only ids and keys are unpacked for it.

    Returns
    -------
    polars.DataFrame
        As `predictions`.
    """
    run = Run((segment,))
    keys = load(house, run, tx.project, columns=("id", "key"))
    found = keys.filter(wanted)
    if found.is_empty():
        return found
    first, last = int(found["row"][0]), int(found["row"][-1])
    rows = load(house, run, tx.project, first_row=first, end_row=last + 1)
    return rows.join(found.select("row"), on="row", how="semi")


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


class Run(NamedTuple):
    """Segments whose predictions follow each other in one stored object; often a single one."""

    segments: tuple[Segment, ...]

    @property
    def first_row(self) -> int:
        """In the log."""
        return self.segments[0].first_row

    @property
    def n_rows(self) -> int:
        """In all its segments."""
        return sum(one.n_rows for one in self.segments)


def stored_together(found: Iterable[Segment]) -> list[Run]:
    """Group segments by the object their predictions are stored in.

    Parameters
    ----------
    found
        Segments with predictions, in the order of the log.

    Returns
    -------
    list of Run
        In the same order.
    """
    runs: list[list[Segment]] = []
    for one in found:
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and last.predictions == one.predictions
            and last.predictions_at + last.n_rows == one.predictions_at
        ):
            runs[-1].append(one)
        else:
            runs.append([one])
    return [Run(tuple(run)) for run in runs]


def load(
    house: Unsealing,
    run: Run,
    project: str,
    *,
    first_row: int = 0,
    end_row: int = END,
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Read what is stored together, as far as it is wanted.

    Parameters
    ----------
    house
        What returns stored bytes.
    run
        From `stored_together`.
    project
        Namespace of the deployment.
    first_row, end_row
        Rows of the log [first_row, end_row).
    columns
        As for `predictions`.

    Returns
    -------
    polars.DataFrame
        As `predictions`.
    """
    first = run.segments[0]
    start = max(first_row - run.first_row, 0)
    length = max(min(end_row - run.first_row, run.n_rows) - start, 0)
    data = house.get_blob(owner(first.deployment), first.predictions, project=project)
    # Row groups outside of the slice are not unpacked.
    scanned = pl.scan_parquet(io.BytesIO(data)).slice(first.predictions_at + start, length)
    if columns is not None:
        there = pl.read_parquet_schema(io.BytesIO(data))
        needed = (*columns, "score") if "served_score" in columns else columns
        scanned = scanned.select([name for name in dict.fromkeys(needed) if name in there])
    table = segments.completed(scanned.collect(), columns)
    if columns is not None:
        table = table.select([name for name in columns if name in table.columns])
    table = table.with_row_index("row", offset=run.first_row + start)
    return table.with_columns(pl.col("row").cast(pl.Int64))


def _within(table: pl.DataFrame, first: int, end: int) -> pl.DataFrame:
    start = max(first, 0)
    return table.slice(start, max(min(end, len(table)) - start, 0))

"""What a segment says of its rows in the database, so that others need not be opened.

Made by `actions` when a segment is sealed; asked by `finding` and `compaction`.
"""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import records
from homeostat.lifecycle.predictions.entities import Answered, Sealed, Segment


def bounds(predictions: pl.DataFrame) -> dict[str, Any]:
    """Return the least and greatest id and key.

    Parameters
    ----------
    predictions
        Rows of one segment.

    Returns
    -------
    dict
        first_id, last_id, first_key, last_key; None without rows. Text is compared by its
        bytes, as both databases do.
    """
    found: dict[str, Any] = {}
    for name in ("id", "key"):
        values = predictions[name]
        found[f"first_{name}"] = _text(values.min())
        found[f"last_{name}"] = _text(values.max())
    return found


def members(predictions: pl.DataFrame) -> tuple[Answered, ...]:
    """Count the rows that each member scored.

    Parameters
    ----------
    predictions
        Rows of the log: members, answered, served_at.

    Returns
    -------
    tuple of Answered
        By member; a row that two members scored counts for both.

    Examples
    --------
    >>> rows = pl.DataFrame(
    ...     {"members": [["3", "4"], ["3"]], "answered": [True, False], "served_at": [5, 9]}
    ... )
    >>> [(one.member, one.n_answered, one.n_shadow) for one in members(rows)]
    [('3', 1, 1), ('4', 1, 0)]
    """
    if predictions.is_empty():
        return ()
    found = (
        predictions.select("members", "answered", "served_at")
        .explode("members")
        .drop_nulls("members")
        .group_by("members")
        .agg(
            pl.col("answered").sum().alias("n_answered"),
            (~pl.col("answered")).sum().alias("n_shadow"),
            pl.col("served_at").min().alias("first_served_at"),
            pl.col("served_at").max().alias("last_served_at"),
        )
        .sort("members")
        .rename({"members": "member"})
    )
    return tuple(Answered(**row) for row in found.iter_rows(named=True))


def note(tx: Transaction, segment: Segment, sealed: Sealed) -> None:
    """Write down who scored a segment's rows and who could not.

    Parameters
    ----------
    tx
        The one that accepts the segment.
    segment, sealed
        With its number, and as it was sealed.
    """
    own = {"project": tx.project, "segment": segment.id, "deployment": segment.deployment}
    counted = [
        {**own, "number": segment.number, **msgspec.structs.asdict(one)}
        for one in sealed.members
    ]
    if counted:
        tx.execute(records.INSERT_MEMBERS, counted)
    failed = [
        {**own, "position": position, **msgspec.structs.asdict(failure)}
        for position, failure in enumerate(sealed.failures)
    ]
    if failed:
        tx.execute(records.INSERT_FAILURE, failed)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)

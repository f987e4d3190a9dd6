"""Tables as observations and labels of a model that answers elsewhere; for `monitoring`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.data import tables
from homeostat.lifecycle.policy import Policy
from homeostat.lifecycle.predictions.entities import LateLabel
from homeostat.lifecycle.predictions.observed import Observation

SCORE = "score"
ANSWER = "answer"
CHANCE = "p."

Table = pl.DataFrame | Path | str


def written_policy(
    name: str,
    *,
    target: str,
    key: str | None,
    time: str | None,
    task: str = "classification",
    protected: Sequence[str] = (),
) -> str:
    """Return the homeostat.toml of a model that is only watched.

    Parameters
    ----------
    name
        Of the model and its deployment.
    target, key, time
        Columns; no line is written for None.
    task
        ``classification`` or ``regression``.
    protected
        Columns that are no features.

    Examples
    --------
    >>> print(written_policy("credit", target="defaulted", key="id", time=None))
    [model]
    name = "credit"
    target = "defaulted"
    key = "id"
    <BLANKLINE>
    [retraining]
    on = []
    <BLANKLINE>
    """
    lines = ["[model]", f"name = {json.dumps(name)}", f"target = {json.dumps(target)}"]
    lines += [f"key = {json.dumps(key)}"] if key else []
    lines += [f"task = {json.dumps(task)}"] if task != "classification" else []
    lines += ["", "[data]"] if time or protected else []
    lines += [f"time = {json.dumps(time)}"] if time else []
    lines += [f"protected = {json.dumps(list(protected))}"] if protected else []
    return "\n".join([*lines, "", "[retraining]", "on = []", ""])


def observations(table: pl.DataFrame, policy: Policy) -> list[Observation]:
    """Return the rows of a table as observations.

    Parameters
    ----------
    table
        Features, ``score``, and where there are any ``answer``, ``p.<class>`` for each of
        several classes, and the policy's columns.
    policy
        Names key, time, target and protected columns.

    Raises
    ------
    InvalidInputError
        When there is no score, or the time is no instant.
    """
    tables.need_column(table.columns, SCORE, role="score")
    named = {policy.model.key, policy.data.time, policy.model.target, SCORE, ANSWER}
    context = [name for name in table.columns if name in policy.data.protected]
    chances = [name for name in table.columns if name.startswith(CHANCE)]
    apart = {*named, *context, *chances}
    features = [name for name in table.columns if name not in apart]
    given: dict[str, list[Any]] = {"score": table[SCORE].cast(pl.Float64).to_list()}
    if ANSWER in table.columns:
        given["answer"] = table[ANSWER].to_list()
    if policy.model.key in table.columns:
        given["key"] = table[policy.model.key].cast(pl.String).to_list()
    if policy.data.time in table.columns:
        given["at"] = _instants(table[policy.data.time])
    given["features"] = _cells(table, features)
    given["context"] = _cells(table, context)
    if chances:
        said = table.select(pl.col(name).cast(pl.Float64).fill_null(0.0) for name in chances)
        given["chances"] = said.rename(lambda name: name.removeprefix(CHANCE)).to_dicts()
    rows = zip(*given.values(), strict=True)
    return msgspec.convert(
        [dict(zip(given, row, strict=True)) for row in rows], list[Observation]
    )


def _cells(table: pl.DataFrame, names: list[str]) -> list[dict[str, Any]]:
    columns = [_plain(table[name]) for name in names]
    if not columns:
        return [{} for _ in range(table.height)]
    return pl.DataFrame(columns).to_dicts()


def _plain(values: pl.Series) -> pl.Series:
    """Return a column as JSON can say it; NaN counts as missing."""
    if values.dtype.is_float():
        return values.fill_nan(None)
    if values.dtype.is_temporal():
        return values.cast(pl.Datetime("ms")).dt.to_string("iso:strict")
    if values.dtype.is_integer() or values.dtype == pl.Boolean:
        return values
    if values.dtype.is_numeric():
        return values.cast(pl.Float64)
    return values.cast(pl.String)


def _instants(values: pl.Series) -> list[int]:
    if values.dtype == pl.String:
        values = values.str.to_datetime(strict=False)
    if values.dtype.is_temporal():
        values = schemas.as_milliseconds(values)
    if not values.dtype.is_integer() or values.null_count():
        raise errors.InvalidInputError(
            f"column {values.name!r} must hold an instant in every row: a date and time, or "
            f"milliseconds UTC",
            column=values.name,
        )
    return [int(value) for value in values.to_list()]


def labels(table: pl.DataFrame, policy: Policy) -> list[LateLabel]:
    """Return the rows of a table as late labels.

    Parameters
    ----------
    table
        With the policy's key and target, and its time where that is a column.
    policy
        Names them.

    Raises
    ------
    InvalidInputError
        When a column is missing, or the time is no instant.
    """
    key, target, time = policy.model.key, policy.model.target, policy.data.time
    for name, role in ((key or "key", "key"), (target, "target")):
        tables.need_column(table.columns, name, role=role)
    keys = table[key or "key"].cast(pl.String).to_list()
    happened: list[int | None] = [None] * table.height
    if time in table.columns:
        happened = [*_instants(table[time])]
    rows = zip(keys, table[target].to_list(), happened, strict=True)
    return [LateLabel(key=one, label=label, event_at=at) for one, label, at in rows]


def pieces(table: pl.DataFrame, most: int) -> Iterator[tuple[int, pl.DataFrame]]:
    """Cut a table into pieces.

    Parameters
    ----------
    table
        Of any length.
    most
        Rows of a piece.

    Returns
    -------
    iterator of tuple
        Place of the first row, and the piece.
    """
    return ((first, table[first : first + most]) for first in range(0, table.height, most))


def table_of(table: Table) -> pl.DataFrame:
    """Return a frame as it is, and read a file."""
    return table if isinstance(table, pl.DataFrame) else tables.read(Path(table))

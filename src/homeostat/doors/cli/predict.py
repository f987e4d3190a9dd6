"""`homeostat predict`: ask a deployment for answers, for one row or a file of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from homeostat.doors.cli import output, session
from homeostat.foundation import errors

ROWS_AT_ONCE = 1000


@click.command()
@click.argument("deployment")
@click.option("--row", metavar="JSON", help="One row, such as '{\"income\": 1200}'.")
@click.option("--input", "source", type=click.Path(path_type=Path), help="Parquet or CSV.")
@click.option("--key", metavar="COLUMN", help="Column of the file that labels are joined by.")
@output.option
def predict(
    *, deployment: str, row: str | None, source: Path | None, key: str | None, as_json: bool
) -> None:
    """Score rows through the prediction server; every one is logged."""
    if (row is None) == (source is None):
        raise errors.InvalidInputError("give either --row or --input")
    found: list[dict[str, Any]] = []
    with session.client() as client:
        for rows, keys in [_one(row)] if row is not None else _table(source, key):
            answer = client.deployments.predict(deployment, rows, keys=keys)
            columns = (answer.keys, answer.scores, answer.answers, answer.versions, answer.ids)
            names = ("key", "score", "answer", "version", "id")
            found += [dict(zip(names, one, strict=True)) for one in zip(*columns, strict=True)]
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["key", "#score", "answer", "version"],
            [
                (one["key"], f"{one['score']:.6f}", one["answer"], one["version"])
                for one in found
            ],
        ),
    )


def _one(text: str) -> tuple[list[dict[str, Any]], None]:
    try:
        return [msgspec.json.decode(text, type=dict[str, Any])], None
    except msgspec.MsgspecError as error:
        raise errors.InvalidInputError(f"--row is no JSON object: {error}") from None


def _table(
    source: Path | None, key: str | None
) -> Iterator[tuple[list[dict[str, Any]], list[str] | None]]:
    from homeostat.lifecycle.data import tables

    assert source is not None
    frame = tables.read(source)
    if key is not None and key not in frame.columns:
        raise errors.InvalidInputError(f"{source} has no column {key!r} to be the key")
    for start in range(0, len(frame), ROWS_AT_ONCE):
        part = frame.slice(start, ROWS_AT_ONCE)
        keys = None if key is None else [str(one) for one in part[key].to_list()]
        left = part if key is None else part.drop(key)
        rows = [{name: _json(one) for name, one in row.items()} for row in left.to_dicts()]
        yield rows, keys


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date | dt.datetime) else value

"""`homeostat predict`: ask a deployment for answers, or score a whole table into a file."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from homeostat.doors.cli import output as shown
from homeostat.doors.cli import session
from homeostat.foundation import errors
from homeostat.lifecycle.data import batches, tables
from homeostat.lifecycle.serving import bulk
from homeostat.lifecycle.serving.scorings import Scoring

ROWS_AT_ONCE = 1000


@click.command()
@click.argument("target", metavar="DEPLOYMENT|models:/NAME/3|models:/NAME@ALIAS")
@click.option("--row", metavar="JSON", help="One row, such as '{\"income\": 1200}'.")
@click.option(
    "--input", "source", metavar="TABLE", help="Parquet, CSV or Arrow; may be a glob."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Score the input into this file, here, whatever its size.",
)
@click.option("--key", metavar="COLUMN", help="Column of the table that labels are joined by.")
@click.option("--keep", metavar="COLUMNS", help="Copied to the output: a,b,c or '*'.")
@click.option(
    "--bad-rows",
    type=click.Choice(["fail", "skip", "keep"]),
    default="fail",
    show_default=True,
    help="What becomes of a row that cannot be scored; told in OUTPUT.bad.jsonl.",
)
@click.option(
    "--executor",
    type=click.Choice(["inline", "processes", "ray"]),
    default="inline",
    show_default=True,
    help="Where batches are scored.",
)
@click.option("--batch-rows", default=10_000, show_default=True, help="Memory grows with it.")
@click.option("--log", is_flag=True, help="Put the rows into the deployment's log too.")
@shown.option
def predict(
    *,
    target: str,
    row: str | None,
    source: str | None,
    output: Path | None,
    key: str | None,
    keep: str | None,
    bad_rows: bulk.BadRows,
    executor: Literal["inline", "processes", "ray"],
    batch_rows: int,
    log: bool,
    as_json: bool,
) -> None:
    """Score rows: one or a few through the prediction server, or a whole table into a file.

    Without --output every row is asked of the prediction server, and logged. With it the table
    is scored in this process by the deployment's plan and corrections, or by one version alone,
    in bounded memory, and recorded with its lineage.
    """
    if (row is None) == (source is None):
        raise errors.InvalidInputError("give either --row or --input")
    if output is None:
        _asked(target, row, source, key, as_json=as_json)
        return
    if source is None:
        raise errors.InvalidInputError("--output needs --input, a table to score")
    shown.check_place(output, option="--output")
    with session.client() as client, _bar(is_shown=not as_json) as progress:
        done = client.scorings.score(
            target,
            source,
            output,
            key=key,
            keep=_kept(keep, source),
            bad_rows=bad_rows,
            executor=executor,
            batch_rows=batch_rows,
            log=log,
            progress=progress,
        )
    shown.emit(done, as_json=as_json, show=lambda: _told(done))


def _told(done: Scoring) -> str:
    told = done.told
    pace = told.n_rows / max(told.seconds, 1e-9)
    bad = f", {told.n_bad:,} bad" if told.n_bad else ""
    logged = f", {told.n_logged:,} logged" if told.n_logged else ""
    by = f"{told.model} {'+'.join(str(one) for one in told.versions)}"
    return (
        f"{told.n_scored:,} rows scored by {by} into {told.output}{bad}{logged} "
        f"in {told.seconds:.1f} s ({pace:,.0f} rows/s); {done.reference}"
    )


def _kept(keep: str | None, source: str) -> tuple[str, ...] | None:
    if keep is None:
        return None
    if keep != "*":
        return tuple(one.strip() for one in keep.split(",") if one.strip())
    if source.startswith("data:"):
        raise errors.InvalidInputError("name the columns of a snapshot that are kept")
    return batches.Source(tables.find(source, folder=Path())).columns


@contextlib.contextmanager
def _bar(*, is_shown: bool) -> Iterator[Callable[[float, int], None]]:
    """Show how far it is, on a terminal; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("scoring"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} % · {task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
    )
    hidden = not (is_shown and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=1.0, rows=0)
        yield lambda share, rows: bar.update(task, completed=share, rows=rows)


def _asked(
    target: str, row: str | None, source: str | None, key: str | None, *, as_json: bool
) -> None:
    """Ask the prediction server, a thousand rows at a time."""
    found: list[dict[str, Any]] = []
    parts = _one(row) if row is not None else None
    with session.client() as client:
        for rows, keys in [parts] if parts is not None else _table(source, key):
            answer = client.deployments.predict(target, rows, keys=keys)
            columns = (answer.keys, answer.scores, answer.answers, answer.versions, answer.ids)
            names = ("key", "score", "answer", "version", "id")
            found += [dict(zip(names, one, strict=True)) for one in zip(*columns, strict=True)]
    shown.emit(
        found,
        as_json=as_json,
        show=lambda: shown.table(
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
    source: str | None, key: str | None
) -> Iterator[tuple[list[dict[str, Any]], list[str] | None]]:
    assert source is not None
    frame = tables.read(Path(source))
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

"""`homeostat data`: add tables as snapshots, look at them and at their checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from homeostat.doors.cli import output, session
from homeostat.measures import variety

CHECKED_NO = 3
DIGITS = 4


@click.group()
def data() -> None:
    """Add, list and check snapshots of data."""


@data.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="Of the dataset; the file's name without its ending if not said.")
@click.option("--key", help="Column that identifies rows; no value may come twice.")
@click.option("--time", help="Column that orders rows.")
@click.option(
    "--allow-schema-change", is_flag=True, help="Columns may go or change their kind."
)
@output.option
def add(
    *,
    path: Path,
    name: str | None,
    key: str | None,
    time: str | None,
    allow_schema_change: bool,
    as_json: bool,
) -> None:
    """Add a Parquet, CSV or Arrow file as the next snapshot of a dataset."""
    with session.client() as client:
        snapshot = client.data.add(
            path,
            path.stem if name is None else name,
            key=key,
            time=time,
            allow_schema_change=allow_schema_change,
        )
    output.emit(snapshot, as_json=as_json, show=lambda: _told(snapshot))


@data.command("list")
@click.option("--limit", default=100, show_default=True, help="At most this many.")
@output.option
def list_(*, limit: int, as_json: bool) -> None:
    """List datasets by name."""
    with session.client() as client:
        found = client.data.list(limit=limit)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["dataset", "#snapshots", "since (UTC)", "by"],
            [
                (d.name, d.n_snapshots, output.instant(d.created_at), d.created_by)
                for d in found
            ],
            empty="no data yet; homeostat data add FILE --name NAME",
        ),
    )


@data.command()
@click.argument("name")
@click.option("--number", type=int, help="Which snapshot; the newest if not said.")
@output.option
def show(*, name: str, number: int | None, as_json: bool) -> None:
    """Show a snapshot: its columns, what they hold, and how it differs from the one before."""
    with session.client() as client:
        snapshot = client.data.get(name, number=number)
        columns = client.data.profile(name, number=snapshot.number)
    if as_json:
        output.emit({"snapshot": snapshot, "profile": columns}, as_json=True)
        return
    output.emit(_told(snapshot), as_json=False)
    rows = [
        (
            column.name,
            column.kind,
            column.n_missing,
            *map(_number, (column.minimum, column.median, column.maximum)),
            variety.told(column.n_different, column.different_error) or None,
            ", ".join(f"{value} ({n})" for value, n in column.frequent),
            variety.listed(column.examples),
        )
        for column in columns
    ]
    headings = ["column", "kind", "#missing", "#least", "#median", "#most", "#different"]
    headings += ["frequent", "examples"]
    output.emit(output.table(headings, rows), as_json=False)


@data.command()
@click.argument("name")
@click.option("--number", type=int, help="Which snapshot; the newest if not said.")
@output.option
def checks(*, name: str, number: int | None, as_json: bool) -> int:
    """Show what was checked when a snapshot was added; exit code 3 when a check failed."""
    with session.client() as client:
        snapshot = client.data.get(name, number=number)
    output.emit(
        snapshot.checks,
        as_json=as_json,
        show=lambda: output.table(
            ["", "check", "what was seen"],
            [
                ("ok" if result.passed else "NO", result.check.kind, result.sentence)
                for result in snapshot.checks
            ],
            title=f"{snapshot.dataset}, snapshot {snapshot.number}",
        ),
    )
    return 0 if all(result.passed for result in snapshot.checks) else CHECKED_NO


def _told(snapshot: Any) -> str:
    failed = [result.sentence for result in snapshot.checks if not result.passed]
    size = f"{snapshot.n_rows} rows, {len(snapshot.schema.columns)} columns"
    added = f"added {output.instant(snapshot.created_at)} UTC by {snapshot.created_by}"
    lines = [
        f"{snapshot.dataset}, snapshot {snapshot.number}: {size}, {snapshot.size_bytes} bytes",
        f"  {snapshot.reference}, {added}",
    ]
    lines += [f"  differs: {difference.sentence}" for difference in snapshot.differences]
    lines += [f"  check failed: {sentence}" for sentence in failed]
    return "\n".join(lines)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.{DIGITS}g}"

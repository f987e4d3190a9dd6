"""`homeostat predictions`: take the prediction log out as a file."""

from __future__ import annotations

from pathlib import Path

import click

from homeostat.doors.cli import output, session


@click.group()
def predictions() -> None:
    """Export the prediction log."""


@predictions.command()
@click.argument("deployment")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--as-of", metavar="TIME", help="Only what was served and known then.")
@click.option("--since", metavar="TIME", help="Served from then on.")
@click.option("--until", metavar="TIME", help="Served before then.")
@click.option("--version", "versions", multiple=True, help="A member (3) or composite (3+4).")
@click.option("--column", "columns", multiple=True, help="Only these, such as key or x.income.")
@click.option("--labels", is_flag=True, help="With label, event_at and known_at of each key.")
@click.option("--shadows", is_flag=True, help="Also what was scored and never answered.")
@output.option
def export(
    *,
    deployment: str,
    path: Path,
    as_of: str | None,
    since: str | None,
    until: str | None,
    versions: tuple[str, ...],
    columns: tuple[str, ...],
    labels: bool,
    shadows: bool,
    as_json: bool,
) -> None:
    """Write the log of DEPLOYMENT to FILE: .parquet, .arrow (a stream) or .jsonl.

    TIME is such as 2026-04-05, 2026-04-05T10:31:07 (UTC), or milliseconds since 1970.
    """
    output.check_place(path, option="FILE")
    with session.client() as client:
        size = client.predictions.export(
            deployment,
            path,
            as_of=output.moment(as_of),
            since=output.moment(since),
            until=output.moment(until),
            versions=versions,
            columns=columns,
            with_labels=labels,
            answered=None if shadows else True,
        )
    told = {"path": str(path), "size_bytes": size}
    output.emit(told, as_json=as_json, show=lambda: f"{path}: {size:,} bytes")

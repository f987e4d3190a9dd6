"""`homeostat import mlflow`: copy what an MLflow server or its database file has."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from homeostat.doors.cli import output, session
from homeostat.doors.cli.imports import copying, database, server, source, writing
from homeostat.foundation import errors

NOT_ALL: Final = 3
_FILE: Final = "sqlite:///"
_TRUE: Final = frozenset({"1", "true", "yes"})


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an import came to.

    Parameters
    ----------
    source
        Address.
    counts
        What was copied, and what was as before.
    left
        How many things of a kind no import takes; -1 where that was not counted.
    missed
        How many things of a kind should have been taken, and could not.
    examples
        Some of both, with the reason.
    """

    source: str
    counts: dict[str, int]
    left: dict[str, int]
    missed: dict[str, int]
    examples: list[writing.Left]


@click.group("import")
def imports() -> None:
    """Copy what another system has into this house."""


@imports.command()
@click.argument("uri")
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the artifacts, for a database file; looked for beside it if not said.",
)
@click.option("--username", envvar="MLFLOW_TRACKING_USERNAME", help="To sign in at the server.")
@click.option("--password", envvar="MLFLOW_TRACKING_PASSWORD", help="To sign in at the server.")
@click.option("--token", envvar="MLFLOW_TRACKING_TOKEN", help="Bearer token, to sign in.")
@output.option
def mlflow(
    *,
    uri: str,
    artifacts: Path | None,
    username: str | None,
    password: str | None,
    token: str | None,
    as_json: bool,
) -> int:
    """Copy experiments, runs, metrics, artifacts and models from MLflow.

    URI is the address of a tracking server (http://HOST:PORT) or of its database file
    (sqlite:///PATH). Nothing is written to the source. Run it again to go on where it
    stopped, or to copy what changed since; nothing comes twice. Traces, webhooks and files in
    stores such as s3:// stay where they are. Exit code 3 when something else could not be
    copied.
    """
    found = _open(
        uri,
        artifacts=artifacts,
        auth=(username, password or "") if username else None,
        token=token or "",
    )
    with (
        contextlib.closing(found),
        session.client() as client,
        _progress(found.count_runs(), is_shown=not as_json) as watch,
    ):
        work = copying.Copying(found, client, watch)
        work.everything()
    report = Report(
        source=found.address,
        counts=dict(sorted(work.counts.items())),
        left=work.writer.left,
        missed=work.writer.missed,
        examples=work.writer.examples,
    )
    output.emit(report, as_json=as_json, show=lambda: _told(report))
    return NOT_ALL if report.missed else 0


def _open(
    uri: str, *, artifacts: Path | None, auth: tuple[str, str] | None, token: str
) -> source.Source:
    if uri.startswith(_FILE):
        return database.Database(Path(uri.removeprefix(_FILE)), artifacts=artifacts)
    if not uri.startswith(("http://", "https://")):
        raise errors.InvalidInputError(
            f"{uri[:200]!r} is neither http://HOST:PORT nor sqlite:///PATH",
            hint="for another database or a folder mlruns, start `mlflow server` on it and "
            "give its address",
        )
    if artifacts is not None:
        raise errors.InvalidInputError(
            "--artifacts belongs to a database file; a server gives its artifacts itself"
        )
    is_lax = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in _TRUE
    return server.Server(uri, auth=auth, token=token, verify=not is_lax)


@contextlib.contextmanager
def _progress(n_runs: int | None, *, is_shown: bool) -> Iterator[copying.Watch]:
    """Show a bar of runs, points and bytes while it works; on stderr."""
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[told]}"),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    )
    told = {"points": 0, "bytes": 0}
    lock = threading.Lock()
    console = Console(stderr=True)
    with progress.Progress(*columns, console=console, disable=not is_shown) as bar:
        task = bar.add_task("runs", total=n_runs, told="")

        def watch(kind: str, n: int) -> None:
            with lock:
                if kind == "runs":
                    bar.advance(task, n)
                elif kind in told:
                    told[kind] += n
                size = f"{told['bytes'] / 1e6:,.1f} MB"
                bar.update(task, told=f"{told['points']:,} points, {size}")

        yield watch


def _told(report: Report) -> Any:
    from rich.console import Group

    counts = report.counts
    names = ("experiments", "runs", "points", "logged_models", "models", "versions", "files")
    done = [
        (name.replace("_", " "), counts.get(name, 0), counts.get(f"{name}_unchanged"))
        for name in names
    ]
    shown = [output.table(["copied", "#n", "#as before"], done)]
    if report.examples:
        rows = [
            (item.kind, item.name or None, item.reason, _count(report, item.kind))
            for item in report.examples
        ]
        columns = ["not taken", "which", "why", "#of this kind"]
        shown.append(output.table(columns, rows))
    size = f"{counts.get('bytes', 0) / 1e6:,.1f} MB of artifacts"
    return Group(*shown, f"from {report.source}; {size}")


def _count(report: Report, kind: str) -> str | None:
    n, n_left = report.missed.get(kind, 0), report.left.get(kind, 0)
    return None if n_left < 0 else str(n + n_left)

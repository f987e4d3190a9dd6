"""`homeostat backtest`: what a policy would have done on a history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from homeostat.doors.cli import output
from homeostat.foundation import errors

SHOWN_ROWS = 8


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--target", required=True, metavar="COL", help="Column to predict; two classes.")
@click.option("--time", metavar="COL", help="Sort by this column first; it is no feature.")
@click.option("--drop", multiple=True, metavar="COL", help="No feature; may be repeated.")
@click.option("--warmup", default=0.125, show_default=True, help="Share that trains first.")
@click.option("--batch", type=int, metavar="ROWS", help="Rows answered at once (200).")
@click.option("--label-delay", default=0, metavar="ROWS", help="Rows until a label is known.")
@click.option(
    "--strategy",
    default="loop",
    show_default=True,
    metavar="loop|static|every-batch|cron:K",
    help="Who decides on fits; cron:K fits after every K batches.",
)
@click.option("--policy", type=click.Path(path_type=Path), help="A homeostat.toml to follow.")
@click.option("--seed", default=0, show_default=True, help="Of the models.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the result to this file.",
)
def backtest(  # noqa: PLR0917 - click passes them by name
    data: Path,
    target: str,
    time: str | None,
    drop: tuple[str, ...],
    warmup: float,
    batch: int | None,
    label_delay: int,
    strategy: str,
    policy: Path | None,
    seed: int,
    json_file: Path | None,
) -> None:
    """Answer a time-ordered table batch by batch, before its labels are known.

    DATA is a Parquet or CSV file. With --json the result is written to FILE; a FILE of - is
    standard output.
    """
    from homeostat.lifecycle import policy as policies
    from homeostat.lifecycle.data import tables
    from homeostat.lifecycle.loop import backtest as backtests
    from homeostat.lifecycle.loop import history

    if json_file is not None:
        output.check_place(json_file, option="--json")
    followed = policies.read(policy) if policy else backtests.policy_for(target)
    rows = history.prepare(
        tables.read(data), target=target, time=time, drop=drop, warmup=warmup
    )
    for note in rows.notes:
        click.secho(note, err=True, dim=True)
    with _progress(strategy) as progress:
        found = backtests.run(
            rows,
            followed,
            batch=followed.retraining.block if batch is None else batch,
            label_delay=label_delay,
            strategy=strategy,
            seed=seed,
            progress=progress,
        )
    if json_file != Path("-"):
        _show(found, positive=rows.positive)
    if json_file is not None:
        _write(json_file, found)


@contextmanager
def _progress(strategy: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far the answers have come, on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(strategy, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _write(path: Path, found: Any) -> None:
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(found), indent=2)
    if path == Path("-"):
        click.echo(text.decode())
        return
    try:
        path.write_bytes(text + b"\n")
    except OSError as error:
        raise errors.InvalidInputError(
            f"{path} cannot be written: {error.strerror}", hint="name another file for --json"
        ) from error


def _show(found: Any, *, positive: str) -> None:
    kappa = "-" if found.kappa_temporal is None else f"{found.kappa_temporal:.3f}"
    lines = [
        ("strategy", found.strategy),
        ("positive class", positive),
        ("rows scored", f"{found.rows_scored:,}"),
        ("accuracy", f"{found.accuracy:.2%}"),
        ("previous label's accuracy", f"{found.previous_label_accuracy:.2%}"),
        ("kappa-temporal", kappa),
        ("log loss", f"{found.log_loss:.4f}"),
        ("fits after the first", found.fits),
        ("promotions", len(found.promotions)),
        ("alarms", _alarms(found.alarms)),
        ("labels used", f"{found.labels_used:,}"),
        ("seconds", f"{found.wall_s:.1f}"),
    ]
    output.emit(found, as_json=False, show=lambda: output.table(["what", "value"], lines))


def _alarms(alarms: Any) -> str:
    by_kind: dict[str, list[int]] = {}
    for alarm in alarms:
        by_kind.setdefault(alarm.kind, []).append(alarm.row)
    told = [
        f"{kind} at row {', '.join(str(row) for row in rows[:SHOWN_ROWS])}"
        + (f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else "")
        for kind, rows in by_kind.items()
    ]
    return "; ".join(told) or "none"

"""`homeostat backtest`: what a policy would have done on a history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from homeostat.doors.cli import histories, output
from homeostat.foundation import errors

SHOWN_ROWS = 8
PICTURES = (".svg", ".html")


@click.command()
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option("--deployment", metavar="NAME", help="Its prediction log, instead of DATA.")
@click.option("--target", metavar="COL", help="Column to predict.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="Is the target a class or a number? (as --policy says, else classification)",
)
@click.option("--time", metavar="COL", help="Sort by this column first; it is no feature.")
@click.option("--drop", multiple=True, metavar="COL", help="No feature; may be repeated.")
@click.option("--warmup", default=0.125, show_default=True, help="Share that trains first.")
@click.option("--batch", type=int, metavar="ROWS", help="Rows answered at once (200).")
@click.option(
    "--label-delay",
    metavar="ROWS|COL",
    help="Rows until a label is known; or their column, empty where it never comes. (a log: as "
    "they came; a table: as --policy says, else 0)",
)
@click.option(
    "--strategy",
    default="loop",
    show_default=True,
    metavar="loop|composite|static|every-batch|cron:K",
    help="Who decides on fits. composite: the loop without its corrector; cron:K fits after "
    "every K batches.",
)
@click.option("--policy", type=click.Path(path_type=Path), help="A homeostat.toml to follow.")
@click.option("--budget", type=click.Choice(["normal", "low", "minimal"]), help="Of fits.")
@click.option("--members", type=click.IntRange(1, 8), help="Models that answer together.")
@click.option(
    "--live",
    is_flag=True,
    help="Judge gates and the envelope, roll out with guards, and keep schedule, cooldown and "
    "budgets by the dates of the rows; else all of it is taken as passed.",
)
@click.option(
    "--compare",
    metavar="WAYS",
    help="Also try these, with commas: strategies, or files of other policies.",
)
@click.option(
    "--chart",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the score over time into a .svg or .html file.",
)
@click.option("--seed", default=0, show_default=True, help="Of the models.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the result to this file.",
)
def backtest(  # noqa: PLR0917 - click passes them by name
    data: Path | None,
    deployment: str | None,
    target: str | None,
    task: str | None,
    time: str | None,
    drop: tuple[str, ...],
    warmup: float,
    batch: int | None,
    label_delay: str | None,
    strategy: str,
    policy: Path | None,
    budget: str | None,
    members: int | None,
    live: bool,
    compare: str | None,
    chart: Path | None,
    seed: int,
    json_file: Path | None,
) -> None:
    """Answer a time-ordered table batch by batch, before its labels are known.

    DATA is a Parquet or CSV file; with --deployment it is what was served and has its label,
    in the order it was served. A --policy names target, key, time and protected columns where
    the options do not. With --json the result is written to FILE; a FILE of - is
    standard output. With --compare it is a table of all ways, with the share of what
    refitting after every batch gains that each regains, where static and every-batch are
    among them.
    """
    from homeostat.lifecycle.loop import comparing

    _check_places(json_file, chart)
    target = histories.target(data, deployment, target, policy=policy)
    ways = _ways(
        [strategy, *_listed(compare)],
        target=target,
        task=task,
        policy=policy,
        budget=budget,
        members=members,
    )
    followed = ways[0].policy
    asked = histories.Asked(
        data=data,
        deployment=deployment,
        target=target,
        is_number=(task or followed.model.task) == "regression",
        time=time,
        drop=drop,
        warmup=warmup,
        label_delay=label_delay,
        policy=followed if policy else None,
    )
    rows, late = histories.read(asked)
    _note(rows.notes)
    size = followed.retraining.block if batch is None else batch
    with _progress() as progress:
        found = comparing.compare(
            rows, ways, batch=size, label_delay=late, seed=seed, enters=live, progress=progress
        )
    if chart is not None:
        name = data.name if data is not None else deployment
        _draw(chart, found, title=f"{name}: {target}", warmup=rows.warmup, batch=size)
    _tell(found, json_file, positive=rows.positive, alone=compare is None)


def _check_places(json_file: Path | None, chart: Path | None) -> None:
    """Refuse places that cannot be written to, before anything is computed."""
    if json_file is not None:
        output.check_place(json_file, option="--json")
    if chart is not None:
        _check_chart(chart)


def _note(notes: Sequence[str]) -> None:
    for note in notes:
        click.secho(note, err=True, dim=True)


def _tell(found: Any, json_file: Path | None, *, positive: str, alone: bool) -> None:
    """Print what came out, unless standard output is for the JSON; write the JSON."""
    first = found.rows[0].outcome
    if json_file != Path("-"):
        _show(first, positive=positive) if alone else _show_all(found)
    if json_file is not None:
        _write(json_file, first if alone else {"ways": found.rows})


def _listed(compare: str | None) -> list[str]:
    return [name.strip() for name in (compare or "").split(",") if name.strip()]


def _ways(
    names: list[str],
    *,
    target: str,
    task: str | None,
    policy: Path | None,
    budget: str | None,
    members: int | None,
) -> list[Any]:
    """Return what is tried: the strategy first, then what it is compared with."""
    from homeostat.lifecycle.loop import backtest as backtests
    from homeostat.lifecycle.loop import comparing

    own = _policy(policy, target=target, task=task, budget=budget, members=members)
    ways = []
    for name in dict.fromkeys(names):
        if name.endswith(".toml"):
            other = _policy(Path(name), target=target, task=task)
            ways.append(comparing.Way(name=name, strategy="loop", policy=other))
        else:
            backtests.check_strategy(name)
            ways.append(comparing.Way(name=name, strategy=name, policy=own))
    return ways


def _policy(
    path: Path | None,
    *,
    target: str,
    task: str | None,
    budget: str | None = None,
    members: int | None = None,
) -> Any:
    from msgspec import structs

    from homeostat.lifecycle import policy as policies
    from homeostat.lifecycle.loop import backtest as backtests

    told = policies.read(path) if path else backtests.policy_for(target, task=task)
    changed: dict[str, Any] = {"budget": budget, "members": members}
    changed = {name: value for name, value in changed.items() if value is not None}
    return structs.replace(told, retraining=structs.replace(told.retraining, **changed))


def _check_chart(path: Path) -> None:
    if path.suffix not in PICTURES:
        raise errors.InvalidInputError(
            f"a chart is a .svg or .html file; got '{path}'", hint="name such a file"
        )
    output.check_place(path, option="--chart")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far the answers have come, on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("", total=None)
        yield lambda name, done, total: shown.update(
            task, description=name, completed=done, total=total
        )


def _write(path: Path, found: Any) -> None:
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(found), indent=2)
    if path == Path("-"):
        click.echo(text.decode())
        return
    _put(path, text + b"\n", option="--json")


def _draw(path: Path, found: Any, *, title: str, warmup: int, batch: int) -> None:
    from homeostat.lifecycle.loop import chart

    picture = chart.svg(found, title=title, first_row=warmup, batch=batch)
    text = chart.html(picture, title=title) if path.suffix == ".html" else picture
    _put(path, text.encode(), option="--chart")


def _put(path: Path, content: bytes, *, option: str) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise errors.InvalidInputError(
            f"{path} cannot be written: {error.strerror}",
            hint=f"name another file for {option}",
        ) from error


def _show(found: Any, *, positive: str) -> None:
    lines: list[tuple[str, object]] = [("strategy", found.strategy)]
    if positive:
        lines.append(("positive class", positive))
    lines.append(("rows scored", f"{found.rows_scored:,}"))
    if found.accuracy is None:
        lines.append(("R squared (of a quantile: R1)", f"{found.score:.4f}"))
    else:
        lines += [
            ("accuracy", f"{found.accuracy:.2%}"),
            ("previous label's accuracy", f"{found.previous_label_accuracy:.2%}"),
            ("kappa-temporal", _kappa(found)),
            ("log loss", f"{found.log_loss:.4f}"),
        ]
    lines += [
        ("fits after the first", found.fits),
        ("fits of the corrector", found.corrector_fits),
        ("promotions", len(found.promotions)),
        ("alarms", _alarms(found.alarms)),
        ("labels used", f"{found.labels_used:,}"),
        *_entered(found),
        ("seconds", f"{found.wall_s:.1f}"),
    ]
    output.emit(found, as_json=False, show=lambda: output.table(["what", "value"], lines))


def _show_all(found: Any) -> None:
    columns = [
        "way",
        "#score",
        "#regained",
        "#kappa-t",
        "#fits",
        "#of every-batch",
        "#corrector",
        "#promotions",
        "#harm",
        "#other alarms",
        "#labels",
        "#fitting s",
    ]
    lines = []
    for row in found.rows:
        told = row.outcome
        harm = sum(alarm.kind == "harm" for alarm in told.alarms)
        lines.append(
            [
                row.name,
                f"{told.score:.2%}" if told.accuracy is not None else f"{told.score:.4f}",
                None if row.regained is None else f"{row.regained:.2f}",
                _kappa(told),
                told.fits,
                None if row.fits_share is None else f"{row.fits_share:.1%}",
                told.corrector_fits,
                len(told.promotions),
                harm,
                len(told.alarms) - harm,
                f"{told.labels_used:,}",
                f"{row.fit_s:.1f}",
            ]
        )
    output.emit(found, as_json=False, show=lambda: output.table(columns, lines))
    entered = [(row.name, _entered(row.outcome)) for row in found.rows if row.outcome.entered]
    if entered:
        names = ["way", *(f"#{name}" for name, _ in entered[0][1])]
        newcomers = [[way, *(n for _, n in told)] for way, told in entered]
        output.emit(entered, as_json=False, show=lambda: output.table(names, newcomers))
    first = found.rows[0].outcome
    if first.previous_label_accuracy is not None:
        click.echo(f"answering with the previous label: {first.previous_label_accuracy:.2%}")


def _entered(found: Any) -> list[tuple[str, object]]:
    """Return what became of newcomers, where the loop lived through gates and canaries."""
    if not found.entered:
        return []
    told = found.entered
    return [
        ("refused", told.refused),
        ("rolled back", told.rolled_back),
        ("to approve", told.asked),
        ("fits held", told.held),
    ]


def _kappa(found: Any) -> str:
    return "-" if found.kappa_temporal is None else f"{found.kappa_temporal:.3f}"


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

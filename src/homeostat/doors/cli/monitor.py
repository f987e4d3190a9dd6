"""`homeostat monitor`: what was found in which window; `alerts` answers for what was told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from homeostat.doors.cli import alerts, output, session
from homeostat.foundation import clock, errors
from homeostat.lifecycle.data import tables
from homeostat.lifecycle.monitoring import drift
from homeostat.lifecycle.monitoring.entities import Cause, Window
from homeostat.lifecycle.monitoring.stored import SummaryWindow
from homeostat.lifecycle.policy import spans
from homeostat.measures import variety

_TOLD = 5


@click.group(invoke_without_command=True)
@click.pass_context
def monitor(ctx: click.Context) -> None:
    """Show what monitoring has found; alone, the alerts that are not over."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(alerts.list_alerts, deployment="", everything=False, limit=50, as_json=False)


@monitor.command()
@click.argument("deployment")
@click.option("--all", "everything", is_flag=True, help="Windows without findings too.")
@click.option("--limit", default=50, help="At most this many.", show_default=True)
@output.option
def windows(*, deployment: str, everything: bool, limit: int, as_json: bool) -> None:
    """List judged windows of a DEPLOYMENT, the latest first."""
    with session.client() as client:
        found = client.alerts.windows(deployment, with_findings=not everything, limit=limit)
        _need(client, deployment if not found else "")
        newest = found or client.alerts.windows(deployment, limit=1)
    nothing = "no windows" if everything else _nothing(newest)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["#from row", "#to row", "judged (UTC)", "findings", "causes", "not enough data"],
            [
                (
                    w.first_row,
                    w.end_row,
                    output.instant(w.at),
                    ", ".join(f"{f.kind} {f.column or ''}".strip() for f in w.findings),
                    ", ".join(f"{c.kind} {c.column or ''}".strip() for c in w.causes),
                    ", ".join(w.lacking) or None,
                )
                for w in found
            ],
            empty=nothing,
        ),
    )


@monitor.command()
@click.argument("deployment")
@click.option("--limit", default=20, help="Look at this many windows.", show_default=True)
@output.option
def findings(*, deployment: str, limit: int, as_json: bool) -> None:
    """List findings of a DEPLOYMENT, the latest first, with what they rest on."""
    with session.client() as client:
        seen = client.alerts.windows(deployment, with_findings=True, limit=limit)
        _need(client, deployment if not seen else "")
        newest = seen or client.alerts.windows(deployment, limit=1)
    found = [finding for window in seen for finding in window.findings]
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["#from row", "#to row", "kind", "column", "what was seen"],
            [(f.first_row, f.end_row, f.kind, f.column or "", f.sentence) for f in found],
            empty=_nothing(newest),
        ),
    )


def _nothing(newest: list[Window]) -> str:
    """Say that nothing was found, and in which columns nothing could be."""
    told = [f"{name}: {why}" for name, why in newest[0].lacking.items()] if newest else []
    more = [f"and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
    return "; ".join(["nothing was found", *told[:_TOLD], *more])


@monitor.command()
@click.argument("name")
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Rows to compare with: features, and score and outcome where known.",
)
@click.option("--predictions", type=click.Path(path_type=Path), help="What it answered.")
@click.option("--labels", type=click.Path(path_type=Path), help="What became known of that.")
@click.option("--policy", type=click.Path(path_type=Path), help="What must hold.")
@click.option("--target", default="label", show_default=True, help="Column of the outcome.")
@click.option("--key", help="Column that labels are joined by.")
@click.option("--time", help="Column of the instant.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    default="classification",
    help="What is foretold; classes unless said.",
)
@click.option(
    "--protected",
    multiple=True,
    help="Column that is no feature, for fairness by its groups; may be repeated.",
)
@output.option
def attach(
    *,
    name: str,
    reference: Path | None,
    predictions: Path | None,
    labels: Path | None,
    as_json: bool,
    **columns: Any,
) -> None:
    """Watch a model that is served elsewhere, as NAME.

    With --reference it is attached; --predictions and --labels are handed over then or later.
    A homeostat.toml is written from --target, --key, --time, --task and --protected unless
    --policy names one. Columns of the reference that the predictions lack are told: to those
    who watch, a missing feature is a broken feed.
    """
    with session.client() as client:
        if reference is not None:
            columns["policy"] = columns["policy"] or ""
            client.monitoring.attach(name, reference=reference, **columns)
        found = client.deployments.get(name)
        sent = client.monitoring.send(name, predictions=predictions, labels=labels)
    if sent.warning:
        click.echo(f"warning: {sent.warning}", err=True)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: (
            f"{found.name} is watched: {sent.n_predictions:,} predictions, "
            f"{sent.n_labels:,} labels taken"
        ),
    )


@monitor.command()
@click.argument("deployment")
@click.option(
    "--by",
    type=click.Choice(["minute", "hour", "day"]),
    default="hour",
    help="How long a window is; an hour unless said.",
)
@click.option("--since", default="", help="Only that far back: 6h, 7d.")
@click.option("--column", default="", help="Show one column instead of those that moved.")
@click.option("--part", default="", help="Only rows in that group or slice: sex=f, slice=a.")
@click.option(
    "--role",
    type=click.Choice(["stable", "canary", "shadow"]),
    default="stable",
    help="What those were that answered; stable unless said.",
)
@click.option("--limit", default=24, show_default=True, help="At most so many windows.")
@output.option
def show(*, deployment: str, column: str, since: str, as_json: bool, **asked: Any) -> None:
    """Show the columns of a DEPLOYMENT by minute, hour or day, and what has moved in them."""
    with session.client() as client:
        found = client.monitoring.summaries(deployment, since=_instant(since), **asked)
    known = dict.fromkeys(name for window in found for name in window.columns)
    if column and found and column not in known:
        raise errors.NotFoundError(
            f"no column {column!r} in these windows", hint=tables.nearest(column, list(known))
        )
    output.emit(
        found,
        as_json=as_json,
        show=lambda: _column_table(found, column) if column else _moved_table(found),
    )


@monitor.command()
@click.argument("deployment")
@output.option
def check(*, deployment: str, as_json: bool) -> None:
    """Check what windows of a DEPLOYMENT do not say: volume, groups, age, skew, service."""
    with session.client() as client:
        found = client.monitoring.check(deployment)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["check", "verdict", "what was seen", "shown by"],
            [(one.name, one.verdict, one.sentence, one.query) for one in found],
            empty="nothing to check",
        ),
    )


@monitor.command()
@click.argument("deployment")
@click.option("--as-of", help="Only what was known then counts: 2026-04-05T10:31, UTC.")
@output.option
def performance(*, deployment: str, as_of: str | None, as_json: bool) -> None:
    """Measure how well a DEPLOYMENT answered rows whose labels had time to come."""
    with session.client() as client:
        found = client.monitoring.performance(deployment, as_of=output.moment(as_of))
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["metric", "#value", "#from", "#to"],
            [
                (name, *(f"{v:.4g}" for v in (one.value, one.low, one.high) if v is not None))
                for name, one in found.metrics.items()
            ],
            title=found.sentence,
            empty=found.sentence,
        ),
    )


@monitor.command()
@click.argument("deployment")
@output.option
def blame(*, deployment: str, as_json: bool) -> None:
    """Rank what the harm of a DEPLOYMENT comes from, with evidence and how to see it."""
    with session.client() as client:
        found = client.monitoring.blame(deployment)

    def show() -> Any:
        return output.table(
            ["cause", "column", "#explains", "what was seen", "shown by"],
            [
                (
                    one.kind,
                    one.column or "",
                    f"{one.share:.0%}",
                    "; ".join((one.sentence, *_more(one))),
                    one.query,
                )
                for one in found.causes
            ],
            title=found.sentence,
            empty=found.sentence,
        )

    output.emit(found, as_json=as_json, show=show)


@monitor.command()
@click.argument("deployment")
@click.option("--limit", default=20, show_default=True, help="At most so many.")
@output.option
def unusual(*, deployment: str, limit: int, as_json: bool) -> None:
    """List the newest predictions of a DEPLOYMENT that training least expected, and why."""
    with session.client() as client:
        found = client.monitoring.unusual(deployment, limit=limit)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["served (UTC)", "key", "score", "chance", "rarest columns", "id"],
            [
                (
                    output.instant(one.served_at),
                    one.key,
                    f"{one.score:.3f}",
                    f"{one.p_value:.2g}",
                    ", ".join(f"{name} {chance:.2g}" for name, chance in one.reasons.items()),
                    one.id,
                )
                for one in found
            ],
            empty="nothing was predicted yet",
        ),
    )


def _instant(since: str) -> int:
    """Return the instant that lies a span such as ``6h`` back; 0 for none."""
    if not since:
        return 0
    try:
        seconds = spans.parse(since).seconds
    except ValueError as error:
        raise errors.InvalidInputError(f"--since: {error}") from None
    if seconds is None:
        raise errors.InvalidInputError(f"--since is a time such as 6h; got {since!r}")
    return clock.now_ms() - int(seconds * 1000)


def _moved_table(found: list[SummaryWindow]) -> Any:
    rows = []
    for window in found:
        moved = sorted(
            ((one.shift or 0.0, name) for name, one in window.columns.items()), reverse=True
        )
        told = [f"{name} {shift:.2f}" for shift, name in moved if shift >= drift.LEAST_EFFECT]
        empty = [f"{n} {one.missing:.0%}" for n, one in window.columns.items() if one.missing]
        rows.append(
            (
                output.instant(window.starts_at),
                window.version,
                window.n_rows,
                ", ".join(told[:5]) or "-",
                ", ".join(empty[:5]) or "-",
                ", ".join([n for n, one in window.columns.items() if one.lacking][:5]) or None,
            )
        )
    headings = ["from (UTC)", "version", "#rows", "moved (index above noise)", "missing"]
    headings += ["not enough data"]
    return output.table(headings, rows, empty="nothing was summarised yet")


def _column_table(found: list[SummaryWindow], column: str) -> Any:
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.4g}"

    headings = ["from (UTC)", "#rows", "missing", "mean", "10 %", "median", "90 %", "moved"]
    headings += ["different", "examples"]
    rows = [
        (
            output.instant(window.starts_at),
            one.n_rows,
            f"{one.missing:.1%}",
            *(number(value) for value in (one.mean, one.low, one.median, one.high)),
            one.lacking or number(one.shift),
            variety.told(one.n_different, one.different_error) or None,
            variety.listed(one.examples),
        )
        for window in found
        if (one := window.columns.get(column)) is not None
    ]
    return output.table(headings, rows, empty="nothing was summarised yet")


def _more(cause: Cause) -> list[str]:
    """Return what the evidence says beyond the sentence."""
    return [line for line in cause.evidence if line not in cause.sentence]


def _need(client: Any, deployment: str) -> None:
    """Refuse a name that nobody deployed: that nothing was found there is no all-clear."""
    if deployment:
        client.deployments.get(deployment)

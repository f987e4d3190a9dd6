"""`homeostat monitor`: alerts and what was found in which window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from homeostat.doors.cli import output, session


@click.group(invoke_without_command=True)
@click.pass_context
def monitor(ctx: click.Context) -> None:
    """Show what monitoring has found; alone, the alerts that are not over."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(alerts, deployment="", everything=False, limit=50, as_json=False)


@monitor.command()
@click.argument("deployment", default="")
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@click.option("--limit", default=50, help="At most this many.", show_default=True)
@output.option
def alerts(*, deployment: str, everything: bool, limit: int, as_json: bool) -> None:
    """List alerts, the latest first; of one DEPLOYMENT or of all."""
    with session.client() as client:
        found = client.alerts.list(
            deployment=deployment,
            states=() if everything else ("open", "acknowledged"),
            limit=limit,
        )
        _need(client, deployment if not found else "")
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["opened (UTC)", "state", "deployment", "kind", "column", "told", "id"],
            [
                (
                    output.instant(a.opened_at),
                    a.state,
                    a.deployment,
                    a.kind,
                    a.column or "",
                    a.sentence,
                    a.id,
                )
                for a in found
            ],
            empty="no alerts" if everything else "no open alerts",
        ),
    )


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
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["#from row", "#to row", "judged (UTC)", "findings", "causes"],
            [
                (
                    w.first_row,
                    w.end_row,
                    output.instant(w.at),
                    ", ".join(f"{f.kind} {f.column or ''}".strip() for f in w.findings),
                    ", ".join(f"{c.kind} {c.column or ''}".strip() for c in w.causes),
                )
                for w in found
            ],
            empty="no windows" if everything else "nothing was found",
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
    found = [finding for window in seen for finding in window.findings]
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["#from row", "#to row", "kind", "column", "what was seen"],
            [(f.first_row, f.end_row, f.kind, f.column or "", f.sentence) for f in found],
            empty="nothing was found",
        ),
    )


@monitor.command()
@click.argument("alert")
@output.option
def ack(*, alert: str, as_json: bool) -> None:
    """Say that you have seen an ALERT, by its id."""
    with session.client() as client:
        seen = client.alerts.acknowledge(alert)
    output.emit(seen, as_json=as_json, show=lambda: f"acknowledged: {seen.sentence}")


@monitor.command()
@click.argument("alert")
@output.option
def resolve(*, alert: str, as_json: bool) -> None:
    """Say that what an ALERT tells of is over, by its id."""
    with session.client() as client:
        done = client.alerts.resolve(alert)
    output.emit(done, as_json=as_json, show=lambda: f"resolved: {done.sentence}")


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
    A homeostat.toml is written from --target, --key and --time unless --policy names one.
    """
    with session.client() as client:
        if reference is not None:
            columns["policy"] = columns["policy"] or ""
            client.monitoring.attach(name, reference=reference, **columns)
        found = client.deployments.get(name)
        n_rows, n_labels = client.monitoring.send(name, predictions=predictions, labels=labels)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: (
            f"{found.name} is watched: {n_rows:,} predictions, {n_labels:,} labels taken"
        ),
    )


def _need(client: Any, deployment: str) -> None:
    """Refuse a name that nobody deployed: that nothing was found there is no all-clear."""
    if deployment:
        client.deployments.get(deployment)

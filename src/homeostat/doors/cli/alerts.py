"""`homeostat alerts`: what people were told, their answers, silences, and Prometheus' rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from homeostat.doors.cli import output, session
from homeostat.foundation import clock, errors
from homeostat.lifecycle.alerting import advice
from homeostat.lifecycle.monitoring.entities import Alert

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(min|h|d)")
_MS = {"min": 60_000, "h": 3_600_000, "d": 86_400_000}


@click.group(invoke_without_command=True)
@click.pass_context
def alerts(ctx: click.Context) -> None:
    """List and answer alerts, silence them, see what was delivered; alone, those not over."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_alerts, deployment="", everything=False, limit=50, as_json=False)


@alerts.command("list")
@click.argument("deployment", default="")
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@click.option("--limit", default=50, help="At most this many.", show_default=True)
@output.option
def list_alerts(*, deployment: str, everything: bool, limit: int, as_json: bool) -> None:
    """List alerts, the latest first; of one DEPLOYMENT or of all."""
    with session.client() as client:
        found = client.alerts.list(
            deployment=deployment,
            states=() if everything else ("open", "acknowledged"),
            limit=limit,
        )
        if deployment and not found:
            client.deployments.get(deployment)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["id, since (UTC)", "state", "what", "in words"],
            [
                (
                    f"{one.id}\n{output.instant(one.opened_at)}",
                    _state(one),
                    f"{one.deployment}: {one.kind}{f' of {one.column}' if one.column else ''}",
                    one.sentence,
                )
                for one in found
            ],
            empty="no alerts" if everything else "no open alerts",
        ),
    )


@alerts.command()
@click.argument("alert")
@output.option
def show(*, alert: str, as_json: bool) -> None:
    """Show an ALERT with its evidence, by its id."""
    with session.client() as client:
        found = client.alerts.get(alert)
    told = "nobody yet" if found.told_at is None else _utc(found.told_at)
    lines = [
        f"{found.sentence}",
        f"state       {_state(found)}",
        f"what        {found.kind}{f' of {found.column}' if found.column else ''}",
        f"deployment  {found.deployment}",
        f"since       {_utc(found.opened_at)}{_until(found)}",
        f"cause       {advice.why(found)}",
        *((f"first       {advice.first(found)}",) if found.state != "resolved" else ()),
        f"told        {told}{f', held back by {found.held_by}' if found.held_by else ''}",
        f"seen by     {found.acknowledged_by or 'nobody yet'}",
        *(f"evidence    {one}" for one in advice.facts(found)),
    ]
    output.emit(found, as_json=as_json, show=lambda: "\n".join(lines))


@alerts.command()
@click.argument("alert", nargs=-1, required=True)
@output.option
def ack(*, alert: tuple[str, ...], as_json: bool) -> None:
    """Say that you have seen an ALERT or several, by id; nobody else is told of them then."""
    with session.client() as client:
        _answered("acknowledged", alert, client.alerts.acknowledge, as_json=as_json)


@alerts.command()
@click.argument("alert", nargs=-1, required=True)
@output.option
def resolve(*, alert: tuple[str, ...], as_json: bool) -> None:
    """Say that what an ALERT or several tell of is over, by id."""
    with session.client() as client:
        _answered("resolved", alert, client.alerts.resolve, as_json=as_json)


def _answered(
    word: str, ids: tuple[str, ...], answer: Callable[[str], Alert], *, as_json: bool
) -> None:
    done = [answer(one) for one in ids]
    output.emit(
        done[0] if len(done) == 1 else done,
        as_json=as_json,
        show=lambda: "\n".join(f"{word}: {one.sentence}" for one in done),
    )


@alerts.command()
@click.argument("deployment", default="")
@click.option("--kind", default="", help="Only of this kind, such as covariate-drift.")
@click.option("--column", default="", help="Only of this column.")
@click.option("--for", "span", default="1h", show_default=True, help="Such as 30min, 6h, 2d.")
@click.option("--reason", required=True, help="Why, for whoever reads it later.")
@click.option("--downtime", is_flag=True, help="Planned work: no data is no alert either.")
@output.option
def silence(*, deployment: str, span: str, downtime: bool, as_json: bool, **told: Any) -> None:
    """Tell nobody of alerts for some time; of one DEPLOYMENT, or of all."""
    until_at = clock.now_ms() + _span_ms(span)
    with session.client() as client:
        if deployment and ":" not in deployment:
            client.deployments.get(deployment)
        made = client.alerts.silence(
            deployment=deployment, until_at=until_at, is_downtime=downtime, **told
        )
    until = output.instant(made.until_at)
    output.emit(made, as_json=as_json, show=lambda: f"silence {made.id} until {until}")


@alerts.command()
@click.option("--limit", default=50, help="At most this many.", show_default=True)
@output.option
def silences(*, limit: int, as_json: bool) -> None:
    """List silences, the latest first."""
    with session.client() as client:
        found = client.alerts.silences(limit=limit)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["id", "deployment", "kind", "column", "from (UTC)", "until (UTC)", "by", "why"],
            [
                (
                    one.id,
                    one.deployment or "all",
                    one.kind or "all",
                    one.column or "all",
                    output.instant(one.from_at),
                    output.instant(one.until_at if one.ended_at is None else one.ended_at),
                    one.made_by,
                    one.reason,
                )
                for one in found
            ],
            empty="no silences",
        ),
    )


@alerts.command()
@click.argument("silence")
@output.option
def unsilence(*, silence: str, as_json: bool) -> None:
    """End a SILENCE before its time, by its id."""
    with session.client() as client:
        ended = client.alerts.end_silence(silence)
    output.emit(ended, as_json=as_json, show=lambda: f"ended: {ended.reason}")


@alerts.command()
@click.option("--limit", default=50, help="At most this many.", show_default=True)
@output.option
def deliveries(*, limit: int, as_json: bool) -> None:
    """List what was told to whom, the latest first."""
    with session.client() as client:
        found = client.alerts.deliveries(limit=limit)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["made (UTC)", "deployment", "told", "receiver", "state", "#tries", "last error"],
            [
                (
                    output.instant(one.made_at),
                    one.deployment,
                    one.told if one.cause == "unknown" else f"{one.told}: {one.cause}",
                    f"{one.receiver} ({one.channel})",
                    one.state,
                    one.attempts,
                    one.last_error,
                )
                for one in found
            ],
            empty="nobody was told of anything",
        ),
    )


@alerts.command()
@click.option(
    "--output",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the file here; to the terminal when not given.",
)
@output.option
def rules(*, path: Path | None, as_json: bool) -> None:
    """Write alerting rules for Prometheus, on the metrics of the servers."""
    import yaml

    from homeostat.lifecycle.alerting import rule_file

    told = rule_file.rules()
    text = yaml.safe_dump(told, sort_keys=False, width=1000, allow_unicode=True)
    if path is None:
        output.emit(told, as_json=as_json, show=text.rstrip)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise errors.InvalidInputError(f"cannot write {path}: {error.strerror}") from error
    written = {"path": str(path), "rules": sum(len(one["rules"]) for one in told["groups"])}
    output.emit(written, as_json=as_json, show=lambda: f"{written['rules']} rules in {path}")


def _utc(at: int) -> str:
    return f"{output.instant(at)} UTC"


def _until(alert: Alert) -> str:
    if alert.resolved_at is None:
        return ""
    lasted = advice.span(max(0, alert.resolved_at - alert.opened_at))
    return f", over {_utc(alert.resolved_at)} after {lasted}"


def _state(alert: Any) -> str:
    words = [alert.state]
    if alert.state == "open" and alert.confirmed_at is None:
        words = ["soft"]
    if alert.held_by:
        words.append("held back")
    return ", ".join(words)


def _span_ms(text: str) -> int:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise errors.InvalidInputError(f"--for is {text!r}; it is such as 30min, 6h or 2d")
    return round(float(found[1]) * _MS[found[2]])

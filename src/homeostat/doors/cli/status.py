"""`homeostat status`: the health of every deployment here, and of what keeps them alive."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from homeostat.doors.cli import output, ports, session
from homeostat.doors.client import Client
from homeostat.foundation import errors, settings
from homeostat.lifecycle.loop import health
from homeostat.lifecycle.loop.entities import LoopState
from homeostat.lifecycle.serving.entities import Deployment


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """How one deployment is doing."""

    deployment: str
    tone: str
    health: str
    sentence: str
    generation: int
    answering: str
    open_alerts: int
    fits: int | None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `status` looks at."""

    home: str
    server: bool
    predictions: bool
    events: int
    log_is_whole: bool
    waiting_jobs: int
    deployments: tuple[Condition, ...]


@click.command()
@output.option
def status(*, as_json: bool) -> None:
    """Show the health of everything here, at a glance."""
    told = session.load()
    with session.client() as client:
        found = look(client, told)
    output.emit(found, as_json=as_json, show=lambda: _told(found))


def look(client: Client, told: settings.Settings) -> Overview:
    """Return how everything is doing.

    Parameters
    ----------
    client
        Open.
    told
        Where the servers listen.
    """
    log = client.audit.verify()
    waiting = [job for job in client.jobs.newest() if job.state in ("queued", "running")]
    return Overview(
        home=str(told.home),
        server=ports.is_well(told.near_host, told.port),
        predictions=ports.is_well(told.predict_host, told.predict_port),
        events=log.n_events,
        log_is_whole=log.ok,
        waiting_jobs=len(waiting),
        deployments=tuple(_condition(client, one) for one in client.deployments.list()),
    )


def _condition(client: Client, one: Deployment) -> Condition:
    alerts = client.alerts.list(deployment=one.name, states=("open", "acknowledged"))
    state = _state(client, one.name)
    seen = health.judge(state, alerts)
    members = [
        f"{member.version}" + (f" ({arm.name} {arm.share:.0%})" if arm.name != "stable" else "")
        for arm in one.plan.arms
        for member in arm.members
    ]
    return Condition(
        deployment=one.name,
        tone=seen.tone,
        health=seen.word,
        sentence=seen.sentence,
        generation=one.plan.generation,
        answering=", ".join(members),
        open_alerts=sum(alert.state == "open" for alert in alerts),
        fits=None if state is None else state.n_fits,
    )


def _state(client: Client, name: str) -> LoopState | None:
    try:
        return client.decisions.state(name)
    except errors.NotFoundError:
        return None


def _told(found: Overview) -> Any:
    from rich.console import Group

    up = {True: "answers", False: "is not running"}
    whole = "whole" if found.log_is_whole else "BROKEN: homeostat audit verify"
    lines = [
        f"home             {found.home}",
        f"server           {up[found.server]}",
        f"predictions      {up[found.predictions]}",
        f"audit log        {found.events} events, {whole}",
        f"jobs waiting     {found.waiting_jobs}",
        "",
    ]
    rows = [
        (one.deployment, one.health, one.sentence, one.answering, one.open_alerts, one.fits)
        for one in found.deployments
    ]
    columns = ["deployment", "health", "in words", "versions", "#open alerts", "#fits"]
    empty = "nothing is served yet: homeostat run, then homeostat deploy MODEL"
    return Group("\n".join(lines), output.table(columns, rows, empty=empty))

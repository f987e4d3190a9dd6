"""`homeostat status`: the health of every deployment here, and of what keeps them alive.

It leaves with the exit codes of a plugin of Nagios and speaks its language when asked to
(Nagios Plugin Development Guidelines, "Plugin Output" and "Performance data").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from homeostat.doors.cli import output, ports, session
from homeostat.doors.client import Client
from homeostat.foundation import addresses, clock, errors, jobs, settings
from homeostat.lifecycle.loop import health
from homeostat.lifecycle.loop.entities import LoopState
from homeostat.lifecycle.serving.entities import Deployment

OK, WARNING, CRITICAL, UNKNOWN = range(4)
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
LEFT_MS = 15 * 60_000
_CODES = {"good": OK, "calm": OK, "warn": WARNING, "bad": CRITICAL}
# What counts for the whole: what is broken before what is not known, and that before a warning.
_WORST_FIRST = (CRITICAL, UNKNOWN, WARNING, OK)


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
    away: tuple[str, ...] = ()
    """Who does not answer though something is served: nobody knows how that is doing."""


@click.command()
@click.option(
    "--nagios", "is_plugin", is_flag=True, help="One line for each, as Nagios reads them."
)
@output.option
def status(*, is_plugin: bool, as_json: bool) -> int:
    """Show the health of everything here, at a glance.

    Exit codes: 0 all is well; 1 a warning; 2 critical: a model does harm, or the log is broken;
    3 unknown: nobody answers, though something is served.
    """
    try:
        told = session.load()
        with session.client() as client:
            found = look(client, told)
    except errors.HomeostatError as error:
        if not is_plugin:
            output.fail(error, as_json=as_json)
        else:
            click.echo(f"HOMEOSTAT UNKNOWN - {_plain(str(error))}")
        return UNKNOWN
    if is_plugin and not as_json:
        click.echo(plugin_text(found))
    else:
        output.emit(found, as_json=as_json, show=lambda: _told(found))
    return code(found)


def code(found: Overview) -> int:
    """Return the exit code of everything: of the worst that was found.

    Parameters
    ----------
    found
        From `look`.
    """
    codes = {_CODES.get(one.tone, UNKNOWN) for one in found.deployments}
    if not found.log_is_whole:
        codes.add(CRITICAL)
    if found.away:
        codes.add(UNKNOWN)
    return next((one for one in _WORST_FIRST if one in codes), OK)


def plugin_text(found: Overview) -> str:
    """Return what a plugin of Nagios prints: the whole, then a line for each deployment.

    Parameters
    ----------
    found
        From `look`.
    """
    n_open = sum(one.open_alerts for one in found.deployments)
    words = [f"{_n(len(found.deployments), 'deployment')}, {_n(n_open, 'open alert')}"]
    words += [f"{one.deployment}: {one.health}" for one in found.deployments if _is_news(one)]
    if not found.log_is_whole:
        words.append("the audit log is broken")
    words += found.away
    numbers = f"open_alerts={n_open};;;0 waiting_jobs={found.waiting_jobs};;;0"
    lines = [f"HOMEOSTAT {WORDS[code(found)]} - {_plain('; '.join(words))} | {numbers}"]
    for one in found.deployments:
        name = one.deployment.replace("'", "").replace("=", "")
        counts = [f"'{name}_open_alerts'={one.open_alerts};;;0"]
        counts += [f"'{name}_fits'={one.fits}c"] if one.fits is not None else []
        word = WORDS[_CODES.get(one.tone, UNKNOWN)]
        sentence = _plain(f"{one.deployment}: {one.health}: {one.sentence}")
        lines.append(f"{word} - {sentence} | {' '.join(counts)}")
    return "\n".join(lines)


def _n(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _is_news(one: Condition) -> bool:
    return _CODES.get(one.tone, UNKNOWN) != OK


def _plain(text: str) -> str:
    """Keep a sentence to one line without the sign that begins the numbers."""
    return " ".join(text.replace("|", "/").split())


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
    waiting = [
        job for job in client.jobs.newest(limit=1000) if job.state in ("queued", "running")
    ]
    served = client.deployments.list()
    at_server, at_predictions = addresses.server(told), addresses.predictions(told)
    is_up, is_answering = ports.answers(at_server), ports.answers(at_predictions)
    away = []
    if served and not is_up:
        away.append(f"the server does not answer at {at_server}: homeostat up")
    if not is_answering and any(one.kind == "served" for one in served):
        away.append(f"nobody answers predictions at {at_predictions}: homeostat up")
    if served and _is_left(waiting):
        away.append(f"jobs wait for more than {LEFT_MS // 60_000} min: is a worker running?")
    return Overview(
        home=str(told.home),
        server=is_up,
        predictions=is_answering,
        events=log.n_events,
        log_is_whole=log.ok,
        waiting_jobs=len(waiting),
        deployments=tuple(_condition(client, one) for one in served),
        away=tuple(away),
    )


def _is_left(waiting: Sequence[jobs.Job]) -> bool:
    """Say whether something is due for so long that nobody can be doing it."""
    since = clock.now_ms() - LEFT_MS
    return any(
        max(one.created_at, one.run_after_at, one.lease_until_at or 0) < since
        for one in waiting
    )


def _condition(client: Client, one: Deployment) -> Condition:
    alerts = client.alerts.list(deployment=one.name, states=("open", "acknowledged"))
    state = _state(client, one.name)
    n_rows = None if state is None else client.training.progress(one.name).n_rows
    seen = health.judge(state, alerts, n_rows=n_rows)
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
        *(f"not known        {one}" for one in found.away),
        "",
    ]
    rows = [
        (one.deployment, one.health, one.sentence, one.answering, one.open_alerts, one.fits)
        for one in found.deployments
    ]
    columns = ["deployment", "health", "in words", "versions", "#open alerts", "#fits"]
    empty = "nothing is served yet: homeostat run, then homeostat deploy MODEL"
    return Group("\n".join(lines), output.table(columns, rows, empty=empty))

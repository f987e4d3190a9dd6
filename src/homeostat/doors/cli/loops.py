"""`homeostat loop`: how it stands, a fit a person asks for, its policy, its signed reports."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from homeostat.doors.cli import output, session

LOOK_S = 0.2


@click.group()
def loop() -> None:
    """Show how a loop stands; ask it for a fit; verify what it reported."""


@loop.command()
@click.argument("deployment")
@output.option
def status(*, deployment: str, as_json: bool) -> None:
    """Show what waits, what is spent, and what the loop of DEPLOYMENT cannot know."""
    with session.client() as client:
        found = client.loops.status(deployment)
    output.emit(found, as_json=as_json, show=lambda: _standing(found))


@loop.command()
@click.argument("deployment")
@click.option("--why", default="", help="For whoever reads the decision later.")
@click.option("--snapshot", default="", metavar="ID", help="Learn from it, not from the log.")
@output.option
def ask(*, deployment: str, why: str, snapshot: str, as_json: bool) -> None:
    """Ask for a fit; it starts at once, or when the one under way has ended."""
    with session.client() as client:
        made = client.loops.ask(deployment, why=why, snapshot=snapshot)
    output.emit(made, as_json=as_json, show=lambda: made.sentence)


@loop.command()
@click.argument("deployment")
@click.option("--why", default="", help="For whoever reads the decision later.")
@click.option("--snapshot", default="", metavar="ID", help="Learn from it, not from the log.")
@click.option("--timeout", default=1200.0, show_default=True, help="Longest wait in seconds.")
@output.option
def run(*, deployment: str, why: str, snapshot: str, timeout: float, as_json: bool) -> None:
    """Ask for a fit and wait for what comes of it: an exam, a version, or why not."""
    from homeostat.foundation import errors

    with session.client() as client:
        made = client.loops.ask(deployment, why=why, snapshot=snapshot)
        deadline = time.monotonic() + timeout
        while True:
            news = client.decisions.list(deployment=deployment, limit=100)
            last = next((one for one in news if one.id > made.id and _is_end(one)), None)
            if last is not None:
                break
            if time.monotonic() >= deadline:
                raise errors.UnavailableError(
                    f"no fit has ended within {timeout:g} s",
                    hint="is a worker running? see homeostat status",
                )
            time.sleep(LOOK_S)
    output.emit(last, as_json=as_json, show=lambda: f"{made.sentence}\n{last.sentence}")


@loop.command()
@click.argument("deployment")
@click.option(
    "--policy",
    "path",
    type=click.Path(path_type=Path),
    default=Path("homeostat.toml"),
    show_default=True,
    help="What must hold.",
)
@output.option
def policy(*, deployment: str, path: Path, as_json: bool) -> None:
    """Let DEPLOYMENT live under a homeostat.toml as it is now; later decisions name it."""
    from homeostat.lifecycle import policy as policies

    policies.read(path)  # whose errors name the file
    with session.client() as client:
        made = client.deployments.set_policy(deployment, path)
    said = f"{deployment} lives under {path} from now on (policy {made.policy_digest[:12]})"
    output.emit(made, as_json=as_json, show=lambda: said)


@loop.command()
@click.argument("deployment")
@click.option("--limit", default=100, show_default=True, help="At most this many.")
@output.option
def reports(*, deployment: str, limit: int, as_json: bool) -> None:
    """List the signed reports on versions that were judged by the envelope."""
    with session.client() as client:
        client.deployments.get(deployment)
        found = client.loops.reports(deployment, limit=limit)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["at (UTC)", "#version", "#against", "inside", "in words", "report"],
            [
                (
                    output.instant(one.at),
                    one.version,
                    one.compared,
                    "yes" if one.inside else "no: a person is asked",
                    one.sentence,
                    one.id,
                )
                for one in found
            ],
            empty="no report yet: the policy's [envelope] makes them, one for each version",
        ),
    )


@loop.command()
@click.argument("report", metavar="REPORT")
@output.option
def verify(*, report: str, as_json: bool) -> None:
    """Prove that nobody changed REPORT since it was signed; exit code 9 when somebody did."""
    with session.client() as client:
        found = client.loops.verify(report)
    lines: list[tuple[str, Any]] = [
        ("report", found.id),
        ("signed", output.instant(found.at)),
        ("key", found.public_key),
        ("version", f"model:{found.model}@{found.version}"),
        ("verdict", found.sentence),
        *((one.name, f"{one.seen} (allowed: {one.allowed})") for one in found.items),
    ]
    output.emit(found, as_json=as_json, show=lambda: output.table(["", "what"], lines))


def _is_end(one: Any) -> bool:
    return one.event in {"fit-finished", "fit-failed"}


def _standing(found: Any) -> Any:
    from rich.console import Group

    spent, waiting = found.budget, found.waiting
    facts: list[tuple[str, Any]] = [
        ("health", f"{found.word}: {found.sentence}"),
        ("state", ", ".join(found.states)),
        ("asks for a fit", ", ".join(found.causes)),
        ("fits in 24 hours", _of(spent.fits, spent.fits_per_day)),
        ("seconds of fitting", _of(round(spent.seconds), spent.seconds_per_day)),
        ("newest label (UTC)", _when(found.last_label_at)),
        ("corrector", _corrector(found.corrector)),
    ]
    if found.blind_since_row is not None:
        since = f"row {found.blind_since_row:,}, {_when(found.blind_since)}"
        facts.append(("blind since", since))
    facts += [("cannot know", one) for one in found.unknown]
    parts = [output.table(["", found.deployment], facts)]
    if waiting:
        columns = ["waits for a fit", "#asked", "since (UTC)", "what", "by", "why"]
        rows = [
            (one.reason, one.n, _when(one.first_at), one.subject, one.by, _until(one))
            for one in waiting
        ]
        parts.append(output.table(columns, rows))
    return Group(*parts)


def _corrector(found: Any) -> str:
    since = "" if found.since is None else f" since {output.instant(found.since)}"
    return f"{found.word}{since}: {found.sentence}"


def _of(seen: object, most: object) -> str:
    return f"{seen}" if most is None else f"{seen} of {most:g}"


def _until(one: Any) -> str:
    return one.why if one.until is None else f"{one.why}, until {output.instant(one.until)}"


def _when(at: int | None) -> str:
    return "never" if at is None else str(output.instant(at))

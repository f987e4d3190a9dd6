"""`homeostat model`: models, their versions, aliases, approvals and reports."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click

from homeostat.doors.cli import adoptions, output, session
from homeostat.foundation import errors


@click.group()
def model() -> None:
    """List, show and approve model versions."""


model.add_command(adoptions.trust)
model.add_command(adoptions.judge)


@model.command("list")
@output.option
def list_models(*, as_json: bool) -> None:
    """List the models and the version that is champion."""
    with session.client() as client:
        found = client.models.list(limit=1000)
        champions = {one.name: _champion(client.models.aliases(one.name)) for one in found}
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["model", "tier", "owner", "#versions", "#champion", "made (UTC)"],
            [
                (
                    one.name,
                    one.tier,
                    one.owner,
                    one.latest,
                    champions[one.name],
                    output.instant(one.created_at),
                )
                for one in found
            ],
            empty="no models yet; `homeostat run` trains and registers one",
        ),
    )


@model.command()
@click.argument("name")
@click.argument("number", type=click.IntRange(1), required=False)
@output.option
def show(*, name: str, number: int | None, as_json: bool) -> None:
    """Show the versions of a model, or one version whole."""
    with session.client() as client:
        if number is not None:
            version = client.models.version(name, number)
            given = client.models.approvals(name, number)
            later = client.adoptions.get(name, number)
            by = _answers_by(client, version)
            output.emit(version, as_json=as_json, show=lambda: _told(version, given, later, by))
            return
        found = client.models.versions(name, limit=1000)
        aliases = client.models.aliases(name)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["#version", "alias", "status", "why", "trained by", "made (UTC)", "report"],
            [
                (
                    one.number,
                    ", ".join(a.alias for a in aliases if a.number == one.number),
                    one.status,
                    one.purpose,
                    one.trained_by,
                    output.instant(one.created_at),
                    one.report_id or None,
                )
                for one in found
            ],
            empty=f"model {name} has no versions yet",
        ),
    )


@model.command()
@click.argument("name")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--report", default="", help="Report of the gates on exactly these files.")
@click.option("--run", "run_id", default="", help="Run that made it.")
@click.option("--purpose", default="", help="Why it was trained.")
@click.option(
    "--tier",
    type=click.Choice(["low", "medium", "high"]),
    default="medium",
    show_default=True,
    help="How much review a new model's versions need.",
)
@output.option
def register(
    *,
    name: str,
    folder: Path,
    report: str,
    run_id: str,
    purpose: str,
    tier: Any,
    as_json: bool,
) -> None:
    """Register a folder in MLflow's format as the next version.

    One that homeostat wrote is ready; one that MLflow wrote is to be judged afterwards.
    """
    from homeostat.lifecycle.data.entities import Schema
    from homeostat.lifecycle.registry import format as files
    from homeostat.lifecycle.registry import load, mlmodel

    contents = files.read_folder(folder)
    # What cannot be loaded must not be registered.
    is_ours = files.DESCRIPTION in contents
    if is_ours:
        schema = load.load(contents).description.schema
    else:
        mlmodel.read(contents)
        schema = Schema(())
    with session.client() as client:
        version = client.models.register(
            name,
            contents,
            schema=schema,
            report_id=report,
            run_id=run_id,
            purpose=purpose,
            flavour="sklearn" if is_ours else "mlflow",
            tier=tier,
        )
    output.emit(
        version, as_json=as_json, show=lambda: f"registered {version.reference} from {folder}"
    )


@model.command()
@click.argument("name")
@click.argument("number", type=click.IntRange(1))
@click.option("--note", default="", help="Why, for whoever reads it later.")
@output.option
def approve(*, name: str, number: int, note: str, as_json: bool) -> None:
    """Say that a version may answer."""
    with session.client() as client:
        given = client.models.approve(name, number, note=note)
    output.emit(
        given,
        as_json=as_json,
        show=lambda: f"{given.actor} approved model:{name}@{number}",
    )


@model.command()
@click.argument("name")
@click.argument("alias")
@click.argument("number", type=click.IntRange(1), required=False)
@click.option("--remove", is_flag=True, help="Take the alias away.")
@click.option("--reason", default="", help="Why, for whoever reads it later.")
@output.option
def alias(
    *, name: str, alias: str, number: int | None, remove: bool, reason: str, as_json: bool
) -> None:
    """Point an alias such as champion at a version."""
    if (number is None) != remove:
        raise errors.InvalidInputError(
            "give the number of a version, or --remove, and not both",
            hint=f"homeostat model alias {name} {alias} 3",
        )
    with session.client() as client:
        change = client.models.set_alias(name, alias, number, reason=reason)
    target = "no version" if change.number is None else f"version {change.number}"
    output.emit(change, as_json=as_json, show=lambda: f"{alias} of model {name} is {target}")


@model.command()
@click.argument("name")
@click.argument("alias", default="champion")
@click.option("--at", "on", help="Which version it was then, such as 2026-04-05 or with time.")
@output.option
def history(*, name: str, alias: str, on: str | None, as_json: bool) -> None:
    """Show which version an alias meant, and when it moved."""
    with session.client() as client:
        if on is not None:
            version = client.models.version_at(name, alias, at=_instant(on))
            output.emit(version, as_json=as_json, show=lambda: f"{version.reference} on {on}")
            return
        found = client.models.history(name, alias)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["since (UTC)", "#version", "by", "why"],
            [(output.instant(one.at), one.number, one.actor, one.reason) for one in found],
            empty=f"{alias} of model {name} was never set",
        ),
    )


@model.command()
@click.argument("report_id", metavar="REPORT")
@output.option
def report(*, report_id: str, as_json: bool) -> None:
    """Show what the gates said, after proving that nobody changed it."""
    with session.client() as client:
        found = client.reports.verify(report_id.removeprefix("report:"))
    if as_json:
        output.emit(found, as_json=True)
        return
    click.echo(f"{found.judged.sentence}")
    click.echo(
        f"model {found.model}, {found.exam.rows}, {found.exam.n_rows} rows; "
        f"signed for {found.actor} at {output.instant(found.at)} UTC"
    )
    if found.measured_by != "system":
        click.echo(f"The exam was not taken here: its numbers are the word of {found.actor}.")
    rows = [
        (gate.name, gate.verdict, _number(gate.seen), _number(gate.needed), gate.sentence)
        for gate in found.judged.gates
    ]
    table = output.table(["gate", "verdict", "#seen", "#needed", "what was seen"], rows)
    output.emit(found, as_json=False, show=lambda: table)


def _champion(aliases: list[Any]) -> int | None:
    return next((one.number for one in aliases if one.alias == "champion"), None)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def _answers_by(client: Any, version: Any) -> str | None:
    """Say what answers for a version: its twin, or the original and why."""
    from homeostat.lifecycle.registry import described

    if all(file.path != described.DESCRIPTION for file in version.files):
        return None
    data = client.models.file(version.model, version.number, described.DESCRIPTION)
    return described.twin(data).sentence


def _told(version: Any, given: list[Any], later: Any, by: str | None) -> Any:
    rows = version.trained_rows
    facts = [
        ("version", version.reference),
        ("status", version.status),
        ("approved by", ", ".join(one.actor for one in given) or None),
        ("code", _code(later)),
        ("answers by", by),
        ("trained by", version.trained_by),
        ("why", version.purpose or None),
        ("trained on rows", None if rows is None else f"{rows[0]} to {rows[1] - 1}"),
        ("stage", None if version.stage == "None" else version.stage),
        ("said of it", version.description or None),
        ("run", version.run_id or None),
        ("source", version.source or None),
        ("logged model", version.model_id or None),
        ("report", version.report_id or None),
        ("features", ", ".join(version.schema.names) or None),
        ("digest", version.digest or None),
        ("size", _size(version)),
        ("made (UTC)", output.instant(version.created_at)),
    ]
    return output.table(["", ""], facts)


def _size(version: Any) -> str:
    if not version.files:
        return "no files on this server; it cannot answer"
    return f"{version.size_bytes / 1e6:.2f} MB in {len(version.files)} files"


def _code(later: Any) -> str | None:
    """Say whether a version runs code of its own, and who said that it may."""
    word = later.trust[0] if later.trust else None
    if word is not None:
        verb = "trusted" if word.is_trusted else "not trusted any more"
        return f"{verb} by {word.actor}: {word.reason}"
    needs = later.adoption is not None and later.adoption.needs_trust
    return "not trusted by anybody, and not loaded" if needs else None


def _instant(text: str) -> int:
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        raise errors.InvalidInputError(
            f"{text!r} is no date or time", hint="write it as 2026-04-05 or 2026-04-05T10:30"
        ) from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=dt.UTC)
    is_day = len(text) == len("2026-04-05")
    # A day means its end: what stood when the day was over.
    end = instant + dt.timedelta(days=1, milliseconds=-1) if is_day else instant
    return int(end.timestamp() * 1000)

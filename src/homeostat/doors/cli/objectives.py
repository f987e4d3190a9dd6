"""`homeostat objectives`: what is promised of deployments and classes of models."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

from homeostat.doors.cli import output, session
from homeostat.foundation import errors
from homeostat.lifecycle.monitoring.objectives import Kept

_SECTIONS = ("objectives", "slices")


@click.group()
def objectives() -> None:
    """Show what is promised, how fast its budget burns, and what was measured."""


@objectives.command()
@click.argument("deployment")
@output.option
def show(*, deployment: str, as_json: bool) -> None:
    """Show the objectives of a DEPLOYMENT: kept, burning or without data, and the budget."""
    with session.client() as client:
        found = client.objectives.of(deployment)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["objective", "of", "standing", "#good", "#promised", "#budget left", "in words"],
            [
                (
                    f"{one.model_class}/{one.name}" if one.model_class else one.name,
                    one.of,
                    one.standing,
                    _share(one.share),
                    f"{one.target:.6g}",
                    _share(one.budget_left),
                    _told(one),
                )
                for one in found
            ],
            empty="nothing is promised; write [objectives.<name>] into homeostat.toml",
        ),
    )


@objectives.command()
@click.argument("deployment")
@click.option("--metric", default="", help="One metric or indicator by the hour.")
@click.option("--part", default="", help="Of it: slice=young or version=3.")
@click.option("--limit", default=24, show_default=True, help="At most so many hours.")
@output.option
def measured(*, deployment: str, metric: str, part: str, limit: int, as_json: bool) -> None:
    """Show what metrics and indicators of a DEPLOYMENT came to, by version and slice."""
    with session.client() as client:
        found = client.objectives.measured(deployment, metric, part=part, limit=limit)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            [
                "at (UTC)",
                "name",
                "of",
                "verdict",
                "#value",
                "#from",
                "#to",
                "#rows",
                "in words",
            ],
            [
                (
                    output.instant(one.at),
                    one.name,
                    one.part or "everybody",
                    one.verdict,
                    _number(one.value),
                    _number(one.low),
                    _number(one.high),
                    one.n_rows,
                    one.sentence,
                )
                for one in found
            ],
            empty="nothing was measured yet",
        ),
    )


@objectives.command()
@click.argument("deployment")
@output.option
def measure(*, deployment: str, as_json: bool) -> None:
    """Have a DEPLOYMENT measured now, by the worker."""
    with session.client() as client:
        job = client.objectives.measure(deployment)
    output.emit(
        job, as_json=as_json, show=lambda: f"asked the worker to measure {deployment}: {job.id}"
    )


@objectives.command()
@output.option
def classes(*, as_json: bool) -> None:
    """List the classes of models that share objectives."""
    with session.client() as client:
        found = client.objectives.classes()
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["class", "models", "objectives", "set (UTC)", "by"],
            [
                (
                    one.name,
                    one.match,
                    ", ".join(one.objectives),
                    output.instant(one.set_at),
                    one.set_by,
                )
                for one in found
            ],
            empty="no classes",
        ),
    )


@objectives.command("set-class")
@click.argument("name")
@click.option("--match", required=True, help="Which models: tier = 'high' and tag.team = 'x'.")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path),
    required=True,
    help="TOML with [objectives.<name>], and [slices] where wanted.",
)
@output.option
def set_class(*, name: str, match: str, file: Path, as_json: bool) -> None:
    """Say which models are in the class NAME and what they all promise."""
    said = _read(file)
    with session.client() as client:
        made = client.objectives.set_class(name, match=match, **said)
    output.emit(
        made,
        as_json=as_json,
        show=lambda: f"class {made.name}: {', '.join(made.objectives)} for {made.match}",
    )


@objectives.command("remove-class")
@click.argument("name")
@output.option
def remove_class(*, name: str, as_json: bool) -> None:
    """Forget the class NAME."""
    with session.client() as client:
        client.objectives.remove_class(name)
    output.emit({"removed": name}, as_json=as_json, show=lambda: f"class {name} is forgotten")


def _read(file: Path) -> dict[str, Any]:
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise errors.InvalidInputError(f"{file} cannot be read as TOML: {error}") from None
    strange = [name for name in said if name not in _SECTIONS]
    if strange or "objectives" not in said:
        raise errors.InvalidInputError(
            f"{file} needs [objectives.<name>] and may have [slices]; it has "
            f"{', '.join(said) or 'nothing'}"
        )
    return said


def _told(one: Kept) -> str:
    burns = ", ".join("-" if b.long is None else f"{b.long:.2g}" for b in one.burns)
    return f"{one.sentence} (burn rates {burns})"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"

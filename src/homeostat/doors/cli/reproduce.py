"""`homeostat reproduce`: make a version again from what its run recorded, and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from homeostat.doors.cli import output, session
from homeostat.foundation import errors

NOT_THE_SAME = 3


@click.command()
@click.argument("version", metavar="MODEL/N")
@click.option(
    "--tolerance",
    default=1e-9,
    show_default=True,
    help="Largest difference of two scores that counts as the same.",
)
@click.option(
    "--environment",
    type=click.Choice(["present", "fresh"]),
    default="present",
    show_default=True,
    help="The packages that are here, or a new environment of the recorded ones.",
)
@click.option(
    "--input",
    "inputs",
    metavar="NAME=FILE",
    multiple=True,
    help="The file of an input that nobody kept; may be repeated.",
)
@click.option(
    "--project",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="The project's code, for a run that kept none.",
)
@click.option("--timeout", "timeout_s", default=3600.0, help="Seconds the run may take.")
@output.option
def reproduce(
    *,
    version: str,
    tolerance: float,
    environment: Any,
    inputs: tuple[str, ...],
    project: Path | None,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Make a version again from what its run recorded, and compare.

    The recorded code runs on this machine, in a process of its own, on the recorded data with
    the recorded parameters. Exit code 0 when the scores are the same or within the tolerance,
    3 when they differ or could not be compared.
    """
    name, number = _parsed(version)
    given = dict(_pair(text) for text in inputs)
    with session.client() as client:
        made = client.reproductions.make(
            name,
            number,
            tolerance=tolerance,
            environment=environment,
            inputs=given,
            project=project,
            timeout_s=timeout_s,
            tell=lambda said: click.secho(said, err=True, dim=True),
        )
    output.emit(made, as_json=as_json, show=lambda: _shown(made))
    return 0 if made.verdict in {"same", "within tolerance"} else NOT_THE_SAME


def _parsed(text: str) -> tuple[str, int]:
    name, _, number = text.removeprefix("models:/").rpartition("/")
    if not name or not number.isdecimal():
        raise errors.InvalidInputError(
            f"{text!r} names no version", hint="write it such as credit/3"
        )
    return name, int(number)


def _pair(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not name or not equals:
        raise errors.InvalidInputError(f"{text!r} is not of the form --input NAME=FILE")
    return name, Path(path)


def _shown(made: Any) -> Any:
    from rich.console import Group

    rows = [(item.kind, item.name, item.verdict, item.sentence) for item in made.items]
    said = f"model:{made.model}@{made.number} is {made.sentence}"
    if made.run_id:
        said += f" (run:{made.of_run} then, run:{made.run_id} now)"
    return Group(output.table(["what", "name", "", "seen"], rows), said)

"""`homeostat deploy`: serve a version of a model under a name."""

from __future__ import annotations

import re
from pathlib import Path

import click

from homeostat.doors.cli import output, session
from homeostat.foundation import errors


@click.command()
@click.argument("model", metavar="MODEL[@ALIAS|:VERSION]")
@click.option("--name", help="Of the deployment; that of the model unless set.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    default=Path("homeostat.toml"),
    show_default=True,
    help="What must hold.",
)
@output.option
def deploy(*, model: str, name: str | None, policy: Path, as_json: bool) -> None:
    """Serve a version under a name; the newest one unless an alias or number is given."""
    from homeostat.lifecycle import policy as policies

    which, alias, version = _parse(model)
    rules = policies.read(policy)
    if rules.model.name != which:
        raise errors.InvalidInputError(
            f"{policy} is the policy of model {rules.model.name!r}, not of {which!r}",
            hint="name its file with --policy",
        )
    with session.client() as client:
        made = client.deployments.deploy(
            name or which, policy=policy, version=version, alias=alias
        )
    member = made.plan.arms[0].members[0]
    output.emit(
        made,
        as_json=as_json,
        show=lambda: f"{made.name} answers with model:{made.model}@{member.version}",
    )


def _parse(text: str) -> tuple[str, str | None, int | None]:
    found = re.fullmatch(r"([^@:]+)(?:@([^@:]+)|:(\d+))?", text)
    if found is None:
        raise errors.InvalidInputError(
            f"{text!r} names no version", hint="use MODEL, MODEL@ALIAS or MODEL:VERSION"
        )
    return found[1], found[2], int(found[3]) if found[3] else None

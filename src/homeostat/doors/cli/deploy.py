"""`homeostat deploy`: serve a version under a name, change who answers, and go back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import click

from homeostat.doors.cli import output, session
from homeostat.doors.client import Client
from homeostat.foundation import errors
from homeostat.lifecycle.serving.entities import Deployment


class Which(NamedTuple):
    """A version as it was written."""

    model: str
    alias: str | None
    number: int | None


class Change(NamedTuple):
    """What is to become of the plan of a deployment; one of them."""

    switch: bool
    share: float | None
    rollback: bool
    rules: tuple[str, ...]
    no_rules: bool
    override: bool | None


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
@click.option("--switch", is_flag=True, help="Let a deployment answer by this version now.")
@click.option("--share", type=float, help="With --switch: for this share of keys, a canary.")
@click.option("--rollback", is_flag=True, help="Put the plan before in force again.")
@click.option("--rule", "rules", multiple=True, help="Such as: region = north -> 4")
@click.option("--no-rules", is_flag=True, help="Take all rules back.")
@click.option(
    "--override/--no-override", default=None, help="Let callers name the version or not."
)
@output.option
def deploy(
    *,
    model: str,
    name: str | None,
    policy: Path,
    as_json: bool,
    **changes: Any,
) -> None:
    """Serve a version under a name; the newest one unless an alias or number is given.

    With --switch, --rollback, --rule or --override the plan of a deployment is changed instead:
    each is one step, and --rollback goes back from it.
    """
    which = _parse(model)
    change = Change(**changes)
    with session.client() as client:
        if _is_change(change):
            made = _changed(client, name or which.model, which, change)
        else:
            made = _deployed(client, name or which.model, which, policy)
    output.emit(made, as_json=as_json, show=lambda: _told(made))


def _is_change(change: Change) -> bool:
    asked = [
        change.switch,
        change.rollback,
        bool(change.rules),
        change.no_rules,
        change.override is not None,
    ]
    if sum(asked) > 1 or (change.share is not None and not change.switch):
        raise errors.InvalidInputError(
            "one change at a time: --switch (with --share), --rollback, --rule (any number), "
            "--no-rules, or --override"
        )
    return any(asked)


def _deployed(client: Client, name: str, which: Which, policy: Path) -> Deployment:
    from homeostat.lifecycle import policy as policies

    rules = policies.read(policy)
    if rules.model.name != which.model:
        raise errors.InvalidInputError(
            f"{policy} is the policy of model {rules.model.name!r}, not of {which.model!r}",
            hint="name its file with --policy",
        )
    return client.deployments.deploy(
        name, policy=policy, version=which.number, alias=which.alias
    )


def _changed(client: Client, name: str, which: Which, change: Change) -> Deployment:
    speaking = client.deployments
    if change.rollback:
        return speaking.rollback(name, reason="homeostat deploy --rollback")
    if change.rules or change.no_rules:
        return speaking.set_rules(name, change.rules, reason="homeostat deploy --rule")
    if change.override is not None:
        return speaking.set_override(name, allowed=change.override)
    number = which.number
    if which.alias is not None:
        number = client.models.version_at(which.model, which.alias).number
    if number is None:
        newest = client.models.versions(which.model, limit=1)
        if not newest:
            raise errors.NotFoundError(f"model {which.model!r} has no version yet")
        number = newest[0].number
    share = 1.0 if change.share is None else change.share
    return speaking.switch(name, number, share=share, reason="homeostat deploy --switch")


def _told(made: Deployment) -> str:
    """Say who answers now, in a line per arm and rule."""
    lines = []
    for arm in made.plan.arms:
        members = " + ".join(f"model:{made.model}@{one.version}" for one in arm.members)
        share = "" if arm.share == 1 else f", {arm.share:.0%} of the keys"
        reached = "" if arm.share else ", by rule"
        lines.append(f"{made.name} answers with {members}{reached or share}")
    lines += [f"  rule: {rule.name} ({rule.arm})" for rule in made.plan.rules]
    return "\n".join(lines)


def _parse(text: str) -> Which:
    found = re.fullmatch(r"([^@:]+)(?:@([^@:]+)|:(\d+))?", text)
    if found is None:
        raise errors.InvalidInputError(
            f"{text!r} names no version", hint="use MODEL, MODEL@ALIAS or MODEL:VERSION"
        )
    return Which(found[1], found[2], int(found[3]) if found[3] else None)

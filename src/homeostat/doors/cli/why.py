"""`homeostat why`: from an answer or a decision back to the data, and from data to answers."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import click
import msgspec

from homeostat.doors.api.why import Step, Story
from homeostat.doors.cli import output, session
from homeostat.doors.client import Client
from homeostat.foundation import errors
from homeostat.lifecycle.explanations.entities import Explanation
from homeostat.lifecycle.serving.consequences import Consequences

FEW = 30
LISTED = ("row", "id", "key", "served_at", "answer", "served_score", "version", "answered")
_ID = re.compile(r"[0-9a-f]{32}")
LONGEST = 100


@click.command()
@click.argument("reference", metavar="[PREDICTION_ID|DECISION_ID|KEY]", required=False)
@click.option("--deployment", metavar="NAME", help="The argument is a key there.")
@click.option("--snapshot", metavar="ID|NAME[@N]", help="What came of this data.")
@click.option("--run", metavar="ID", help="What came of this run.")
@click.option("--version", metavar="MODEL/N", help="What this version decided.")
@click.option("--list", "is_listed", is_flag=True, help="The predictions themselves, too.")
@click.option("--after", default=-1, help="With --list: rows after this one.")
@click.option("--limit", default=100, show_default=True, help="With --list: rows a deployment.")
@output.option
def why(
    *,
    reference: str | None,
    deployment: str | None,
    snapshot: str | None,
    run: str | None,
    version: str | None,
    is_listed: bool,
    after: int,
    limit: int,
    as_json: bool,
) -> None:
    """Trace a prediction or a decision back to its data, or data forward to decisions."""
    given = [one for one in (reference, snapshot, run, version) if one is not None]
    if len(given) != 1:
        raise errors.InvalidInputError(
            "give one thing to ask of: an id, --snapshot, --run or --version"
        )
    with session.client() as client:
        if reference is not None:
            found = client.lineage.why(reference, deployment=deployment or "")
            said = None if as_json else _explained(client, found)
            output.emit(found, as_json=as_json, show=lambda: _told(found, said))
            return
        came = client.lineage.consequences(_source(client, snapshot, run, version))
        listed = _listed(client, came, after=after, limit=limit) if is_listed else {}
    told = {**msgspec.to_builtins(came), **({"predictions": listed} if is_listed else {})}
    output.emit(told, as_json=as_json, show=lambda: _consequences(came, listed))


def _source(client: Client, snapshot: str | None, run: str | None, version: str | None) -> str:
    if run is not None:
        return f"run:{run.removeprefix('run:')}"
    if version is not None:
        name, _, number = version.removeprefix("models:/").rpartition("/")
        if not name or not number.isdecimal():
            raise errors.InvalidInputError(
                f"{version!r} names no version", hint="write it such as credit/3"
            )
        return f"model:{name}@{number}"
    assert snapshot is not None
    if snapshot.startswith("snapshot:") or _ID.fullmatch(snapshot):
        return f"snapshot:{snapshot.removeprefix('snapshot:')}"
    name, at, number = snapshot.rpartition("@")
    if at and number.isdecimal():
        return client.data.get(name, number=int(number)).reference
    return client.data.get(snapshot).reference


def _listed(
    client: Client, came: Consequences, *, after: int, limit: int
) -> dict[str, list[dict[str, Any]]]:
    """Return the predictions of each deployment, in its order, after a row."""
    named: dict[str, list[str]] = {}
    for one in came.decided:
        named.setdefault(one.deployment, []).append(one.member)
    return {
        name: client.predictions.read(
            name,
            versions=members,
            columns=LISTED,
            after_row=after,
            limit=limit,
            answered=None,
        ).to_dicts()
        for name, members in named.items()
    }


def _consequences(came: Consequences, listed: dict[str, list[dict[str, Any]]]) -> Any:
    from rich.console import Group

    n = len(came.versions)
    n_versions = f"{n} version{'' if n == 1 else 's'}"
    decided = output.table(
        ["version", "deployment", "#answered", "#in the shadow", "first", "last"],
        [
            (
                one.version,
                one.deployment,
                f"{one.n_answered:,}",
                f"{one.n_shadow:,}",
                output.instant(one.first_served_at),
                output.instant(one.last_served_at),
            )
            for one in came.decided
        ],
        title=f"decided by {n_versions} that came of {came.reference}",
        empty=f"{n_versions} came of {came.reference}, and decided nothing",
    )
    parts = [decided]
    for one in came.scored:
        told = one.told
        parts.append(
            f"{one.reference}: {told.n_scored:,} rows of {told.input} into {told.output}"
        )
    for name, rows in listed.items():
        cells = [
            (one["row"], one["key"], output.instant(one["served_at"]), *_said(one), one["id"])
            for one in rows
        ]
        columns = ["#row", "key", "at", "answer", "#score", "version", "id"]
        parts.append(output.table(columns, cells, title=f"predictions of {name}"))
    return Group(*parts)


def _said(row: dict[str, Any]) -> tuple[object, str, object]:
    return row["answer"], f"{row['served_score']:.4f}", row["version"]


def _explained(client: Client, story: Story) -> Explanation | None:
    """Return what moved the score of a prediction, where its versions can say so here."""
    if story.kind != "prediction":
        return None
    with contextlib.suppress(errors.HomeostatError):  # the way back is told all the same
        return client.predictions.explain(story.id).explanation
    return None


def _told(story: Story, said: Explanation | None) -> Any:
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(f"{story.kind} {story.id}", guide_style="dim")
    for step in story.steps:
        _add(tree, step)
    if said is not None:
        moved = sorted(said.contributions.items(), key=lambda one: (-abs(one[1]), one[0]))
        branch = tree.children[-1]
        told = [f"{name} moved it by {by:+.4f} ({said.space})" for name, by in moved[:FEW]]
        told += [f"reason: {one.text} ({one.contribution:+.4f})" for one in said.reasons]
        for line in told:
            branch.add(Text(line, style="dim"))
    return tree


def _add(tree: Any, step: Step) -> None:
    from rich.text import Text

    line = Text(step.sentence)
    line.append(f"  {step.reference}", style="cyan")
    if step.at is not None:
        line.append(f"  {output.instant(step.at)}", style="dim")
    branch = tree.add(line)
    for name, value in list(step.facts.items())[:FEW]:
        if value not in (None, ""):
            branch.add(Text(f"{name}: {str(value)[:LONGEST]}", style="dim"))

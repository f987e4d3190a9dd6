"""`homeostat why`: from an answer or a decision back to the data, step by step."""

from __future__ import annotations

from typing import Any

import click

from homeostat.doors.api.why import Step, Story
from homeostat.doors.cli import output, session

FEW = 12
LONGEST = 100


@click.command()
@click.argument("reference", metavar="PREDICTION_ID|DECISION_ID")
@output.option
def why(reference: str, *, as_json: bool) -> None:
    """Trace a prediction or a decision back to what caused it."""
    with session.client() as client:
        found = client.lineage.why(reference)
    output.emit(found, as_json=as_json, show=lambda: _told(found))


def _told(story: Story) -> Any:
    from rich.tree import Tree

    tree = Tree(f"{story.kind} {story.id}", guide_style="dim")
    for step in story.steps:
        _add(tree, step)
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

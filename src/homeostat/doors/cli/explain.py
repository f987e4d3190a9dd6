"""`homeostat explain`: why a deployment answers a row as it does, and what would change it."""

from __future__ import annotations

from typing import Any, cast

import click
import msgspec

from homeostat.doors.cli import output, session
from homeostat.foundation import errors
from homeostat.lifecycle.explanations.entities import Explanation, Kind


@click.command()
@click.argument("deployment")
@click.option("--row", required=True, metavar="JSON", help="Such as '{\"income\": 1200}'.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(["contributions", "reasons", "counterfactual"]),
    help="What to say; all when not given.",
)
@click.option("--top", type=click.IntRange(1, 100), help="Reasons at most.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="The score that decides.")
@output.option
def explain(
    *,
    deployment: str,
    row: str,
    kinds: tuple[str, ...],
    top: int | None,
    threshold: float | None,
    as_json: bool,
) -> None:
    """Say why a row gets its score; nothing is predicted or logged."""
    try:
        given = msgspec.json.decode(row, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise errors.InvalidInputError(f"--row is no JSON object: {error}") from None
    wanted = cast("tuple[Kind, ...]", kinds or ("contributions", "reasons", "counterfactual"))
    with session.client() as client:
        found = client.deployments.explain(
            deployment, [given], kinds=wanted, top=top, threshold=threshold
        )
    (one,) = found.explanations
    output.emit(one, as_json=as_json, show=lambda: _shown(one))


def _shown(one: Explanation) -> Any:
    from rich.console import Group

    moved = sorted(one.contributions.items(), key=lambda item: (-abs(item[1]), item[0]))
    rows = [(name, f"{amount:+.4f}") for name, amount in moved]
    who = " + ".join(f"{part.weight:g} of version {part.version}" for part in one.members)
    parts: list[Any] = [
        output.table(
            ["column", "#moved it by"],
            [("(before anything is known)", f"{one.base:.4f}"), *rows],
            title=f"score {one.score:.4f} of {who}, in {one.space}",
        )
    ]
    parts += [f"reason: {reason.text} ({reason.contribution:+.4f})" for reason in one.reasons]
    for other in one.counterfactuals:
        changes = ", ".join(
            f"{change.column} {change.before} → {change.after}" for change in other.changes
        )
        parts.append(f"would be {other.score:.4f} with: {changes}")
    if one.note:
        parts.append(one.note)
    if not one.is_exact:
        parts.append("The sum is exact; single numbers are estimates.")
    return Group(*parts)

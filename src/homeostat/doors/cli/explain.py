"""`homeostat explain`: why a deployment answers a row as it does, and what would change it."""

from __future__ import annotations

from typing import Any, cast

import click
import msgspec

from homeostat.doors.cli import output, session
from homeostat.doors.client.explaining import ExplainedPrediction
from homeostat.foundation import errors
from homeostat.lifecycle.explanations.entities import Explanation, Kind

SAME = 2e-5
"""A twin may differ from its original by half of this."""


@click.command()
@click.argument("deployment", required=False)
@click.option("--row", metavar="JSON", help="Such as '{\"income\": 1200}'.")
@click.option("--prediction", metavar="ID", help="One of the log, by who scored it then.")
@click.option("--key", metavar="KEY", help="The latest prediction of this key, as it was then.")
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
    deployment: str | None,
    row: str | None,
    prediction: str | None,
    key: str | None,
    kinds: tuple[str, ...],
    top: int | None,
    threshold: float | None,
    as_json: bool,
) -> None:
    """Say why a row gets its score, or a prediction of the log has it; nothing is logged."""
    asked = {"--row": row, "--prediction": prediction, "--key": key}
    if sum(one is not None for one in asked.values()) != 1:
        raise errors.InvalidInputError(f"give one of {', '.join(asked)}")
    if deployment is None and prediction is None:
        raise errors.InvalidInputError("name the deployment that is asked")
    wanted = cast("tuple[Kind, ...]", kinds or ("contributions", "reasons", "counterfactual"))
    how: dict[str, Any] = {"kinds": wanted, "top": top, "threshold": threshold}
    with session.client() as client:
        if row is not None and deployment is not None:
            said = client.deployments.explain(deployment, [_given(row)], **how)
            (one,) = said.explanations
            output.emit(one, as_json=as_json, show=lambda: _shown(one))
            return
        reference = key if key is not None else prediction
        where = deployment or "" if key is not None else ""
        found = client.predictions.explain(reference or "", deployment=where, **how)
    output.emit(found, as_json=as_json, show=lambda: _recalled(found))


def _given(row: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(row, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise errors.InvalidInputError(f"--row is no JSON object: {error}") from None


def _recalled(found: ExplainedPrediction) -> Any:
    """Return what is shown of a prediction of the log."""
    from rich.console import Group

    was = found.prediction
    head = (
        f"{was.deployment} answered {was.answer} with the score {was.served_score:.4g} for the "
        f"key {was.key} at {output.instant(was.served_at)}"
    )
    changed = f"corrected by {', '.join(was.corrections)}" if was.corrections else ""
    far = ""
    if found.gap is not None and found.gap > SAME:
        far = (
            f"these versions say {found.explanation.score:.6g} now; logged was {was.score:.6g}"
        )
    return Group(*(one for one in (head, changed, far) if one), _shown(found.explanation))


def _shown(one: Explanation) -> Any:
    from rich.console import Group

    moved = sorted(one.contributions.items(), key=lambda item: (-abs(item[1]), item[0]))
    rows = [(name, f"{amount:+.4f}") for name, amount in moved]
    who = (
        f"version {one.members[0].version}"
        if len(one.members) == 1
        else " + ".join(f"{part.weight:g} of version {part.version}" for part in one.members)
    )
    parts: list[Any] = [
        f"score {one.score:.4f} by {who}; what moved it, in {one.space}:",
        output.table(
            ["column", "#moved it by"],
            [("(before anything is known)", f"{one.base:.4f}"), *rows],
        ),
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

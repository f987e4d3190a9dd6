"""`homeostat replay`: recompute decisions from what was recorded, bit for bit."""

from __future__ import annotations

import click

from homeostat.doors.cli import output

DIFFERS = 9
"""Exit code when a decision does not come out the same."""


@click.command()
@click.argument("decision", required=False)
@click.option("--all", "every", is_flag=True, help="Replay every decision there is.")
@click.option("--deployment", default="", help="With --all: only of this deployment.")
@output.option
def replay(*, decision: str | None, every: bool, deployment: str, as_json: bool) -> int:
    """Recompute one DECISION, or all; exit code 9 when one comes out different."""
    from homeostat.doors.cli import session

    if (decision is None) == (not every):
        raise click.UsageError("name one decision, or say --all")
    with session.client() as client:
        if deployment:
            client.deployments.get(deployment)
        wanted = client.decisions.every(deployment=deployment) if every else ()
        names = [found.id for found in wanted] if decision is None else [decision]
        replayed = [client.decisions.replay(name) for name in names]
    differing = [found for found in replayed if not found.identical]
    told = {
        "replayed": len(replayed),
        "identical": len(replayed) - len(differing),
        "differing": differing,
    }
    lines = [f"{len(replayed) - len(differing)} of {len(replayed)} decisions are identical"]
    lines += [f"decision:{found.decision} differs: {found.reason}" for found in differing]
    output.emit(told, as_json=as_json, show=lambda: "\n".join(lines))
    return DIFFERS if differing else 0

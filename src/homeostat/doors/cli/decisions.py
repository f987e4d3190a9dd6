"""`homeostat replay`: recompute decisions from what was recorded, bit for bit."""

from __future__ import annotations

import click

from homeostat.doors.cli import output

DIFFERS = 9
"""Exit code when a decision does not come out the same."""


@click.command()
@click.argument("decision", required=False)
@click.option("--all", "every", is_flag=True, help="Replay every decision there is.")
@click.option("--deployment", default="", help="With --all, --since: only of this one.")
@click.option("--since", metavar="TIME", help="All decisions from then on.")
@click.option("--until", metavar="TIME", help="All decisions before then.")
@output.option
def replay(
    *,
    decision: str | None,
    every: bool,
    deployment: str,
    since: str | None,
    until: str | None,
    as_json: bool,
) -> int:
    """Recompute one DECISION, all, or those of a time; exit code 9 when one differs.

    TIME is such as 2026-04-05, 2026-04-05T10:31:07 (UTC), or milliseconds since 1970.
    """
    from homeostat.doors.cli import session

    every = every or since is not None or until is not None
    if (decision is None) == (not every):
        raise click.UsageError(
            "name one decision, a time with --since or --until, or say --all"
        )
    first, end = output.moment(since), output.moment(until)
    with session.client() as client:
        if deployment:
            client.deployments.get(deployment)
        wanted = (
            client.decisions.every(deployment=deployment, since=first, until=end)
            if every
            else ()
        )
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

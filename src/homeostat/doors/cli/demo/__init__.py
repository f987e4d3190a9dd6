"""`homeostat demo`: a simulated lender lives through four things that happen to models."""

from __future__ import annotations

from pathlib import Path

import click

from homeostat.doors.cli import output, session


@click.command()
@click.option("--exit", "leave", is_flag=True, help="End when the story is told.")
@click.option(
    "--json",
    "report",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what happened to FILE.",
)
@click.option("--port", type=int, help="Of the API and the pages; 5000 unless set.")
@click.option("--predict-port", type=int, help="Of the prediction server; 5001 unless set.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of the simulator.")
def demo(
    *, leave: bool, report: Path | None, port: int | None, predict_port: int | None, seed: int
) -> None:
    """Tell a story in four chapters over real processes: what broke, and what was done.

    All applicants are SIMULATED. The platform is told nothing but their applications and, late,
    what became of their loans; it has to find out the rest.
    """
    from homeostat.doors.cli.demo import stage

    if report is not None:
        output.check_place(report, option="--json")
    told = session.load(port=port, predict_port=predict_port)
    stage.perform(told, leave=leave, report=report, seed=seed)

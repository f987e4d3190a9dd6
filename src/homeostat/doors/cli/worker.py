"""`homeostat worker`: runs jobs, follows events, closes the loop."""

from __future__ import annotations

import click

from homeostat.doors import worker as door
from homeostat.doors.cli import options


@click.command()
def worker() -> None:
    """Run jobs and follow events until SIGTERM, which lets the job at hand finish."""
    told = options.load()
    options.speak(told)
    door.run(told)

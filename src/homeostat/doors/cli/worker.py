"""`homeostat worker`: runs jobs, follows events, closes the loop."""

from __future__ import annotations

import click

from homeostat.doors import worker as door
from homeostat.doors.cli import session
from homeostat.foundation import log


@click.command()
def worker() -> None:
    """Run jobs and follow events until SIGTERM, which lets the job at hand finish."""
    told = session.load()
    log.configure(level=told.log_level, output=told.log_format)
    door.run(told)

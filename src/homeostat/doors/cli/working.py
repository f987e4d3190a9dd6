"""A worker for as long as one command lasts, where there is no other; for `run` and `judge`."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from homeostat.foundation import settings


@contextlib.contextmanager
def alone(told: settings.Settings) -> Iterator[None]:
    """Do jobs here while no worker takes them first; a server has workers of its own.

    Parameters
    ----------
    told
        Of the home, or of a server elsewhere.
    """
    if told.url:
        yield
        return
    from homeostat.doors import worker
    from homeostat.foundation import house
    from homeostat.lifecycle.loop import duties

    # What fails here is told once, by the command itself.
    logging.getLogger(worker.__name__).setLevel(logging.CRITICAL)
    ending = threading.Event()
    with house.open_house(told) as opened:
        lane = worker.Lane("run", duties.Bench(opened).slow(), opened, ending=ending)
        lane.start()
        try:
            yield
        finally:
            ending.set()
            lane.join()

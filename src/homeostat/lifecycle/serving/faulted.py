"""Tells log and counters of rows that members could not score; called by `answering`."""

from __future__ import annotations

from typing import Protocol

from homeostat.foundation import clock, errors, log
from homeostat.lifecycle.predictions import frames, spool
from homeostat.lifecycle.serving import composite, meters

_log = log.get(__name__)


class Place(Protocol):
    """Where an arm stands, as `answering` says it."""

    @property
    def deployment(self) -> str:
        """Its name."""

    @property
    def generation(self) -> int:
        """Of the plan."""

    @property
    def arm(self) -> str:
        """Its name."""


class Post(Protocol):
    """What all arms of a process share."""

    @property
    def log(self) -> spool.Spool:
        """The log."""

    @property
    def meters(self) -> meters.Meters:
        """The counters."""


def report(faults: dict[int, composite.Fault], place: Place, post: Post) -> None:
    """Count faults and tell the log of them, where the judge of a rollout finds them.

    Parameters
    ----------
    faults
        By row.
    place
        The arm.
    post
        Log and counters.
    """
    groups: dict[tuple[int, str], list[composite.Fault]] = {}
    for fault in faults.values():
        groups.setdefault((fault.version, fault.kind), []).append(fault)
    for (version, kind), found in groups.items():
        post.meters.faults[place.deployment, str(version), kind] += len(found)
        frame = frames.Failure(
            clock.now_ms(),
            place.generation,
            place.arm,
            str(version),
            len(found),
            kind,
            found[0].sentence,
        )
        try:
            post.log.write(place.deployment, frame)
        except errors.UnavailableError as error:
            _log.warning("fault-not-logged", deployment=place.deployment, why=str(error))

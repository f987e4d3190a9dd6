"""Ask from Python what the worker does; one subject of the SDK."""

from __future__ import annotations

from homeostat.doors.client import transport
from homeostat.foundation import jobs


class Jobs:
    """Work that waits, runs or is over.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def newest(self, *, limit: int = 100) -> list[jobs.Job]:
        """Return the newest jobs, newest first.

        Parameters
        ----------
        limit
            At most so many, 1 to 1000.
        """
        return self._transport.call(
            "GET", "/api/jobs", answer=list[jobs.Job], query={"limit": limit}
        )

    def get(self, job_id: str) -> jobs.Job:
        """Return one job.

        Raises
        ------
        NotFoundError
            When there is none of this id.
        """
        return self._transport.call(
            "GET", f"/api/jobs/{transport.part(job_id)}", answer=jobs.Job
        )

    def schedules(self) -> list[jobs.Schedule]:
        """Return all schedules of the project."""
        return self._transport.call("GET", "/api/schedules", answer=list[jobs.Schedule])

"""Alerts and judged windows from Python; one subject of the SDK."""

from __future__ import annotations

from homeostat.doors.client import transport
from homeostat.lifecycle.monitoring.entities import Alert, AlertState, Window

Listed = list[Alert]
Windows = list[Window]


class Alerts:
    """What monitoring has found, and what people were told.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def list(
        self,
        *,
        deployment: str = "",
        states: tuple[AlertState, ...] = (),
        before: str = "",
        limit: int = 100,
    ) -> Listed:
        """Return alerts, the latest first.

        Parameters
        ----------
        deployment
            Only of this one; of all when empty.
        states
            Only in these: ``open``, ``acknowledged``, ``resolved``; in all when empty.
        before
            Id of the last alert of the page before.
        limit
            At most this many, 1 to 1000.

        Raises
        ------
        InvalidInputError
            When a value is out of its range.
        """
        return self._transport.call(
            "GET",
            "/api/alerts",
            answer=Listed,
            query={
                "deployment": deployment,
                "state": states,
                "before": before,
                "limit": limit,
            },
        )

    def get(self, alert: str) -> Alert:
        """Return one alert.

        Raises
        ------
        NotFoundError
            When there is no such alert.
        """
        return self._transport.call("GET", f"/api/alerts/{transport.part(alert)}", answer=Alert)

    def acknowledge(self, alert: str) -> Alert:
        """Say that you have seen it.

        Raises
        ------
        NotFoundError
            When there is no such alert.
        ConflictError
            When it is resolved.
        """
        return self._transport.call(
            "POST", f"/api/alerts/{transport.part(alert)}/acknowledge", answer=Alert
        )

    def resolve(self, alert: str) -> Alert:
        """Say that it is over.

        Raises
        ------
        NotFoundError
            When there is no such alert.
        """
        return self._transport.call(
            "POST", f"/api/alerts/{transport.part(alert)}/resolve", answer=Alert
        )

    def windows(
        self,
        deployment: str,
        *,
        with_findings: bool = False,
        before_row: int | None = None,
        limit: int = 100,
    ) -> Windows:
        """Return judged windows of a deployment, the latest first.

        Parameters
        ----------
        deployment
            Its name.
        with_findings
            Only windows in which something was found.
        before_row
            Only windows that begin before this row of the prediction log.
        limit
            At most this many, 1 to 1000.

        Raises
        ------
        InvalidInputError
            When a value is out of its range.
        """
        return self._transport.call(
            "GET",
            f"/api/deployments/{transport.part(deployment)}/windows",
            answer=Windows,
            query={"with_findings": with_findings, "before_row": before_row, "limit": limit},
        )

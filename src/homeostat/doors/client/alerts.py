"""Alerts and judged windows from Python; one subject of the SDK."""

from __future__ import annotations

from homeostat.doors.client import transport
from homeostat.lifecycle.alerting.entities import Delivery, Silence
from homeostat.lifecycle.monitoring.entities import Alert, AlertState, Window

Listed = list[Alert]
Windows = list[Window]
Silences = list[Silence]
Deliveries = list[Delivery]


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

    def open(
        self,
        deployment: str,
        kind: str,
        sentence: str,
        *,
        cause: str = "unknown",
        column: str | None = None,
        evidence: tuple[str, ...] = (),
    ) -> Alert:
        """Say that something is wrong that was seen elsewhere.

        Parameters
        ----------
        deployment
            Its name, or the reference of what others depend on, such as ``dataset:orders``.
        kind, sentence
            What was seen, in a word and in a sentence.
        cause, column, evidence
            As far as known.

        Returns
        -------
        Alert
            The one that stands, when the same was said before and is not over.
        """
        told = {
            "deployment": deployment,
            "kind": kind,
            "cause": cause,
            "column": column,
            "sentence": sentence,
            "evidence": evidence,
        }
        return self._transport.call("POST", "/api/alerts", answer=Alert, body=told)

    def silence(
        self,
        *,
        until_at: int,
        reason: str,
        deployment: str = "",
        kind: str = "",
        column: str = "",
        from_at: int | None = None,
        is_downtime: bool = False,
    ) -> Silence:
        """Keep people from being told of some alerts for some time; the alerts are kept.

        Parameters
        ----------
        until_at, from_at
            Milliseconds UTC, at most a year apart; from now on when None.
        reason
            Why.
        deployment, kind, column
            Which alerts; all of them where empty.
        is_downtime
            Planned work: a deployment without predictions is then no alert either.

        Returns
        -------
        Silence
            With its id, by which it can be ended.

        Raises
        ------
        InvalidInputError
            When the time is past or too long.
        """
        told = {
            "until_at": until_at,
            "reason": reason,
            "deployment": deployment,
            "kind": kind,
            "column": column,
            "from_at": from_at,
            "is_downtime": is_downtime,
        }
        return self._transport.call("POST", "/api/silences", answer=Silence, body=told)

    def silences(self, *, before: str = "", limit: int = 100) -> Silences:
        """Return silences, the latest first.

        Parameters
        ----------
        before
            Id of the last one of the page before.
        limit
            At most this many, 1 to 1000.
        """
        return self._transport.call(
            "GET", "/api/silences", answer=Silences, query={"before": before, "limit": limit}
        )

    def end_silence(self, silence: str) -> Silence:
        """End a silence before its time.

        Returns
        -------
        Silence
            As before when it was over.

        Raises
        ------
        NotFoundError
            When there is no such silence.
        """
        return self._transport.call(
            "POST", f"/api/silences/{transport.part(silence)}/end", answer=Silence
        )

    def deliveries(self, *, before: str = "", limit: int = 100) -> Deliveries:
        """Return what was told to whom, the latest first.

        Parameters
        ----------
        before
            Id of the last one of the page before.
        limit
            At most this many, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/api/deliveries",
            answer=Deliveries,
            query={"before": before, "limit": limit},
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

"""Corrections from Python: other answers without a new model; one subject of the SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeostat.doors.client import transport
from homeostat.lifecycle.corrections.calibrating import Method
from homeostat.lifecycle.corrections.entities import Body, Correction, Shown

Listed = list[Correction]


class Corrections:
    """Thresholds, recalibration, rules, abstaining and fallbacks of deployments.

    Parameters
    ----------
    speaking
        The transport of the client.

    Examples
    --------
    >>> made = client.corrections.propose(  # doctest: +SKIP
    ...     "credit",
    ...     {"kind": "threshold", "at": 0.3},
    ...     reason="more reviews",
    ...     expires_at=1_800_000_000_000,
    ... )
    >>> client.corrections.approve(made.id).status  # doctest: +SKIP
    'active'
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def list(self, deployment: str, *, before: str = "", limit: int = 100) -> Listed:
        """Return every version of the corrections of a deployment, the latest first.

        Parameters
        ----------
        deployment
            Its name.
        before
            Id of the last correction of the page before.
        limit
            At most this many, 1 to 1000.

        Raises
        ------
        InvalidInputError
            When a value is out of its range.
        """
        return self._transport.call(
            "GET", _of(deployment), answer=Listed, query={"before": before, "limit": limit}
        )

    def propose(
        self,
        deployment: str,
        body: Body | Mapping[str, Any],
        *,
        reason: str,
        expires_at: int,
        starts_at: int | None = None,
        changes: str = "",
    ) -> Correction:
        """Propose a correction; it works once it is approved.

        Parameters
        ----------
        deployment
            Its name.
        body
            ``Threshold``, ``GroupThreshold``, ``Recalibration``, ``Ruling``, ``Abstain`` or
            ``Fallback``, or their JSON: ``{"kind": "threshold", "at": 0.3}``.
        reason
            Why, for people.
        expires_at, starts_at
            Milliseconds UTC; a year at most. It starts once it is approved unless said.
        changes
            Id of the correction of which this is the next version; a new one when empty.

        Returns
        -------
        Correction
            Proposed.

        Raises
        ------
        NotFoundError
            When there is no such deployment or correction.
        InvalidInputError
            When it cannot mean anything for the deployment.
        """
        content: dict[str, Any] = {
            "body": body,
            "reason": reason,
            "expires_at": expires_at,
            "starts_at": starts_at,
            "changes": changes,
        }
        return self._transport.call("POST", _of(deployment), answer=Correction, body=content)

    def fit(
        self,
        deployment: str,
        *,
        method: Method = "isotonic",
        reason: str,
        expires_at: int,
        starts_at: int | None = None,
        changes: str = "",
    ) -> Correction:
        """Fit a recalibration to the labels in the log, and propose it with its evidence.

        Parameters
        ----------
        deployment
            Its name.
        method
            ``isotonic`` or ``platt``.
        reason, expires_at, starts_at, changes
            As for `propose`.

        Returns
        -------
        Correction
            Proposed; its body holds the evidence.

        Raises
        ------
        NotFoundError
            When there is no such deployment or correction.
        InvalidInputError
            When there are too few labels, or the scores say nothing about them.
        """
        content: dict[str, Any] = {
            "method": method,
            "reason": reason,
            "expires_at": expires_at,
            "starts_at": starts_at,
            "changes": changes,
        }
        return self._transport.call(
            "POST", f"{_of(deployment)}/fit", answer=Correction, body=content
        )

    def get(self, correction: str) -> Shown:
        """Return a correction with its versions, and how often it fires.

        Raises
        ------
        NotFoundError
            When there is no such correction.
        """
        return self._transport.call("GET", _one(correction), answer=Shown)

    def approve(
        self, correction: str, *, version: int | None = None, note: str = ""
    ) -> Correction:
        """Let a proposed correction work, everywhere within a second.

        Parameters
        ----------
        correction
            Its id.
        version
            Which one; the newest when None.
        note
            Why; needed for a threshold by group.

        Returns
        -------
        Correction
            ``active``, or ``approved`` until it starts.

        Raises
        ------
        NotFoundError
            When there is no such correction.
        NotAllowedError
            When you proposed it and the tier needs a second pair of eyes.
        ConflictError
            When it is not proposed any more, or another one of its kind is in force.
        """
        return self._transport.call(
            "POST",
            f"{_one(correction)}/approve",
            answer=Correction,
            body={"version": version, "note": note},
        )

    def withdraw(self, correction: str, *, reason: str) -> Correction:
        """End a correction now, or take a proposal back.

        Parameters
        ----------
        correction
            Its id.
        reason
            Why, for people.

        Returns
        -------
        Correction
            Its newest version that ended.

        Raises
        ------
        NotFoundError
            When there is no such correction.
        ConflictError
            When it is over already.
        """
        return self._transport.call(
            "POST", f"{_one(correction)}/withdraw", answer=Correction, body={"reason": reason}
        )


def _of(deployment: str) -> str:
    return f"/api/deployments/{transport.part(deployment)}/corrections"


def _one(correction: str) -> str:
    return f"/api/corrections/{transport.part(correction)}"

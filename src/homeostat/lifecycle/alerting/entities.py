"""Nouns of alerting: silences and deliveries; also its rows and JSON."""

from __future__ import annotations

from typing import Literal

import msgspec

Channel = Literal["webhook", "slack", "email"]
Told = Literal["confirmed", "resolved", "flapping", "escalated", "no-data"]
"""What a delivery says of its alerts."""
DeliveryState = Literal["waiting", "sent", "given-up"]


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which alerts are kept, but nobody is told; empty fields fit everything.

    Attributes
    ----------
    id
        Its name.
    deployment, kind, column
        Which alerts; all of them where empty.
    from_at, until_at
        Milliseconds UTC; half open.
    is_downtime
        Planned work: a deployment without predictions is then no alert either.
    reason, made_by, made_at
        Why, by whom, when.
    ended_at, ended_by
        When a person ended it early; None and empty otherwise.
    """

    id: str
    deployment: str = ""
    kind: str = ""
    column: str = ""
    from_at: int
    until_at: int
    is_downtime: bool = False
    reason: str
    made_by: str
    made_at: int
    ended_at: int | None = None
    ended_by: str = ""

    def holds(self, at: int) -> bool:
        """Say whether it is in force at an instant, milliseconds UTC."""
        return self.ended_at is None and self.from_at <= at < self.until_at

    def fits(self, *, deployment: str, kind: str, column: str | None) -> bool:
        """Say whether it means an alert.

        Parameters
        ----------
        deployment, kind, column
            Of the alert.
        """
        return (
            self.deployment in {"", deployment}
            and self.kind in {"", kind}
            and self.column in {"", column or ""}
        )


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one receiver, of one alert or of several with one cause.

    Attributes
    ----------
    id
        Stays the same however often it is sent, so that a receiver can know it again.
    deployment, cause
        What its alerts share.
    told
        What it says of them.
    receiver, channel
        Its name in the policy, and how it is reached.
    alerts
        Their ids.
    state
        ``waiting``, ``sent`` or ``given-up``.
    made_at, next_at, ended_at
        Milliseconds UTC: when it was decided, when it is tried next, when it was over.
    attempts, last_error
        How often it was tried, and what went wrong the last time.
    """

    id: str
    deployment: str
    cause: str
    told: Told
    receiver: str
    channel: Channel
    alerts: tuple[str, ...]
    state: DeliveryState = "waiting"
    made_at: int
    next_at: int
    attempts: int = 0
    last_error: str = ""
    ended_at: int | None = None

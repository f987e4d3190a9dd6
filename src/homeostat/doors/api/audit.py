"""Whether the log is whole; asked by `homeostat audit verify` and the audit page."""

from __future__ import annotations

from homeostat.doors.api import routing
from homeostat.foundation import events


async def verify(call: routing.Call) -> events.Verification:
    """Recompute the chain of digests and check every signature."""
    return await call.read(events.verify)


ROUTES = (
    routing.Route(
        "GET",
        "/api/audit/verify",
        "audit.read",
        verify,
        answer=events.Verification,
        summary="Recompute the chain of the event log",
    ),
)

"""Verify the event log from Python; one subject of the SDK."""

from __future__ import annotations

from homeostat.doors.client import transport
from homeostat.foundation import events


class Audit:
    """The audit log.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def verify(self) -> events.Verification:
        """Recompute the chain of digests over the whole log and check its signatures.

        Returns
        -------
        Verification
            Whether all is whole, how many events were read, and the first bad one.
        """
        return self._transport.call("GET", "/api/audit/verify", answer=events.Verification)

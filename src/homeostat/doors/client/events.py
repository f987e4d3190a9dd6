"""Read and follow the event log from Python; one subject of the SDK."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.doors.client import transport
from homeostat.foundation import events

WAIT_S = 25.0


class Events:
    """The event log.

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
        after: int = 0,
        kinds: tuple[str, ...] = (),
        subject: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
        wait_s: float = 0.0,
    ) -> list[events.Event]:
        """Return events of the project.

        Parameters
        ----------
        after
            Only those with a later sequence number.
        kinds
            Only these kinds, such as ``deployment.changed``; all when empty.
        subject
            Only those about this reference.
        limit
            At most this many, 1 to 1000.
        newest_first
            Latest first instead of oldest first.
        wait_s
            Wait up to this many seconds for the first one, 0 to 55.

        Raises
        ------
        InvalidInputError
            When a value is out of its range.
        """
        return self._transport.call(
            "GET",
            "/api/events",
            answer=list[events.Event],
            query={
                "after": after,
                "kind": kinds,
                "subject": subject,
                "limit": limit,
                "newest_first": newest_first,
                "wait_s": wait_s,
            },
        )

    def follow(
        self,
        *,
        after: int = 0,
        kinds: tuple[str, ...] = (),
        subject: str | None = None,
    ) -> Iterator[events.Event]:
        """Yield events as they happen, without end, in order and without gaps.

        Parameters
        ----------
        after
            Start behind this sequence number.
        kinds, subject
            As in `list`.
        """
        while True:
            for event in self.list(after=after, kinds=kinds, subject=subject, wait_s=WAIT_S):
                after = event.seq
                yield event

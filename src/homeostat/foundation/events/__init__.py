"""THE SPINE: every change of state is an event here, in the transaction of the change."""

from homeostat.foundation.events.entities import Checkpoint, Event, Verification
from homeostat.foundation.events.follow import advance, follow, position
from homeostat.foundation.events.read import last_seq, read
from homeostat.foundation.events.record import checkpoint, record
from homeostat.foundation.events.verify import verify

__all__ = [
    "Checkpoint",
    "Event",
    "Verification",
    "advance",
    "checkpoint",
    "follow",
    "last_seq",
    "position",
    "read",
    "record",
    "verify",
]

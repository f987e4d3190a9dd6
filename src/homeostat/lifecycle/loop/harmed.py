"""What the harm alarms carry from block to block; part of the state in `entities`.

`harm` and `early` move it.
"""

from __future__ import annotations

import msgspec

from homeostat.measures import bounded, sequential


class HarmState(msgspec.Struct, frozen=True, kw_only=True):
    """The harm alarm, and the first row of the block where each of its sums began.

    `bounded` takes the place of `alarm` where events bring losses. `proof` is the patient alarm
    that people are told of, with sums from `proof_rows`; `watch` is the like of what
    the members said, once a corrector has moved answers.
    """

    alarm: sequential.AlarmState = sequential.quiet_alarm(sequential.AlarmSettings())
    start_rows: tuple[int, ...] = (0, 0, 0)
    bounded: bounded.State | msgspec.UnsetType = msgspec.UNSET
    proof: sequential.AlarmState | msgspec.UnsetType = msgspec.UNSET
    proof_rows: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    early: sequential.AlarmState | msgspec.UnsetType = msgspec.UNSET
    watch: sequential.AlarmState | msgspec.UnsetType = msgspec.UNSET
    watch_rows: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET

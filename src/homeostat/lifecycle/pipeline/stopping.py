"""When a run must stop: its time is up, or somebody cancelled it; asked by the driver."""

from __future__ import annotations

import threading
import time

from homeostat.foundation import errors


class Limits:
    """When a run must stop.

    Parameters
    ----------
    timeout_s
        Seconds from now, None for no limit.
    cancel
        Set by somebody else to stop the run.
    """

    def __init__(self, timeout_s: float | None, cancel: threading.Event | None) -> None:
        self.timeout_s = timeout_s
        self.end = None if timeout_s is None else time.monotonic() + timeout_s
        self.cancel = cancel

    def check(self) -> None:
        """Raise when the run must stop now."""
        if self.cancel is not None and self.cancel.is_set():
            raise errors.ConflictError("the run was cancelled")
        if self.end is not None and time.monotonic() >= self.end:
            raise errors.UserCodeError(
                f"the run did not finish within {self.timeout_s:g} s and was stopped",
                hint="steps that finished are not repeated by the next run",
            )

    def left_s(self, timeout_s: float | None) -> float | None:
        """Return the shorter of a limit and what is left of the run; None for no limit."""
        if self.end is None:
            return timeout_s
        left = max(self.end - time.monotonic(), 0.001)
        return left if timeout_s is None else min(left, timeout_s)

    def wait(self, seconds: float) -> None:
        """Wait, unless the run must stop meanwhile."""
        wait_s = self.left_s(seconds) or seconds
        if self.cancel is None:
            time.sleep(wait_s)
        else:
            self.cancel.wait(wait_s)
        self.check()

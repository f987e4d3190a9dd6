"""When a run must stop: its time is up, or somebody cancelled it; asked by the driver."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from homeostat.foundation import errors

GRACE_S = 1.0
"""How long the driver's own checks come first when time is up."""


class OverdueError(BaseException):
    """Raised inside a pipeline's own lines that go on when time is up; never leaves the driver.

    No `Exception`, so that the user's ``except Exception`` lets it pass.
    """


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
            raise self.overdue()

    def overdue(self) -> errors.UserCodeError:
        """Return the error that says that time is up."""
        return errors.UserCodeError(
            f"the run did not finish within {self.timeout_s:g} s and was stopped",
            hint="steps that finished are not repeated by the next run",
        )

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Raise `OverdueError` in this thread when what is inside goes on after the end.

        Between steps a pipeline's own lines are not watched by anything else. A call into C
        that never returns cannot be interrupted; its time belongs in a step.
        """
        if self.end is None:
            yield
            return
        thread = threading.get_ident()
        guard = threading.Lock()
        is_over = False

        def interrupt() -> None:
            with guard:
                if not is_over:
                    _raise_in(thread, OverdueError)

        left_s = max(self.end - time.monotonic(), 0.0)
        timer = threading.Timer(left_s + GRACE_S, interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            with guard:
                is_over = True
            timer.cancel()

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


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))

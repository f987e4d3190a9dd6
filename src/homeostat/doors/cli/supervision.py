"""Keeps child processes alive and ends them together; used by `homeostat up` and the demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from homeostat.foundation import errors, log

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
SETTLED_S = 30.0
TRIES = 6
STOP_S = 25.0
LOOK_S = 0.1
# Exit codes that a restart cannot change: wrong input, another release's database, not
# allowed, stored bytes that do not match.
HOPELESS = (2, 5, 6, 9)


class Child:
    """One supervised process.

    Parameters
    ----------
    name
        The command, such as ``server``.
    arguments
        Of that command.
    environment
        Of the process.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], *, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self.restarts = 0
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._started_at = 0.0
        self._failures = 0
        self._restart_at = 0.0

    def tell(self, name: str, value: str) -> None:
        """Set a variable of the environment of the process, before it starts."""
        self._environment[name] = value

    def start(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches only the parent."""
        module = [sys.executable, "-m", "homeostat.doors.cli.child", str(os.getpid())]
        self.process = subprocess.Popen(
            [*module, self.name, *self._arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._started_at = time.monotonic()
        self._restart_at = 0.0

    def tend(self, *, patient: bool = False) -> None:
        """Start the process again when it has ended and its pause is over.

        Parameters
        ----------
        patient
            Go on for ever, at the longest pause, where the process does not stay up: others
            depend on those that do.

        Raises
        ------
        UnavailableError
            Unless `patient`, when it ends again and again, or with a code that a restart
            cannot change.
        """
        if self.process is None:
            return
        code = self.process.poll()
        if code is None:
            return
        now = time.monotonic()
        if not self._restart_at:
            settled = now - self._started_at > SETTLED_S
            self._failures = 1 if settled else self._failures + 1
            is_hopeless = code in HOPELESS or self._failures >= TRIES
            if is_hopeless and not patient:
                raise errors.UnavailableError(
                    f"the {self.name} ended with code {code} and does not stay up",
                    hint="its last lines above say why; `homeostat doctor` checks the rest",
                    child=self.name,
                    exit_code=code,
                )
            self._restart_at = now + self._pause(code, is_hopeless=is_hopeless)
        elif now >= self._restart_at:
            self.restarts += 1
            self.start()

    def _pause(self, code: int, *, is_hopeless: bool) -> float:
        """Say that the process ended, in one line; return the seconds until it starts again."""
        told = log.get(__name__)
        if is_hopeless:
            told.error(
                f"the {self.name} does not stay up; trying again, the others go on",
                name=self.name,
                code=code,
                failures=self._failures,
                pause_s=LONGEST_BACKOFF_S,
            )
            return LONGEST_BACKOFF_S
        told.warning("process ended; starting it again", name=self.name, code=code)
        return min(FIRST_BACKOFF_S * 2.0 ** (self._failures - 1), LONGEST_BACKOFF_S)

    def stop(self, *, timeout_s: float = STOP_S) -> None:
        """Send SIGTERM and wait; kill after `timeout_s` seconds."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            log.get(__name__).error("process did not drain in time; killed", name=self.name)
            self.process.kill()
            self.process.wait()


class Family:
    """Several children that live and end together.

    Parameters
    ----------
    children
        In the order they are stopped: first who hands work over, last who takes it.
    """

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = tuple(children)
        self.ending = threading.Event()

    def listen(self) -> None:
        """Make SIGTERM and SIGINT end the family."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ending.set())

    def until(self, ready: Callable[[], bool], *, timeout_s: float, what: str) -> bool:
        """Tend the children until `ready`; false when the family is asked to end before.

        Raises
        ------
        UnavailableError
            When it takes longer than `timeout_s` seconds, or a child does not stay up.
        """
        deadline = time.monotonic() + timeout_s
        while not self.ending.is_set():
            if ready():
                return True
            self.tend()
            if time.monotonic() > deadline:
                raise errors.UnavailableError(
                    f"{what} was not ready after {timeout_s:g} s",
                    hint="run `homeostat doctor`",
                )
            self.ending.wait(LOOK_S)
        return False

    def tend(self, *, patient: bool = False) -> None:
        """Look after every child once; see `Child.tend`."""
        for child in self.children:
            child.tend(patient=patient)

    def keep(self) -> None:
        """Tend the children until the family is asked to end; none of them ends the others."""
        while not self.ending.wait(LOOK_S):
            self.tend(patient=True)

    def stop(self) -> None:
        """Stop all, one after the other, in the order given."""
        self.ending.set()
        for child in self.children:
            child.stop()

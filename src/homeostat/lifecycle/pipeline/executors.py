"""Where a step's function runs: in this process, or in a pool of its own; called by the driver.

An executor computes and tells what it cost; it never caches or records.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import cloudpickle
import msgspec
import psutil

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import failures, load, steps, workers

_GLANCE_S: Final = 0.05
_KIB: Final = 1024


class Call(msgspec.Struct, frozen=True):
    """One attempt at a step.

    Parameters
    ----------
    step
        Whose function runs.
    args, options
        What it is given; values, no outputs.
    folder
        Of the project the step was loaded from, else empty.
    timeout_s
        Seconds it may take, None for no limit.
    """

    step: steps.Step[Any, Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    folder: str = ""
    timeout_s: float | None = None


class Done(msgspec.Struct, frozen=True):
    """What came of it.

    Parameters
    ----------
    value
        The step's result.
    cpu_s
        CPU seconds, those of all threads included.
    max_rss_bytes
        Peak memory of the process so far.
    """

    value: Any
    cpu_s: float
    max_rss_bytes: int


GiveUp = Callable[[], None]
"""Called now and then while a step runs; raises to stop it."""


class Executor(Protocol):
    """Runs one attempt at a step."""

    name: str
    shares_memory: bool

    def run(self, call: Call, *, give_up: GiveUp) -> Done:
        """Run it.

        Parameters
        ----------
        call
            What to run.
        give_up
            Raises when the run should stop.

        Returns
        -------
        Done
            With its cost.

        Raises
        ------
        UserCodeError
            When the step raises, hangs or takes its process down.
        """


class Inline:
    """Runs steps in the calling thread; one with a time limit goes to the process pool.

    A thread cannot be stopped from outside, so a limit needs a process that can.
    """

    name = "inline"
    shares_memory = True

    def run(self, call: Call, *, give_up: GiveUp) -> Done:
        """Run a step here; see `Executor.run`."""
        if call.timeout_s is not None:
            return processes().run(call, give_up=give_up)
        before = resource.getrusage(resource.RUSAGE_SELF)
        token = steps.watcher.set(None)
        try:
            value = call.step.function(*call.args, **call.options)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # The user's code may raise anything, SystemExit included.
            raise failures.of(error, what=f"step {call.step.name!r}") from error
        finally:
            steps.watcher.reset(token)
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Done(value, cpu_s, after.ru_maxrss * _KIB)


class Processes:
    """Runs steps in worker processes that are started ahead and used again.

    Parameters
    ----------
    n_warm
        Workers kept ready, 1 or more.
    """

    name = "processes"
    shares_memory = False

    def __init__(self, *, n_warm: int = 1) -> None:
        self._n_warm = n_warm
        self._idle: list[workers.Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    def warm(self) -> None:
        """Start workers ahead, so that the first steps need not wait for Python to start."""
        with self._lock:
            while not self._closed and len(self._idle) < self._n_warm:
                self._idle.append(workers.Worker())

    def run(self, call: Call, *, give_up: GiveUp) -> Done:
        """Run a step in a worker; see `Executor.run`."""
        what = f"step {call.step.name!r}"
        request = _request(call, what)
        worker = self._take()
        healthy = False
        try:
            worker.send(request)
            answer = _await(worker, call, give_up)
            healthy = True
        finally:
            if healthy:
                self._give_back(worker)
            else:
                worker.kill()
        return _done(answer, what)

    def close(self) -> None:
        """Stop all idle workers."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()

    def _take(self) -> workers.Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive():
                    return worker
                worker.kill()
        return workers.Worker()

    def _give_back(self, worker: workers.Worker) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < max(self._n_warm, 2):
                self._idle.append(worker)
                return
        worker.kill()


@functools.cache
def processes() -> Processes:
    """Return this process's pool.

    Returns
    -------
    Processes
        Closed when the process ends.
    """
    pool = Processes(n_warm=psutil.cpu_count(logical=False) or 1)
    atexit.register(pool.close)
    return pool


def named(name: str) -> Executor:
    """Return an executor by its name.

    Parameters
    ----------
    name
        `inline` or `processes`.

    Returns
    -------
    Executor
        Shared by all runs of this process.

    Raises
    ------
    InvalidInputError
        When there is no such executor.
    """
    if name == "inline":
        return Inline()
    if name == "processes":
        return processes()
    raise errors.InvalidInputError(
        f"there is no executor {name!r}", hint="it is inline or processes", name=name
    )


def _request(call: Call, what: str) -> workers.Request:
    step = call.step
    is_local = step.function.__module__ == "__main__" or "<" in step.function.__qualname__
    target: Any = step.function if is_local else step
    try:
        payload = cloudpickle.dumps((target, call.args, call.options), protocol=5)
    except Exception as error:
        # Pickling calls the arguments' own code, which may raise anything.
        raise errors.InvalidInputError(
            f"{what} cannot be sent to another process: {type(error).__name__}: {error}",
            hint="pass plain data, or run it with the inline executor",
        ) from error
    stamp = repr(load.stamp(call.folder)) if call.folder else ""
    return workers.Request(call.folder, stamp, tuple(sys.path), payload)


def _await(worker: workers.Worker, call: Call, give_up: GiveUp) -> workers.Answer:
    end = None if call.timeout_s is None else time.monotonic() + call.timeout_s
    while True:
        left = _GLANCE_S if end is None else min(_GLANCE_S, max(end - time.monotonic(), 0.0))
        if worker.wait(left):
            break
        give_up()
        if end is not None and time.monotonic() >= end:
            n_killed = worker.kill()
            raise errors.UserCodeError(
                f"step {call.step.name!r} did not finish within {call.timeout_s:g} s"
                f" and was stopped ({n_killed} process{'es' if n_killed != 1 else ''})",
                hint="raise its timeout_s, or look for what it waits for",
                timeout_s=call.timeout_s,
            )
    answer = worker.receive()
    if answer is None:
        raise died(worker, what=f"step {call.step.name!r}")
    return answer


def died(worker: workers.Worker, *, what: str) -> errors.UserCodeError:
    """Describe the end of a process that should have answered.

    Parameters
    ----------
    worker
        Not killed by us.
    what
        It was doing: `step 'fit'`, `pipeline 'credit'`, ….

    Returns
    -------
    UserCodeError
        Names exit code or signal, and the user's line where the interpreter wrote it down.
    """
    code = worker.exit_code() or 0
    how = f"exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-code).name
    place = failures.fault_place(worker.fault_dump())
    return failures.sentence(
        what=what,
        place=place,
        kind="its process ended",
        text=f"{how}; nothing else was affected",
    )


def _done(answer: workers.Answer, what: str) -> Done:
    if answer.failure is not None:
        kind, text = answer.failure.kind, answer.failure.text
        raise failures.sentence(what=what, place=answer.failure.place, kind=kind, text=text)
    try:
        value = cloudpickle.loads(answer.payload)
    except Exception as error:
        # Reading an object back runs its class's code, which may raise anything.
        raise failures.of(error, what=f"reading the result of {what}") from error
    return Done(value, answer.cpu_s, answer.max_rss_bytes)

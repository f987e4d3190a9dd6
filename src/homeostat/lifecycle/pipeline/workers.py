"""One worker process and the messages to it; started by `executors`, runs `child`.

The loop starts one of its own that runs whole pipelines instead of single steps.
"""

from __future__ import annotations

import contextlib
import multiprocessing.connection
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
from typing import Any

import msgspec
import psutil


class Request(msgspec.Struct, frozen=True, array_like=True):
    """A step to run.

    Parameters
    ----------
    folder
        Of the project, else empty.
    stamp
        State of its files; a worker that has seen another one imports again.
    path
        Where modules are found.
    payload
        The step and its arguments, by cloudpickle.
    """

    folder: str
    stamp: str
    path: tuple[str, ...]
    payload: bytes


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """What the step raised.

    Parameters
    ----------
    kind
        Name of the exception's class.
    text
        What it said.
    place
        File and line of the user's code.
    """

    kind: str
    text: str
    place: tuple[str, int] | None


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What came of a step.

    Parameters
    ----------
    payload
        The result, by cloudpickle; empty when it failed.
    failure
        Set when it failed.
    cpu_s
        CPU seconds.
    max_rss_bytes
        Peak memory of the worker.
    """

    payload: bytes = b""
    failure: Failure | None = None
    cpu_s: float = 0.0
    max_rss_bytes: int = 0


_decode = msgspec.msgpack.Decoder(Answer).decode

STEPS = "homeostat.lifecycle.pipeline.child"


class Worker:
    """A process of its own session, so that all it starts can be stopped with it.

    Parameters
    ----------
    module
        Run as ``python -m MODULE LINE DUMP PARENT``: two file descriptors, the line to us and
        where the interpreter writes if it crashes, and our process id.
    """

    def __init__(self, module: str = STEPS) -> None:
        ours, theirs = socket.socketpair()
        self._dump = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", module),
                    *(str(theirs.fileno()), str(self._dump.fileno()), str(os.getpid())),
                ],
                pass_fds=(theirs.fileno(), self._dump.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=2,  # what a step prints must not mix with a command's own answer
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": _own_path()},
            )
        self._line = multiprocessing.connection.Connection(ours.detach())
        self._tree: list[psutil.Process] = []

    def send(self, request: Request) -> None:
        """Hand a step over."""
        self.send_bytes(msgspec.msgpack.encode(request))

    def send_bytes(self, data: bytes) -> None:
        """Hand a message over."""
        with contextlib.suppress(OSError):  # gone already: receiving says so
            self._line.send_bytes(data)

    def wait(self, timeout_s: float) -> bool:
        """Wait for an answer, or for the end of the process.

        Parameters
        ----------
        timeout_s
            Longest wait.

        Returns
        -------
        bool
            True when there is something to receive.
        """
        return self._line.poll(timeout_s)

    def receive(self) -> Answer | None:
        """Take the answer; None when the process is gone."""
        data = self.receive_bytes()
        return None if data is None else _decode(data)

    def receive_bytes(self) -> bytes | None:
        """Take the next message; None when the process is gone."""
        try:
            return self._line.recv_bytes()
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
            return None

    def is_alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.poll() is None

    def exit_code(self) -> int | None:
        """Return how it ended; negative for a signal."""
        return self._process.poll()

    def fault_dump(self) -> str:
        """Return what the interpreter wrote when it crashed; ask before `kill`."""
        self._dump.seek(0)
        return self._dump.read().decode(errors="replace")

    def kill(self) -> int:
        """Kill the process and all it started.

        Returns
        -------
        int
            How many were alive.
        """
        tree: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(self._process.pid)
            if self._process.poll() is None:
                tree = [*top.children(recursive=True), top]
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        self._line.close()
        self._dump.close()
        return len(tree)


def _own_path() -> str:
    own = str(pathlib.Path(__file__).parents[3])
    known: Any = os.environ.get("PYTHONPATH", "")
    return f"{own}{os.pathsep}{known}" if known else own

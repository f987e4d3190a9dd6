"""Commands of ours as processes that need not import anything: forked where all is imported.

`start` does what `python -m homeostat.doors.cli.child` with a command does, at a tenth of its
price; nine tenths of a start are imports, and tests start some two hundred processes of ours.
What they fork from is this file run as a program: it has opened nothing, computes nothing, and
ends with the process of the tests. Each command is tried as a user starts it too: `homeostat
up`, which starts the others, `homeostat demo`, and all the stories of the command line.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

CHILD = "homeostat.doors.cli.child"
IMPORTED = (
    "homeostat.doors.cli",
    "homeostat.doors.cli.serve",
    "homeostat.doors.cli.server",
    "homeostat.doors.cli.worker",
    "homeostat.doors.predict.server",
    "homeostat.lifecycle.loop.duties",
    "psycopg",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)
LARGEST = 1 << 17  # of an environment
N_FDS = 3


class Started:
    """A process of the nursery, used as one of `subprocess.Popen` is."""

    def __init__(self, pid, ended, stderr):
        self.pid = pid
        self.returncode = None
        self.stderr = stderr
        self._ended = ended
        self._said = None

    def poll(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            told = os.read(self._ended, 64)
            assert told, "the nursery is gone"
            self.returncode = int(told)
            os.close(self._ended)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ends at this moment
                os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout=None):
        """Wait for its end; what it wrote must fit into a pipe."""
        self.wait(timeout)
        if self.stderr is not None and not self.stderr.closed:
            self._said = self.stderr.read()
            self.stderr.close()
        return None, self._said


def start(words, *, environment, folder, stdout=None, stderr=None):
    """Start a command in a session of its own; None is what this process has."""
    if sys.platform != "linux":
        return subprocess.Popen(
            [sys.executable, "-m", CHILD, str(os.getpid()), *words],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    reading = None
    with contextlib.ExitStack() as leaving:
        if stderr == subprocess.PIPE:
            read_fd, stderr = os.pipe()
            leaving.callback(os.close, stderr)
            reading = os.fdopen(read_fd, "rb")
        elif stderr == subprocess.DEVNULL:
            stderr = leaving.enter_context(open(os.devnull, "wb"))  # noqa: PTH123
        given = [one if one is not None else at for at, one in ((1, stdout), (2, stderr))]
        fds = [one if isinstance(one, int) else one.fileno() for one in given]
        ended, told = os.pipe()
        leaving.callback(os.close, told)
        asked = {"words": list(words), "environment": environment, "folder": str(folder)}
        return Started(_nursery().ask(asked, [*fds, told]), ended, reading)


def run(words, *, environment, folder, timeout):
    """Run a command to its end, as `subprocess.run` does with captured text."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaint:
        one = start(words, environment=environment, folder=folder, stdout=out, stderr=complaint)
        try:
            code = one.wait(timeout)
        finally:
            one.kill()
        said = []
        for file in (out, complaint):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(words, code, *said)


class _Nursery:
    """The program of this file, and the line to it."""

    def __init__(self):
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asking = threading.Lock()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOMEOSTAT_")}
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            environment[name] = "1"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        atexit.register(self.close)

    def ask(self, asked, fds):
        """Return the process id of the command, which has begun."""
        with self._asking:
            sent = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            self._line.sendmsg([json.dumps(asked).encode()], sent)
            told = self._line.recv(64)
        assert told, "the nursery is gone"
        return int(told)

    def close(self):
        self._line.close()
        self._process.wait()


_nursery = functools.cache(_Nursery)


# --- the program ---------------------------------------------------------------------------


def _serve(line):
    """Fork for everyone who asks; in each fork return what was asked, at the end None."""
    waking, wake = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running = {}
    while True:
        ready, _, _ = select.select([line, waking], [], [])
        if waking in ready:
            os.read(waking, 4096)
            _reap(running)
        if line not in ready:
            continue
        data, fds, _, _ = socket.recv_fds(line, LARGEST, N_FDS)
        if not data:
            return None
        *given, told = fds
        assert not _at_work(), "a fork takes one thread along"
        child = os.fork()
        if child == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (waking, wake, told, *running.values()):
                os.close(number)
            line.close()
            for at, number in enumerate(given, start=1):
                os.dup2(number, at)
                os.close(number)
            return json.loads(data)
        for number in given:
            os.close(number)
        running[child] = told
        line.send(str(child).encode())


def _at_work():
    """Return the threads besides this one that may hold what a fork would miss.

    Those of polars wait for what it has not got yet: memory to give back, files to remove.
    """
    names = [one.read_text().strip() for one in Path("/proc/self/task").glob("*/comm")]
    names.remove(Path("/proc/self/comm").read_text().strip())
    return [one for one in names if not one.startswith(("jemalloc_bg", "polars-ooc"))]


def _reap(running):
    for child in list(running):
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            told = running.pop(child)
            with contextlib.suppress(BrokenPipeError):  # nobody wants to know
                os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(told)


def _run(asked):
    """Be the command; returns as it does."""
    os.setsid()
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    said = [str(os.getppid()), *asked["words"]]
    sys.orig_argv[:] = [sys.executable, "-m", CHILD, *said]
    sys.argv[:] = [CHILD, *said]
    more = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:1] = [asked["folder"], *more]
    runpy.run_module(CHILD, run_name="__main__", alter_sys=True)


def _main():
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        _run(asked)


if __name__ == "__main__":
    _main()

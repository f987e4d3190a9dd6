"""How a prediction server becomes its own next release: the same process, other code.

`server` leaves what must outlive it (its sockets, its workers, what they counted) and calls the
system to run the new code in its place; `homeostat serve` finds it again. Callers go on
meanwhile: the workers of before answer until those of the new release are ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import msgspec

from homeostat.doors.predict import channel, sockets
from homeostat.foundation import log
from homeostat.lifecycle.serving import meters

RELEASE: Final = metadata.version("homeostat")
"""Of the code that this process runs."""
VARIABLE: Final = "_HOMEOSTAT_SUCCEEDS"
END_S: Final = 20.0
_TRY_S: Final = 120.0
_LOOK_S: Final = 0.1
_PARTS: Final = ("cli.serve", "predict.server", "predict.worker")
_log = log.get(__name__)


class Former(msgspec.Struct, frozen=True):
    """A worker of the code of before.

    Attributes
    ----------
    line
        Descriptor of the socket that it hears its supervisor by; its end tells it to drain.
    counted
        What it had counted when its supervisor left.
    """

    pid: int
    line: int
    counted: meters.Snapshot


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What the code of before leaves; numbers of file descriptors that stay open.

    Attributes
    ----------
    reserved, listening
        Of the address, and of the places that workers listen at.
    counted
        What workers counted that had ended by then.
    """

    reserved: int
    listening: tuple[int, ...]
    workers: tuple[Former, ...]
    restarts: int
    counted: meters.Snapshot


class Before(NamedTuple):
    """What was found of the code of before."""

    address: sockets.Address
    listening: list[socket.socket]
    workers: tuple[Former, ...]
    restarts: int
    counted: meters.Snapshot


def installed_release() -> str | None:
    """Return the release that is installed now; None while it is being replaced."""
    try:
        return metadata.version("homeostat")
    except metadata.PackageNotFoundError:
        return None


async def is_sound() -> bool:
    """Tell whether what is installed now can be imported; the log says why where it cannot."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-c",
            f"import {', '.join(f'homeostat.doors.{one}' for one in _PARTS)}",
        ),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_TRY_S):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        said = b"it takes too long"
    if process.returncode == 0:
        return True
    why = said.decode(errors="replace").strip().rpartition("\n")[2]
    _log.error("what is installed cannot be run; this release goes on", why=why)
    return False


def leave(left: Left, folder: Path) -> NoReturn:
    """Run what is installed now in this process; returns never.

    Parameters
    ----------
    left
        What it shall find.
    folder
        Of the prediction server; only its owner reads there.

    Raises
    ------
    OSError
        When the system refuses.
    """
    note = folder / f"succession.{secrets.token_hex(8)}"
    note.write_bytes(msgspec.msgpack.encode(left))
    note.chmod(0o600)
    for number in (left.reserved, *left.listening, *(one.line for one in left.workers)):
        os.set_inheritable(number, True)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the new code listens to it
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(  # noqa: S606 - this very command, as it was started
        sys.executable,
        [sys.executable, *sys.orig_argv[1:]],
        {**os.environ, VARIABLE: str(note)},
    )


def taken() -> Before | None:
    """Return what the code of before left; None where nothing was before.

    Returns
    -------
    Before or None
        Its descriptors are this process's, and are inherited by nobody.
    """
    told = os.environ.pop(VARIABLE, None)
    if told is None:
        return None
    note = Path(told)
    left = msgspec.msgpack.decode(note.read_bytes(), type=Left)
    note.unlink()
    for number in (left.reserved, *left.listening, *(one.line for one in left.workers)):
        os.set_inheritable(number, False)
    address = sockets.Address.of(socket.socket(fileno=left.reserved))
    listening = [socket.socket(fileno=one) for one in left.listening]
    return Before(address, listening, left.workers, left.restarts, left.counted)


async def dismiss(former: Former) -> meters.Snapshot:
    """Let a worker of before end what it has begun, and wait until it has ended.

    Parameters
    ----------
    former
        Its place is taken by another one that is ready.

    Returns
    -------
    Snapshot
        What it counted in all, if it can be understood; else what was known.
    """
    counted = former.counted
    line = socket.socket(fileno=former.line)
    line.setblocking(False)
    line.shutdown(socket.SHUT_WR)
    talk = await channel.of_supervisor(line)
    with contextlib.suppress(TimeoutError, msgspec.MsgspecError):  # it may speak otherwise
        async with asyncio.timeout(END_S):
            while (said := await talk.receive()) is not None:
                if isinstance(said, channel.Measured):
                    counted = meters.lasting(said.told)
    await talk.close()
    await _ended(former.pid)
    return counted


async def _ended(pid: int) -> None:
    until = asyncio.get_running_loop().time() + END_S
    while not _has_ended(pid):
        if asyncio.get_running_loop().time() > until:
            _log.error("worker of before did not drain in time; killed", pid=pid)
            os.kill(pid, signal.SIGKILL)
            until += END_S
        await asyncio.sleep(_LOOK_S)


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True

"""The files of a spool's folder: left open by the dead, closed, or refused by the server.

Called by `spool`, by the door that hands segments over, and by `homeostat doctor`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import NamedTuple

from homeostat.foundation import clock, log
from homeostat.lifecycle.predictions import frames

CLOSED, _REFUSED = ".closed", ".refused"
# An empty file this young may be one that its writer has not locked yet.
_BEING_BORN_MS = 10_000
_log = log.get(__name__)


class Closed(NamedTuple):
    """A segment on disk that nobody writes any more."""

    deployment: str
    segment: str
    path: Path


def recover(folder: Path) -> int:
    """Close the segments that a dead process left open, without their torn ends.

    Parameters
    ----------
    folder
        The spool's folder. Segments whose writer lives (they are locked) are left alone.

    Returns
    -------
    int
        How many segments were recovered with rows in them.
    """
    recovered = 0
    for path in sorted(folder.glob("*/*.open")):
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            recovered += _recover_one(path)
    return recovered


def _recover_one(path: Path) -> int:
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        data = file.read()
        if not data and clock.now_ms() - path.stat().st_mtime_ns // 1_000_000 < _BEING_BORN_MS:
            return 0
        good = frames.whole(data)
        if good < len(data):
            _log.warning("torn-frame-dropped", path=str(path), size_bytes=len(data) - good)
            file.truncate(good)
        opened_only = good == 0 or len(frames.decode(data[:good])) == 1
        os.fdatasync(file.fileno())
        if opened_only:
            path.unlink()
            return 0
        path.rename(path.with_suffix(CLOSED))
        return 1


def closed(folder: Path) -> list[Closed]:
    """List the segments of a spool's folder that wait to be handed over, oldest first."""
    return _named(folder, CLOSED)


def set_aside(one: Closed) -> None:
    """Keep a segment that the server refuses, so that it holds up no other."""
    one.path.rename(one.path.with_suffix(_REFUSED))


def refused(folder: Path) -> list[Closed]:
    """List the segments of a spool's folder that were set aside, oldest first."""
    return _named(folder, _REFUSED)


def offer_again(folder: Path) -> int:
    """Let segments that were set aside be handed over once more: their cause may be gone.

    Parameters
    ----------
    folder
        The spool's folder.

    Returns
    -------
    int
        How many there are.
    """
    found = refused(folder)
    for one in found:
        with contextlib.suppress(FileNotFoundError):  # another process of this spool was faster
            one.path.rename(one.path.with_suffix(CLOSED))
    return len(found)


def _named(folder: Path, suffix: str) -> list[Closed]:
    found = sorted(folder.glob(f"*/*{suffix}"), key=_by_id)
    return [Closed(one.parent.name, one.stem, one) for one in found]


def _by_id(path: Path) -> str:
    return path.stem

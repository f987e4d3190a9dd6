"""File locks between the runs of one machine, and the cache's own secret; used by `cache`."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

_FIRST_WAIT_S: Final = 0.002
_LONGEST_WAIT_S: Final = 0.02
_TRY_RANGE: Final[int | None] = getattr(fcntl, "F_OFD_SETLK", None)


@contextlib.contextmanager
def locked(path: pathlib.Path, give_up: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a file's lock; it goes away with the process that holds it.

    Parameters
    ----------
    path
        Made when missing, removed afterwards.
    give_up
        Called while waiting; raises to stop.
    """
    wait_s = _FIRST_WAIT_S
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            if give_up is not None:
                give_up()
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            continue
        if _is_same(handle, path):
            break
        os.close(handle)  # the one before us removed the file between our open and our lock
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


class Ranges:
    """Locks by name on the bytes of one file; nothing is made or removed for a lock.

    Parameters
    ----------
    path
        Of the file, made when missing. Where the system has no locks that belong to an open
        file, a file per name beside it serves.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._local = threading.local()

    @contextlib.contextmanager
    def alone(self, name: str, give_up: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold a name; see `locked`.

        Parameters
        ----------
        name
            Hexadecimal digits.
        give_up
            Called while waiting; raises to stop.
        """
        if _TRY_RANGE is None:
            with locked(self._path.with_name(f"lock-{name[:32]}"), give_up):
                yield
            return
        handle: int | None = getattr(self._local, "handle", None)
        if handle is None:
            # One for each thread: such a lock belongs to the open file, not to the process.
            handle = self._local.handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        place = int(name[:15], 16)
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                fcntl.fcntl(handle, _TRY_RANGE, _range(fcntl.F_WRLCK, place))
                break
            except (BlockingIOError, PermissionError):
                if give_up is not None:
                    give_up()
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        try:
            yield
        finally:
            fcntl.fcntl(handle, _TRY_RANGE, _range(fcntl.F_UNLCK, place))

    def close(self) -> None:
        """Close this thread's file."""
        handle = getattr(self._local, "handle", None)
        if handle is not None:
            os.close(handle)
            self._local.handle = None


def secret(path: pathlib.Path) -> bytes:
    """Return the 32 secret bytes in a file, made on first use with mode 0600.

    Parameters
    ----------
    path
        Of the file.

    Returns
    -------
    bytes
        32 of them.
    """
    with contextlib.suppress(FileNotFoundError):
        found = path.read_bytes()
        if len(found) == 32:  # noqa: PLR2004 - the length BLAKE3 takes as a key
            return found
    with locked(path.with_suffix(".lock")):
        if path.exists() and path.stat().st_size == 32:  # noqa: PLR2004 - as above
            return path.read_bytes()
        draft = path.with_suffix(".draft")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(32))
        draft.replace(path)
        return path.read_bytes()


def _is_same(handle: int, path: pathlib.Path) -> bool:
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _range(kind: int, place: int) -> bytes:
    # struct flock of 64-bit Linux: type, whence, start, length, and a process id of 0.
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, place, 1, 0)

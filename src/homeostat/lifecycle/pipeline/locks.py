"""File locks between the runs of one machine, and the cache's own secret; used by `cache`."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Final

_FIRST_WAIT_S: Final = 0.002
_LONGEST_WAIT_S: Final = 0.02


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

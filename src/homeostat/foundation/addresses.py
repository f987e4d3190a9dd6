"""Where the servers of a home listen; they write it down, commands and the SDK read it.

One file a process, locked by it for as long as it lives: what a killed process left behind is
not locked and not believed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from homeostat.foundation import settings

Name = Literal["server", "predictions"]
FOLDER = "addresses"


@contextlib.contextmanager
def kept(home: Path, name: Name, url: str) -> Iterator[None]:
    """Write down where this process listens, until the block ends.

    Parameters
    ----------
    home
        Folder of the installation; made when it is not there.
    name
        What listens.
    url
        By which this machine reaches it.
    """
    folder = home / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.glob(f"{name}.*"):
        if not _read(left):
            left.unlink(missing_ok=True)
    path = folder / f"{name}.{os.getpid()}"
    new = folder / f"new.{os.getpid()}.{name}"
    with new.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(url)
        file.flush()
        new.rename(path)  # nobody sees it before it is whole and locked
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def find(home: Path, name: Name) -> str:
    """Return where a process of this home listens.

    Parameters
    ----------
    home
        Folder of the installation.
    name
        What listens.

    Returns
    -------
    str
        Its address, of the youngest where there are several; empty when none runs.
    """
    found: list[tuple[float, str]] = []
    for path in (home / FOLDER).glob(f"{name}.*"):
        with contextlib.suppress(OSError):
            found.append((path.stat().st_mtime, _read(path)))
    return next((url for _, url in sorted(found, reverse=True) if url), "")


def server(told: settings.Settings) -> str:
    """Return the address of the server: as set, else as the home says, else the usual one.

    Parameters
    ----------
    told
        The settings.
    """
    if told.url:
        return told.url
    found = "" if {"host", "port"} & told.chosen else find(told.home, "server")
    return found or f"http://{settings.in_url(told.near_host)}:{told.port}"


def predictions(told: settings.Settings) -> str:
    """Return the address of the prediction server: as set, as the home says, or the usual one.

    Parameters
    ----------
    told
        The settings.
    """
    if told.predict_url:
        return told.predict_url
    found = "" if "predict_port" in told.chosen else find(told.home, "predictions")
    return found or f"http://{settings.in_url(told.predict_host)}:{told.predict_port}"


def _read(path: Path) -> str:
    """Return what a file says; nothing when the process that wrote it is gone."""
    try:
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read()
    except OSError:
        return ""
    return ""

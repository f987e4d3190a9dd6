"""The log as the prediction process writes it: one append-only file per open segment.

Called by `serving.engine` before it answers and by the door that hands closed segments to the
server. A frame is in the page cache before its prediction is answered, so killing the process
loses nothing; a background thread calls `fdatasync`, so losing power loses at most its period.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from homeostat.foundation import clock, errors, ids, log
from homeostat.lifecycle.predictions import frames, spooled

Durability = Literal["none", "process", "ack"]

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_log = log.get(__name__)


class Limits(NamedTuple):
    """When a segment is closed, and how often bytes are forced to the disk.

    Under load a segment is a second of answers or 10,000 of them: opening, syncing, handing
    over and numbering one costs the same however many rows are in it. Where many deployments
    are answered for, segments live longer, so that no more than `closed_per_s` are closed on
    average. Each holds a file descriptor; beyond `max_open` the oldest one is closed.
    """

    max_rows: int = 10_000
    max_age_s: float = 1.0
    max_bytes: int = 8_000_000
    sync_every_s: float = 0.1
    max_open: int = 4096
    closed_per_s: int = 20


class _Open:
    """The file being appended to; its lock tells other processes that its writer lives."""

    def __init__(self, folder: Path, deployment: str, *, segment: str) -> None:
        self.segment = segment
        self.path = folder / f"{self.segment}.open"
        flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY
        self.fd = os.open(self.path, flags, 0o600)
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        self.size = 0
        self.n_rows = 0
        self.n_appends = 0
        self.since = time.monotonic()
        self.layout: frames.Layout | None = None
        self.dirty = False
        self._is_placed = False
        self._is_doubtful = False
        try:
            self.append(
                frames.encode(frames.Opened(self.segment, deployment, clock.now_ms())), n_rows=0
            )
        except OSError:
            self.discard()
            raise

    def append(self, data: bytes, *, n_rows: int) -> None:
        """Write all of `data` or nothing; a torn frame would hide the later ones."""
        try:
            written = os.write(self.fd, data)
            while written < len(data):
                written += os.write(self.fd, memoryview(data)[written:])
        except OSError:
            os.ftruncate(self.fd, self.size)
            raise
        self.size += len(data)
        self.n_rows += n_rows
        self.n_appends += 1
        self.dirty = True

    def sync(self) -> None:
        """Force bytes, and once the folders that name the file, out; dirty until it worked."""
        self.dirty = False  # before: what is appended meanwhile is dirty again
        try:
            if self._is_doubtful:
                self._write_again()
            os.fdatasync(self.fd)
            self._is_doubtful = False
            if not self._is_placed:
                _sync_folder(self.path.parent)
                _sync_folder(self.path.parent.parent)
                self._is_placed = True
        except OSError:
            self.dirty = self._is_doubtful = True
            raise

    def _write_again(self) -> None:
        """Make all pages dirty again: those of a failed sync count as clean, though lost."""
        size = self.size
        with self.path.open("r+b") as file:
            data = file.read(size)
            if frames.whole(data) < size:
                raise OSError(errno.EIO, "what could not be written is lost")
            file.seek(0)
            file.write(data)

    def close(self) -> None:
        """Force the bytes out, then give the file the name that says it is whole."""
        if self.n_appends == 1:  # nothing but its opening
            self.discard()
            return
        if self.dirty or not self._is_placed:
            self.sync()
        self.path.rename(self.path.with_suffix(spooled.CLOSED))
        os.close(self.fd)

    def discard(self) -> None:
        os.close(self.fd)
        self.path.unlink(missing_ok=True)


class Spool:
    """The logs of all deployments that this process answers for.

    Parameters
    ----------
    folder
        Where segments live; one folder per deployment is made in it. May be shared with other
        prediction processes.
    durability
        ``process``: in the page cache before the answer. ``ack``: on the disk before it.
        ``none``: tried, but a full disk does not stop answers.
    limits
        When segments are closed.
    on_closed
        Called, from the background thread, whenever a segment was closed.
    on_batch
        Called with deployment, batch and layout when one was written; None for nobody.

    Notes
    -----
    `write` is called by the event loop; closing and syncing happen in the spool's own thread,
    so that the loop never waits for the disk.
    """

    def __init__(
        self,
        folder: Path,
        *,
        durability: Durability = "process",
        limits: Limits = Limits(),  # noqa: B008 - immutable
        on_closed: Callable[[], None] = lambda: None,
        on_batch: Callable[[str, frames.Batch, frames.Layout], None] | None = None,
    ) -> None:
        self.on_batch = on_batch
        self.durability: Durability = durability
        self.lost_rows = 0
        self._folder = folder
        self._limits = limits
        self._max_rows, self._max_bytes = limits.max_rows, limits.max_bytes
        self._on_closed = on_closed
        self._lock = threading.Lock()
        self._disk = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._closing: list[_Open] = []
        self._last_id = "0"
        self._stop = threading.Event()
        self._wake = threading.Event()
        _allow_files(limits.max_open)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        spooled.recover(folder)
        self._thread = threading.Thread(target=self._keep, name="homeostat-spool", daemon=True)
        self._thread.start()

    def write(
        self, deployment: str, *said: frames.Frame, layout: frames.Layout | None = None
    ) -> None:
        """Append frames; when this returns, the death of the process does not lose them.

        Parameters
        ----------
        deployment
            Whose log.
        said
            What to append, all of it or nothing.
        layout
            The columns of batches; written once per segment and change.

        Raises
        ------
        UnavailableError
            When the disk is full or failing, unless durability is ``none``: then the rows are
            counted in `lost_rows`.
        """
        n_rows = sum([frames.n_rows(frame) for frame in said])
        # Before the lock: the thread that closes needs it too.
        data = b"".join([frames.encode(frame) for frame in said])
        try:
            with self._lock:
                segment = self._open.get(deployment) or self._begin(deployment)
                known = segment.layout
                # Asked by identity first: a plan gives the same layout with each batch.
                if layout is not None and layout is not known and layout != known:
                    data = frames.encode(layout) + data
                segment.append(data, n_rows=n_rows)
                if layout is not None:
                    segment.layout = layout
                if segment.n_rows >= self._max_rows or segment.size >= self._max_bytes:
                    self._retire(deployment)
        except OSError as error:
            if self.durability == "none":
                self.lost_rows += n_rows
                return
            raise _refused(self._folder, error) from error
        if self.on_batch is not None and layout is not None:
            for frame in said:
                if isinstance(frame, frames.Batch):
                    self.on_batch(deployment, frame, layout)

    def sync(self) -> None:
        """Force everything written so far to the disk; for durability ``ack``, in a thread.

        Raises
        ------
        UnavailableError
            When the disk refuses.
        """
        with self._disk:
            with self._lock:
                dirty = [one for one in (*self._open.values(), *self._closing) if one.dirty]
            failed: list[OSError] = []
            for one in dirty:  # one that fails must not keep the others from the disk
                try:
                    one.sync()
                except OSError as error:
                    failed.append(error)
        if failed:
            raise _refused(self._folder, failed[0]) from failed[0]

    def closed(self) -> list[spooled.Closed]:
        """List the segments waiting to be handed over, oldest first.

        Returns
        -------
        list of spooled.Closed
            Of every process that shares the folder.
        """
        return spooled.closed(self._folder)

    def refused(self) -> list[spooled.Closed]:
        """List the segments that the server refused, oldest first, for a person to see."""
        return spooled.refused(self._folder)

    def waiting_rows(self) -> int:
        """Return the rows in open segments; for metrics."""
        with self._lock:
            return sum(one.n_rows for one in (*self._open.values(), *self._closing))

    def close_segments(self) -> None:
        """Close every open segment now, so that it can be handed over."""
        with self._lock:
            for deployment in list(self._open):
                self._retire(deployment)
        self._finish()

    def close(self) -> None:
        """Stop the thread and close every segment; nothing may be written afterwards."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
        self.close_segments()

    def _begin(self, deployment: str) -> _Open:
        if not _NAME.fullmatch(deployment):
            raise errors.InvalidInputError(f"no deployment can be named {deployment!r}")
        if len(self._open) >= self._limits.max_open:
            self._retire(next(iter(self._open)))  # the oldest: opened segments are in order
        folder = self._folder / deployment
        folder.mkdir(exist_ok=True, mode=0o700)
        # Two ids of one millisecond are not ordered, and rows are numbered in this order.
        self._last_id = max(ids.new_id(), f"{int(self._last_id, 16) + 1:032x}")
        segment = _Open(folder, deployment, segment=self._last_id)
        self._open[deployment] = segment
        return segment

    def _retire(self, deployment: str) -> None:
        self._closing.append(self._open.pop(deployment))
        self._wake.set()

    def _keep(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self._limits.sync_every_s)
            self._wake.clear()
            try:
                self._close_aged()
                self._finish()
                if self.durability != "none":
                    self.sync()
            except Exception as error:  # noqa: BLE001 - the outermost loop of this thread
                is_known = isinstance(error, OSError | errors.UnavailableError)
                tell = _log.error if is_known else _log.exception
                tell("spool-disk", folder=str(self._folder), reason=str(error))
                self._stop.wait(1.0)

    def _close_aged(self) -> None:
        with self._lock:
            age_s = max(self._limits.max_age_s, len(self._open) / self._limits.closed_per_s)
            limit = time.monotonic() - age_s
            for deployment, segment in list(self._open.items()):
                if segment.since <= limit and segment.size > 0:
                    self._retire(deployment)

    def _finish(self) -> None:
        """Close what was retired; a segment leaves the list only when it is safe on disk."""
        closed = False
        failed: list[OSError] = []
        with self._disk:
            with self._lock:
                todo = list(self._closing)
            for segment in todo:
                try:
                    segment.close()
                except OSError as error:
                    failed.append(error)
                    continue
                with self._lock:
                    self._closing.remove(segment)
                closed = True
        if closed:
            self._on_closed()
        if failed:
            raise failed[0]


def _allow_files(n_open: int) -> None:
    """Let this process open so many files, and as many again, as far as its system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * n_open if hard == resource.RLIM_INFINITY else min(2 * n_open, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _refused(folder: Path, error: OSError) -> errors.UnavailableError:
    what = "is full" if error.errno in _FULL else f"refuses writes ({error.strerror})"
    return errors.UnavailableError(
        f"the disk under {folder} {what}, so this cannot be logged and is not answered",
        hint="free space there; predictions resume by themselves",
        retry_after_s=5,
    )

"""Sealed objects as files of a local folder; the store opens one.

A file is written whole under another name and renamed, and reaches the disk before it is told
of, so that neither a crash nor a loss of power leaves half an object.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from homeostat.foundation.blobs import place
from homeostat.foundation.errors import CorruptError

INCOMING: Final = "incoming"
_OLD_S: Final = 24 * 3600.0
_READ_BYTES: Final = 1024 * 1024
_EARLY_BYTES: Final = 8 * 1024 * 1024


class FolderDraft:
    """A file on its way into the folder; see `place.Draft`."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._n_written = self._n_early = 0
        self._path = folder.path / INCOMING / secrets.token_hex(16)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            self._descriptor = os.open(self._path, flags, 0o600)
        except FileNotFoundError:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, flags, 0o600)

    def write(self, data: bytes | memoryview) -> None:
        """Append stored bytes."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._n_written += len(data)
        if self._n_written - self._n_early >= _EARLY_BYTES:
            self._begin_writing_back()

    def publish(self, name: str, *, head: bytes) -> None:
        """Give the object its head and its name."""
        if head:
            os.pwrite(self._descriptor, head, 0)
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        self._folder.take_in(self._path, name)

    def _begin_writing_back(self) -> None:
        """Let the disk begin, so that little is left for the end to wait for."""
        if hasattr(os, "posix_fadvise"):
            n_bytes = self._n_written - self._n_early
            hint = os.POSIX_FADV_DONTNEED
            os.posix_fadvise(self._descriptor, self._n_early, n_bytes, hint)
        self._n_early = self._n_written

    def drop(self) -> None:
        """Remove what was not published."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._path.unlink(missing_ok=True)


class Folder:
    """Objects in a folder.

    Parameters
    ----------
    path
        An existing folder. What was being written there a day ago and was never published, by
        a process that died, is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._durable: set[Path] = set()
        oldest = time.time() - _OLD_S  # noqa: TID251 - compared with the times of files
        for left in (path / INCOMING).glob("*"):
            with contextlib.suppress(OSError):  # another process cleans up as well
                if left.stat().st_mtime < oldest:
                    left.unlink()

    def draft(self) -> FolderDraft:
        """Begin an object."""
        return FolderDraft(self)

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a whole object."""
        draft = self.draft()
        try:
            for piece in pieces:
                draft.write(piece)
            draft.publish(name, head=b"")
        except BaseException:
            draft.drop()
            raise

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[place.Source]:
        """Open an object for reading."""
        try:
            descriptor = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise CorruptError(
                f"{self.path / name} is a symbolic link; a sealed object is a file",
                hint="restore the object from a backup of the blob store",
            ) from None
        try:
            yield _File(descriptor)
        finally:
            os.close(descriptor)

    def exists(self, name: str) -> bool:
        """Say whether there is such an object."""
        return (self.path / name).is_file()

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens when it is not there."""
        (self.path / name).unlink(missing_ok=True)

    def take_in(self, written: Path, name: str) -> None:
        """Give a written file its name, and let the names that lead to it survive too."""
        path = self.path / name
        try:
            written.replace(path)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            written.replace(path)
        self._reach_disk(path)

    def _reach_disk(self, path: Path) -> None:
        steps = [path.parent]
        if path.parent not in self._durable:
            steps += [path.parent.parent, self.path]
        for step in steps:
            descriptor = os.open(step, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._durable.add(path.parent)


class _File:
    """An open object; see `place.Source`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size_bytes = os.fstat(descriptor).st_size

    def head(self, n_bytes: int) -> bytes:
        return os.pread(self._descriptor, n_bytes, 0)

    def pieces(self, start: int, end: int, *, step: int) -> Iterator[bytes]:
        size = min(step, _READ_BYTES)
        while start < end:
            piece = os.pread(self._descriptor, min(size, end - start), start)
            if not piece:
                return
            yield piece
            start += len(piece)

"""What a place for sealed objects can do: a folder and a bucket; the store asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol


class Draft(Protocol):
    """An object that is being written; nobody sees it before it is published."""

    def write(self, data: bytes | memoryview) -> None:
        """Append stored bytes; they are copied or on disk when this returns."""

    def publish(self, name: str, *, head: bytes) -> None:
        """Give the object its name; it has reached the disk when this returns.

        Parameters
        ----------
        name
            Of the object; one that is there already is replaced.
        head
            Written over as many bytes at the object's beginning.
        """

    def drop(self) -> None:
        """Remove what was not published; nothing happens when it was, or was dropped."""


class Source(Protocol):
    """An object that is being read."""

    @property
    def size_bytes(self) -> int:
        """Length of the stored object."""

    def head(self, n_bytes: int) -> bytes:
        """Return its first bytes, fewer where there are no more."""

    def pieces(self, start: int, end: int, *, step: int) -> Iterator[bytes]:
        """Yield a range of it in order, in pieces of `step` bytes where that costs nothing."""


class Place(Protocol):
    """Where sealed objects live.

    Errors are those of the operating system or of obstore; the store translates them.
    """

    def draft(self) -> Draft:
        """Begin an object whose name is not known yet."""

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a whole object; nothing of it stays when that fails."""

    def open(self, name: str) -> AbstractContextManager[Source]:
        """Open an object for reading; `FileNotFoundError` when there is none."""

    def exists(self, name: str) -> bool:
        """Say whether there is such an object."""

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens when it is not there."""

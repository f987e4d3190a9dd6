"""Content that is stored while it arrives, in bounded memory; the store opens one.

Used for uploads. A few MB are kept in memory and written at once; more is sealed into a draft
as it comes, so that nothing open and nothing twice reaches the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol, Self

import blake3

from homeostat.foundation.blobs import place, seal
from homeostat.foundation.blobs.entities import Blob, DataKey

MEMORY_BYTES: Final = 4 * 1024 * 1024


class Shelf(Protocol):
    """The part of the store that an intake needs."""

    def draft(self) -> place.Draft:
        """Begin an object whose content is not known yet."""

    def put(self, key: DataKey, data: bytes) -> Blob:
        """Store bytes."""

    def publish(self, key: DataKey, draft: place.Draft, *, digest: str, head: bytes) -> None:
        """Give a draft the name of its content."""


class Intake:
    """One content on its way in; `add` what arrives, then `finish`.

    Its methods block on disk and cipher; call them on a thread. Leaving it as a context, or
    `abandon`, removes what was not finished.

    Parameters
    ----------
    shelf
        Where it goes.
    key
        Returns the owner's key; called once, on the thread of the first `add` or of `finish`.
    """

    def __init__(self, shelf: Shelf, key: Callable[[], DataKey]) -> None:
        self._shelf = shelf
        self._ask_key = key
        self._key: DataKey | None = None
        self._hasher = blake3.blake3()
        self._waiting: list[bytes] = []
        self._size_bytes = 0
        self._draft: place.Draft | None = None
        self._stream: seal.Stream | None = None
        self._is_over = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()

    def add(self, pieces: list[bytes]) -> None:
        """Take content, in order.

        Parameters
        ----------
        pieces
            Of any length and number.

        Raises
        ------
        UnavailableError
            When the place cannot be written: a full disk.
        """
        with self._lock:
            if not self._is_over:
                self._take(pieces)

    def finish(self) -> Blob:
        """Store what was added and return its digest and size.

        Returns
        -------
        Blob
            Readable by anyone once returned.

        Raises
        ------
        UnavailableError
            When the place cannot be written.
        """
        with self._lock:
            key = self._known_key()
            if self._stream is None or self._draft is None:
                self._is_over = True
                return self._shelf.put(key, b"".join(self._waiting))
            digest = self._hasher.hexdigest()
            head = self._stream.finish(digest, self._size_bytes, self._draft.write)
            self._shelf.publish(key, self._draft, digest=digest, head=head)
            self._is_over = True
            return Blob(digest=digest, size_bytes=self._size_bytes)

    def abandon(self) -> None:
        """Remove what was not finished; nothing happens afterwards, or when it was."""
        with self._lock:
            if self._draft is not None and not self._is_over:
                self._draft.drop()
            self._is_over = True
            self._waiting.clear()

    def _take(self, pieces: list[bytes]) -> None:
        self._size_bytes += sum(map(len, pieces))
        if self._stream is None:
            self._waiting += pieces
            if self._size_bytes <= MEMORY_BYTES:
                return
            pieces, self._waiting = self._waiting, []
            self._stream = seal.Stream(self._known_key())
            self._draft = self._shelf.draft()
            self._draft.write(bytes(seal.HEAD_BYTES))
        assert self._draft is not None
        # Few long calls: each lets go of the interpreter, and taking it back may take longer.
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._hasher.update(content)
        self._stream.add(content, self._draft.write)

    def _known_key(self) -> DataKey:
        if self._key is None:
            self._key = self._ask_key()
        return self._key

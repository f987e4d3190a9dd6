"""Sealed objects in an S3-compatible bucket, through obstore; the store opens one."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from homeostat.foundation.blobs import place

_FIRST_BYTES: Final = 1024 * 1024
_PIECE_BYTES: Final = 4 * 1024 * 1024
_LIBRARY: Final = "obstore"


def opened(bucket: str, prefix: str | None, **options: Any) -> Any:
    """Return the objects of a bucket, of obstore.

    Parameters
    ----------
    bucket, prefix
        Where they are.
    **options
        Of `obstore.store.S3Store`.

    Returns
    -------
    obstore.store.S3Store
        Not asked yet.
    """
    from obstore.store import S3Store  # noqa: PLC0415 - 4 MB that a folder saves

    return S3Store(bucket, prefix=prefix, **options)


def is_of_bucket(error: BaseException) -> bool:
    """Say whether an error is one of obstore's."""
    return type(error).__module__.partition(".")[0] == _LIBRARY


def is_generic(error: BaseException) -> bool:
    """Say whether an error is the one obstore has for whatever it knows no better."""
    return is_of_bucket(error) and type(error).__name__ == "GenericError"


class BucketDraft:
    """A sealed file beside the server, uploaded when it is whole; see `place.Draft`.

    The file has no name, so it is gone with the process that wrote it.
    """

    def __init__(self, objects: Any, spool: Path | None) -> None:
        if spool is not None:
            spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._objects = objects
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=spool, buffering=0)  # noqa: SIM115

    def write(self, data: bytes | memoryview) -> None:
        """Append stored bytes."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def publish(self, name: str, *, head: bytes) -> None:
        """Upload the object in parts."""
        self._file.seek(0)
        self._file.write(head)
        self._file.seek(0)
        self._objects.put(name, iter(lambda: self._file.read(_PIECE_BYTES), b""))
        self._file.close()

    def drop(self) -> None:
        """Remove the file."""
        self._file.close()


class Bucket:
    """Objects in a bucket.

    Parameters
    ----------
    objects
        Of obstore.
    spool
        Local folder for what is on its way; the system's folder for such when None.
    """

    def __init__(self, objects: Any, *, spool: Path | None = None) -> None:
        self._objects = objects
        self._spool = spool

    def draft(self) -> BucketDraft:
        """Begin an object."""
        return BucketDraft(self._objects, self._spool)

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Upload a whole object."""
        self._objects.put(name, iter(pieces))

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[place.Source]:
        """Open an object for reading; its beginning is read with that."""
        yield _Object(self._objects, name)

    def exists(self, name: str) -> bool:
        """Say whether there is such an object."""
        try:
            self._objects.head(name)
        except FileNotFoundError:
            return False
        return True

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens when it is not there."""
        with contextlib.suppress(FileNotFoundError):
            self._objects.delete(name)


class _Object:
    """An object of a bucket; see `place.Source`."""

    def __init__(self, objects: Any, name: str) -> None:
        self._objects = objects
        self._name = name
        self.size_bytes: int = 0
        self._first = b""
        try:
            found = objects.get(name, options={"range": (0, _FIRST_BYTES)})
        except Exception as error:
            # S3 has no range of an empty object to give; such a one was cut.
            if not is_generic(error) or objects.head(name)["size"] > 0:
                raise
            return
        self.size_bytes = found.meta["size"]
        self._first = bytes(found.bytes())

    def head(self, n_bytes: int) -> bytes:
        return self._first[:n_bytes]

    def pieces(self, start: int, end: int, *, step: int) -> Iterator[bytes]:
        del step  # what the network gives is cut by the caller
        known = self._first[start:end]
        if known:
            yield known
            start += len(known)
        if start < end:
            asked = self._objects.get(self._name, options={"range": (start, end)})
            for piece in asked.stream(_PIECE_BYTES):
                yield bytes(piece)

"""The blob store: sealed objects in a local folder or an S3-compatible bucket.

The house opens one; subjects put and get through the house, which knows the owner's key.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import blake3

from homeostat.foundation.blobs import bucket as buckets
from homeostat.foundation.blobs import folder as folders
from homeostat.foundation.blobs import intake, seal
from homeostat.foundation.blobs import place as places
from homeostat.foundation.blobs.entities import Blob, DataKey, digest_of
from homeostat.foundation.errors import InvalidInputError, NotFoundError, UnavailableError

_DIGEST_DIGITS = 64


class Store:
    """Content under its owner's key, stored once per owner.

    Parameters
    ----------
    objects
        Where sealed objects live.
    place
        The same for people: a folder or ``s3://bucket/prefix``.
    """

    def __init__(self, objects: places.Place, *, place: str) -> None:
        self._objects = objects
        self.place = place

    def put(self, key: DataKey, data: bytes) -> Blob:
        """Store bytes; equal bytes of one owner are stored once.

        Parameters
        ----------
        key
            The owner's key.
        data
            Any length, empty included.

        Returns
        -------
        Blob
            Their digest and length; readable by anyone once returned.

        Raises
        ------
        UnavailableError
            When the place cannot be written: a full disk, a bucket that does not answer.
        """
        digest = digest_of(data)
        self._write(key, digest, [data])
        return Blob(digest=digest, size_bytes=len(data))

    def put_file(self, key: DataKey, path: Path) -> Blob:
        """Store a file, in memory bounded by a few frames however large it is.

        Parameters
        ----------
        key
            The owner's key.
        path
            An existing file; must not change meanwhile.

        Returns
        -------
        Blob
            Its digest and length.

        Raises
        ------
        NotFoundError
            When there is no such file.
        UnavailableError
            When the place cannot be written.
        """
        if not path.is_file():
            raise NotFoundError(f"there is no file {path}", path=str(path))
        hasher = blake3.blake3()
        size_bytes = 0
        for piece in _pieces(path):
            hasher.update(piece)
            size_bytes += len(piece)
        digest = hasher.hexdigest()
        self._write(key, digest, _pieces(path))
        return Blob(digest=digest, size_bytes=size_bytes)

    def receive(self, key: Callable[[], DataKey]) -> intake.Intake:
        """Begin to store content of which nothing is known yet.

        Parameters
        ----------
        key
            Returns the owner's key; called on the thread that adds or finishes.

        Returns
        -------
        Intake
            Nothing has been written yet.
        """
        return intake.Intake(self, key)

    def get(self, key: DataKey, digest: str) -> bytes:
        """Return a whole content.

        Parameters
        ----------
        key
            The owner's key.
        digest
            As `put` gave it.

        Returns
        -------
        bytes
            Exactly what was put.

        Raises
        ------
        NotFoundError
            When this owner has no such blob.
        CorruptError
            When the stored bytes were changed or cut.
        UnavailableError
            When the place cannot be read.
        """
        return b"".join(self.stream(key, digest))

    def stream(
        self, key: DataKey, digest: str, *, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        """Yield a content in pieces of up to 4 MiB, each proved before it is given.

        Parameters
        ----------
        key, digest
            As for `get`.
        start
            First byte, 0 to the content's size.
        end
            The byte behind the last, `start` or more; the content's size when None or beyond.

        Yields
        ------
        bytes
            In order.

        Raises
        ------
        NotFoundError, CorruptError, UnavailableError
            As `get`.
        """
        name = _name(key, digest)
        with _translated(f"blob {digest}", self.place), self._objects.open(name) as source:
            head = source.head(seal.HEAD_BYTES)
            cut = seal.layout(key, digest, head, stored_bytes=source.size_bytes)
            behind = cut.size_bytes if end is None else min(end, cut.size_bytes)
            _, first, last = cut.stored_range(start, behind)
            step = cut.frame_bytes + seal.TAG_BYTES
            yield from seal.unseal(
                cut, source.pieces(first, last, step=step), start=start, end=behind
            )

    def exists(self, key: DataKey, digest: str) -> bool:
        """Say whether this owner has the blob."""
        with _translated(f"blob {digest}", self.place):
            return self._objects.exists(_name(key, digest))

    def delete(self, key: DataKey, digest: str) -> None:
        """Remove a blob of this owner; nothing happens when it is not there."""
        with _translated(f"blob {digest}", self.place):
            self._objects.delete(_name(key, digest))

    def draft(self) -> places.Draft:
        """Begin an object whose content is not known yet; for an intake."""
        with _translated("an upload", self.place):
            return _Translating(self._objects.draft(), self.place)

    def publish(self, key: DataKey, draft: places.Draft, *, digest: str, head: bytes) -> None:
        """Give a draft the name of its content, unless that is there already; for an intake.

        Parameters
        ----------
        key
            The owner's key.
        draft
            Written whole.
        digest
            Of its content.
        head
            Its first stored bytes.
        """
        if self.exists(key, digest):
            draft.drop()
        else:
            draft.publish(_name(key, digest), head=head)

    def _write(self, key: DataKey, digest: str, pieces: Iterable[bytes]) -> None:
        if self.exists(key, digest):
            return
        with _translated(f"blob {digest}", self.place):
            self._objects.put(_name(key, digest), seal.seal(key, digest, pieces))


class _Translating:
    """A draft whose failures are told as the store tells them."""

    def __init__(self, draft: places.Draft, place: str) -> None:
        self._draft = draft
        self._place = place

    def write(self, data: bytes | memoryview) -> None:
        with _translated("an upload", self._place):
            self._draft.write(data)

    def publish(self, name: str, *, head: bytes) -> None:
        with _translated("an upload", self._place):
            self._draft.publish(name, head=head)

    def drop(self) -> None:
        with _translated("an upload", self._place):
            self._draft.drop()


def open_store(
    url: str,
    *,
    s3_endpoint: str | None = None,
    s3_region: str | None = None,
    s3_access_key: str | None = None,
    s3_secret_key: str | None = None,
    spool: Path | None = None,
) -> Store:
    """Open the place where blobs live.

    Parameters
    ----------
    url
        A folder (created when missing), or ``s3://bucket`` or ``s3://bucket/prefix``.
    s3_endpoint
        Address of an S3-compatible server; AWS when not given.
    s3_region, s3_access_key, s3_secret_key
        As the bucket needs; what is not given comes from the usual ``AWS_*`` variables.
    spool
        Local folder for what is on its way to a bucket, sealed; made when needed, the system's
        temporary folder when None.

    Returns
    -------
    Store
        Nothing has been written yet, except the folder.

    Raises
    ------
    InvalidInputError
        When the address is neither, or the folder cannot be made.
    """
    if "://" in url and not url.startswith(("s3://", "file://")):
        raise InvalidInputError(
            f"blobs cannot live at {url!r}", hint="give a folder or s3://bucket/prefix"
        )
    if not url.startswith("s3://"):
        return _open_folder(Path(url.removeprefix("file://")))
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not bucket:
        raise InvalidInputError(f"{url!r} names no bucket", hint="give s3://bucket/prefix")
    chosen: dict[str, Any] = {
        "region": s3_region or os.environ.get("AWS_REGION") or "us-east-1"
    }
    if s3_endpoint:
        chosen["endpoint"] = s3_endpoint
    if s3_access_key and s3_secret_key:
        chosen["access_key_id"] = s3_access_key
        chosen["secret_access_key"] = s3_secret_key
    objects = buckets.opened(
        bucket,
        prefix.strip("/") or None,
        **chosen,
        client_options={"allow_http": bool(s3_endpoint and s3_endpoint.startswith("http://"))},
    )
    return Store(buckets.Bucket(objects, spool=spool), place=url.rstrip("/"))


def _open_folder(folder: Path) -> Store:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InvalidInputError(
            f"blobs cannot live in {folder}: {error.strerror}",
            hint="give a folder that can be written",
        ) from None
    return Store(folders.Folder(folder), place=str(folder))


def _name(key: DataKey, digest: str) -> str:
    """Name an object by keyed hashes, so that a listing tells neither owner nor content."""
    if len(digest) != _DIGEST_DIGITS or set(digest) - set("0123456789abcdef"):
        raise NotFoundError(
            f"{digest!r} is not a digest: it needs 64 hexadecimal digits", digest=digest
        )
    naming = key.derive("name")
    owner = blake3.blake3(b"owner", key=naming).hexdigest(length=16)
    content = blake3.blake3(bytes.fromhex(digest), key=naming).hexdigest()
    return f"{owner}/{content[:2]}/{content[2:]}"


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(seal.FRAME_BYTES):
            yield piece


@contextlib.contextmanager
def _translated(what: str, place: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFoundError(f"{what} is not in {place}") from None
    except Exception as error:
        if not isinstance(error, OSError) and not buckets.is_of_bucket(error):
            raise
        first = str(error).partition("\n")[0]
        raise UnavailableError(
            f"the blob store {place} does not answer as it should: {first}",
            hint="see that its disk is not full and that it may be read and written",
        ) from error

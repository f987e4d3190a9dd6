"""Sealing: how plain bytes become stored bytes and back; called by the store only.

A sealed object is a mark followed by frames. Each frame is up to 4 MiB of content under
AES-256-GCM, bound to the content's digest, its place in the object and whether it is the last,
so that a flipped byte, a swapped or a missing frame does not open. The nonce is a keyed hash of
the same three, so equal content seals to equal bytes and a nonce never meets two contents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import blake3
from cryptography import exceptions
from cryptography.hazmat.primitives.ciphers import aead

from homeostat.foundation.blobs.entities import DataKey
from homeostat.foundation.errors import CorruptError

MARK = b"HSB1"
FRAME_BYTES = 4 * 1024 * 1024
_TAG_BYTES = 16
_NONCE_BYTES = 12
_DAMAGED = "restore the object from a backup of the blob store"


def _bindings(key: DataKey, digest: str) -> tuple[aead.AESGCM, bytes, bytes]:
    return aead.AESGCM(key.derive("seal")), key.derive("nonce"), bytes.fromhex(digest)


def seal(key: DataKey, digest: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the stored form of a content, in bounded memory.

    Parameters
    ----------
    key
        The owner's key.
    digest
        BLAKE3 of the whole content, hexadecimal.
    pieces
        The content in order, in pieces of any size.

    Yields
    ------
    bytes
        The mark, then one sealed frame at a time; at least one, empty content included.
    """
    cipher, nonce_key, address = _bindings(key, digest)
    yield MARK
    for index, last, frame in _framed(pieces, FRAME_BYTES):
        bound = _bound(address, index, last=last)
        nonce = blake3.blake3(bound, key=nonce_key).digest(length=_NONCE_BYTES)
        yield cipher.encrypt(nonce, frame, bound)


def open_sealed(key: DataKey, digest: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content of a stored object, each piece proved before it is given.

    Parameters
    ----------
    key
        The owner's key.
    digest
        BLAKE3 of the whole content, hexadecimal.
    pieces
        The stored bytes in order, in pieces of any size.

    Yields
    ------
    bytes
        Content, up to 4 MiB at a time.

    Raises
    ------
    CorruptError
        When the bytes were changed, cut, or sealed under another key.
    """
    cipher, nonce_key, address = _bindings(key, digest)
    for index, last, frame in _framed(_without_mark(pieces, digest), FRAME_BYTES + _TAG_BYTES):
        bound = _bound(address, index, last=last)
        nonce = blake3.blake3(bound, key=nonce_key).digest(length=_NONCE_BYTES)
        try:
            yield cipher.decrypt(nonce, frame, bound)
        except exceptions.InvalidTag:
            raise _damaged(digest, "it was changed, or sealed under another key") from None


def _bound(address: bytes, index: int, *, last: bool) -> bytes:
    return address + index.to_bytes(8, "big") + (b"\x01" if last else b"\x00")


def _without_mark(pieces: Iterable[bytes], digest: str) -> Iterator[bytes]:
    head = b""
    marked = False
    for piece in pieces:
        if marked:
            yield piece
            continue
        head += bytes(piece)
        if len(head) >= len(MARK):
            marked = head.startswith(MARK)
            if not marked:
                break
            yield head[len(MARK) :]
    if not marked:
        raise _damaged(digest, "it does not begin as a sealed object does")


def _framed(pieces: Iterable[bytes], size: int) -> Iterator[tuple[int, bool, bytes]]:
    """Cut a stream into frames of `size` bytes, knowing which one is the last."""
    waiting = bytearray()
    index = 0
    for piece in pieces:
        waiting += piece
        while len(waiting) > size:
            yield index, False, bytes(waiting[:size])
            del waiting[:size]
            index += 1
    yield index, True, bytes(waiting)


def _damaged(digest: str, why: str) -> CorruptError:
    return CorruptError(f"blob {digest} does not open: {why}", hint=_DAMAGED, digest=digest)

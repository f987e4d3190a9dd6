"""Sealing: how plain bytes become stored bytes and back; called by the store and its intake.

A sealed object is a head followed by frames under AES-256-GCM, so that a flipped byte, a
swapped or a missing frame does not open. There are two kinds, told apart by their mark.

``HSB1`` is for content whose digest is known beforehand: frames of 4 MiB, each bound to the
digest, its place in the object and whether it is the last. The nonce is a keyed hash of the
same three, so equal content seals to equal bytes and a nonce never meets two contents.

``HSB2`` is for content that is sealed while it arrives: frames of 256 KiB under a key of the
object's own, made of a random salt; the nonce is the frame's place and whether it is the last.
The head, written at the end, proves which digest and length belong to the salt.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import blake3
from cryptography import exceptions
from cryptography.hazmat.primitives.ciphers import aead

from homeostat.foundation.blobs.entities import DataKey
from homeostat.foundation.errors import CorruptError

MARK: Final = b"HSB1"
STREAM_MARK: Final = b"HSB2"
FRAME_BYTES: Final = 4 * 1024 * 1024
STREAM_FRAME_BYTES: Final = 256 * 1024
TAG_BYTES: Final = 16
SALT_BYTES: Final = 32
PROOF_BYTES: Final = 32
HEAD_BYTES: Final = len(STREAM_MARK) + SALT_BYTES + PROOF_BYTES
"""Of the longer head; that of ``HSB1`` is its mark alone."""
_NONCE_BYTES: Final = 12
_DAMAGED: Final = "restore the object from a backup of the blob store"


class Layout(NamedTuple):
    """How one sealed object is cut.

    Parameters
    ----------
    head_bytes
        Stored bytes before the first frame.
    frame_bytes
        Content in each frame but the last.
    n_frames
        1 or more.
    size_bytes
        Of the content.
    unseal
        Takes a frame's place and its stored bytes; returns its content.
    """

    head_bytes: int
    frame_bytes: int
    n_frames: int
    size_bytes: int
    unseal: Callable[[int, bytes], bytes]

    def stored_range(self, start: int, end: int) -> tuple[int, int, int]:
        """Return the first frame and the stored bytes that hold a range of the content.

        Parameters
        ----------
        start, end
            Of the content, 0 to its size; `end` is the byte behind the last.

        Returns
        -------
        tuple of int, int, int
            Number of the first frame; first stored byte; the one behind the last frame.
        """
        first = min(start // self.frame_bytes, self.n_frames - 1)
        behind = max(first + 1, -(-end // self.frame_bytes))
        step = self.frame_bytes + TAG_BYTES
        stop = self.head_bytes + behind * step
        if behind >= self.n_frames:
            stop = self.head_bytes + self.size_bytes + self.n_frames * TAG_BYTES
        return first, self.head_bytes + first * step, stop


def seal(key: DataKey, digest: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the stored form of a content whose digest is known, in bounded memory.

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


class Stream:
    """Seals content of which the digest is known at the end only.

    Parameters
    ----------
    key
        The owner's key.
    """

    def __init__(self, key: DataKey) -> None:
        self._key = key
        self._salt = secrets.token_bytes(SALT_BYTES)
        self._cipher = _stream_cipher(key, self._salt)
        self._frame = bytearray(STREAM_FRAME_BYTES)
        self._sealed = bytearray(STREAM_FRAME_BYTES + TAG_BYTES)
        self._n_waiting = 0
        self._index = 0

    def add(self, piece: bytes, write: Callable[[memoryview], None]) -> None:
        """Take some content and write the frames that are full by it.

        Parameters
        ----------
        piece
            Of any length.
        write
            Is given stored bytes, valid during the call only.
        """
        given = memoryview(piece)
        while given:
            # A full frame waits until more content has come: only then it is not the last.
            if self._n_waiting == STREAM_FRAME_BYTES:
                self._write(self._frame, write, last=False)
                self._n_waiting = 0
            if self._n_waiting == 0 and len(given) > STREAM_FRAME_BYTES:
                self._write(given[:STREAM_FRAME_BYTES], write, last=False)
                given = given[STREAM_FRAME_BYTES:]
                continue
            n = min(len(given), STREAM_FRAME_BYTES - self._n_waiting)
            self._frame[self._n_waiting : self._n_waiting + n] = given[:n]
            self._n_waiting += n
            given = given[n:]

    def finish(
        self, digest: str, size_bytes: int, write: Callable[[memoryview], None]
    ) -> bytes:
        """Write the last frame and return the head that stands before the first.

        Parameters
        ----------
        digest, size_bytes
            Of the whole content.
        write
            As for `add`.

        Returns
        -------
        bytes
            `HEAD_BYTES` long.
        """
        self._write(memoryview(self._frame)[: self._n_waiting], write, last=True)
        proof = _proof(self._key, self._salt, digest, size_bytes=size_bytes)
        return STREAM_MARK + self._salt + proof

    def _write(
        self,
        frame: memoryview | bytearray,
        write: Callable[[memoryview], None],
        *,
        last: bool,
    ) -> None:
        into = memoryview(self._sealed)[: len(frame) + TAG_BYTES]
        nonce = _stream_nonce(self._index, last=last)
        self._cipher.encrypt_into(nonce, frame, None, into)
        write(into)
        self._index += 1


def layout(key: DataKey, digest: str, head: bytes, *, stored_bytes: int) -> Layout:
    """Read the head of a stored object.

    Parameters
    ----------
    key
        The owner's key.
    digest
        BLAKE3 of the whole content, hexadecimal.
    head
        The first `HEAD_BYTES` stored bytes, or fewer where there are no more.
    stored_bytes
        Length of the stored object.

    Returns
    -------
    Layout
        Proved to belong to the digest when frames open; that of ``HSB2`` is proved already.

    Raises
    ------
    CorruptError
        When it does not begin as a sealed object does, or was cut.
    """
    is_stream = head.startswith(STREAM_MARK)
    if not is_stream and not head.startswith(MARK):
        raise damaged(digest, "it does not begin as a sealed object does")
    head_bytes = HEAD_BYTES if is_stream else len(MARK)
    frame_bytes = STREAM_FRAME_BYTES if is_stream else FRAME_BYTES
    n_frames = max(1, -(-(stored_bytes - head_bytes) // (frame_bytes + TAG_BYTES)))
    size_bytes = stored_bytes - head_bytes - n_frames * TAG_BYTES
    if size_bytes < 0:
        raise damaged(digest, "it was cut")
    unseal = (
        _unsealing_stream(key, digest, head, n_frames=n_frames, size_bytes=size_bytes)
        if is_stream
        else _unsealing(key, digest, n_frames=n_frames)
    )
    return Layout(head_bytes, frame_bytes, n_frames, size_bytes, unseal)


def unseal(
    cut: Layout, pieces: Iterable[bytes], *, start: int = 0, end: int | None = None
) -> Iterator[bytes]:
    """Yield a range of a content, each piece proved before it is given.

    Parameters
    ----------
    cut
        Of the object.
    pieces
        The stored bytes of `cut.stored_range(start, end)` in order, in pieces of any size.
    start, end
        Of the content; all of it unless given.

    Yields
    ------
    bytes
        Content, a frame at a time.

    Raises
    ------
    CorruptError
        When the bytes were changed, cut, or sealed under another key.
    """
    stop = cut.size_bytes if end is None else end
    index, _, _ = cut.stored_range(start, stop)
    for frame in _regrouped(pieces, cut.frame_bytes + TAG_BYTES):
        content = cut.unseal(index, frame)
        at = index * cut.frame_bytes
        index += 1
        if at < start or at + len(content) > stop:
            content = content[max(0, start - at) : stop - at]
        yield content


def damaged(digest: str, why: str) -> CorruptError:
    """Return the error that says a blob does not open."""
    return CorruptError(f"blob {digest} does not open: {why}", hint=_DAMAGED, digest=digest)


def _unsealing(key: DataKey, digest: str, *, n_frames: int) -> Callable[[int, bytes], bytes]:
    cipher, nonce_key, address = _bindings(key, digest)

    def unseal(index: int, frame: bytes) -> bytes:
        bound = _bound(address, index, last=index == n_frames - 1)
        nonce = blake3.blake3(bound, key=nonce_key).digest(length=_NONCE_BYTES)
        return _opened(cipher, nonce, frame, bound=bound, digest=digest)

    return unseal


def _unsealing_stream(
    key: DataKey, digest: str, head: bytes, *, n_frames: int, size_bytes: int
) -> Callable[[int, bytes], bytes]:
    salt = head[len(STREAM_MARK) : len(STREAM_MARK) + SALT_BYTES]
    proof = _proof(key, salt, digest, size_bytes=size_bytes)
    if not hmac.compare_digest(proof, head[len(STREAM_MARK) + SALT_BYTES : HEAD_BYTES]):
        raise damaged(digest, "it was changed or cut, or sealed under another key")
    cipher = _stream_cipher(key, salt)

    def unseal(index: int, frame: bytes) -> bytes:
        nonce = _stream_nonce(index, last=index == n_frames - 1)
        return _opened(cipher, nonce, frame, bound=None, digest=digest)

    return unseal


def _opened(
    cipher: aead.AESGCM, nonce: bytes, frame: bytes, *, bound: bytes | None, digest: str
) -> bytes:
    try:
        return cipher.decrypt(nonce, frame, bound)
    except (exceptions.InvalidTag, ValueError):
        raise damaged(digest, "it was changed, or sealed under another key") from None


def _bindings(key: DataKey, digest: str) -> tuple[aead.AESGCM, bytes, bytes]:
    return aead.AESGCM(key.derive("seal")), key.derive("nonce"), bytes.fromhex(digest)


def _bound(address: bytes, index: int, *, last: bool) -> bytes:
    return address + index.to_bytes(8, "big") + (b"\x01" if last else b"\x00")


def _stream_cipher(key: DataKey, salt: bytes) -> aead.AESGCM:
    return aead.AESGCM(blake3.blake3(salt, key=key.derive("stream")).digest())


def _stream_nonce(index: int, *, last: bool) -> bytes:
    return index.to_bytes(8, "big") + (b"\x00\x00\x00\x01" if last else b"\x00\x00\x00\x00")


def _proof(key: DataKey, salt: bytes, digest: str, *, size_bytes: int) -> bytes:
    told = salt + bytes.fromhex(digest) + size_bytes.to_bytes(8, "big")
    return blake3.blake3(told, key=key.derive("proof")).digest(length=PROOF_BYTES)


def _regrouped(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in pieces:
        if not waiting and len(piece) == size:
            yield piece
            continue
        waiting += piece
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)


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

"""The nouns of the blob store: a stored blob, and the key of whoever owns it."""

from __future__ import annotations

import blake3
import msgspec


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that are stored, by the digest of their content.

    Attributes
    ----------
    digest
        BLAKE3 of the content as it was given, 64 hexadecimal digits.
    size_bytes
        Length of the content as it was given.
    """

    digest: str
    size_bytes: int


class DataKey(msgspec.Struct, frozen=True, kw_only=True):
    """The open key that seals everything of one owner; lives in memory only.

    Attributes
    ----------
    project, owner
        Whose bytes it seals, such as ``dataset:loans``.
    generation
        1 for the owner's first key; a destroyed key is followed by the next.
    secret
        32 random bytes; never shown.
    """

    project: str
    owner: str
    generation: int
    secret: bytes

    def __repr__(self) -> str:
        return f"DataKey({self.project!r}, {self.owner!r}, generation={self.generation})"

    def derive(self, purpose: str) -> bytes:
        """Return the 32-byte key for one purpose, so that no key serves two."""
        context = f"homeostat blobs {purpose} v1"
        return blake3.blake3(self.secret, derive_key_context=context).digest()


def digest_of(data: bytes) -> str:
    """Return the digest that names a content: BLAKE3, 64 hexadecimal digits.

    Examples
    --------
    >>> digest_of(b"")[:16]
    'af1349b9f5f9a1a6'
    """
    return blake3.blake3(data).hexdigest()

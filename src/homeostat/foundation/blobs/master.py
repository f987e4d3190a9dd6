"""The master key: wraps every data key; opened once by the house."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import secrets
from pathlib import Path

import blake3
from cryptography import exceptions
from cryptography.hazmat.primitives.ciphers import aead

from homeostat.foundation.errors import CorruptError, InvalidInputError

FILE_NAME = "master.key"
_KEY_BYTES = 32
_NONCE_BYTES = 12


class MasterKey:
    """The key that wraps other keys; its bytes stay inside.

    Parameters
    ----------
    secret
        32 bytes.
    source
        Where it came from, for messages: a file or a variable.
    """

    def __init__(self, secret: bytes, *, source: str) -> None:
        self._cipher = aead.AESGCM(secret)
        self._secret = secret
        self.source = source

    def __repr__(self) -> str:
        return f"MasterKey(from {self.source})"

    def wrap(self, secret: bytes, *, name: str) -> bytes:
        """Return `secret` sealed for storage, openable only under the same `name`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, name.encode())

    def unwrap(self, wrapped: bytes, *, name: str) -> bytes:
        """Return what was wrapped.

        Raises
        ------
        CorruptError
            When it was wrapped by another master key, under another name, or was changed.
        """
        nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, sealed, name.encode())
        except (exceptions.InvalidTag, ValueError):
            raise CorruptError(
                f"the key of {name} does not open with the master key of {self.source}",
                hint="bring back the master key this home was made with",
            ) from None

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for another use, such as the seed of a signing key."""
        context = f"homeostat master {purpose} v1"
        return blake3.blake3(self._secret, derive_key_context=context).digest()


def load(home: Path, given: str | None = None) -> MasterKey:
    """Return the master key of a home; the first call makes it.

    Parameters
    ----------
    home
        Folder of the house; made when missing. The key is its file ``master.key``.
    given
        The key itself, 64 hexadecimal digits or base64 of 32 bytes, as
        ``HOMEOSTAT_MASTER_KEY`` carries it; then no file is read or made.

    Returns
    -------
    MasterKey
        The same one for every process of the home, also when several start at once.

    Raises
    ------
    InvalidInputError
        When the key cannot be one, or others may read its file.
    """
    if given:
        return MasterKey(_decoded(given, "HOMEOSTAT_MASTER_KEY"), source="HOMEOSTAT_MASTER_KEY")
    path = home / FILE_NAME
    if not path.exists():
        _create(path)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise InvalidInputError(
            f"{path} may be read by others (mode {mode:o}, needs 600)",
            hint=f"run chmod 600 {path}",
        )
    return MasterKey(_decoded(path.read_text(encoding="ascii"), str(path)), source=str(path))


def _create(path: Path) -> None:
    """Write a whole new key beside `path`, then give it the name unless another was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _decoded(text: str, source: str) -> bytes:
    stripped = text.strip()
    secret = b""
    with contextlib.suppress(ValueError, binascii.Error):
        secret = bytes.fromhex(stripped)
    if not secret:
        with contextlib.suppress(ValueError, binascii.Error):
            secret = base64.b64decode(stripped, validate=True)
    if len(secret) != _KEY_BYTES:
        raise InvalidInputError(
            f"{source} holds no master key (64 hexadecimal digits or base64)",
            hint="bring back the key this home was made with",
        )
    return secret

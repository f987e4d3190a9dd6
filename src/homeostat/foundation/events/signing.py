"""The Ed25519 key of an installation; it signs checkpoints and reports."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric import ed25519

from homeostat.foundation import errors

SEED_BYTES = 32


class SigningKey:
    """A private key that signs for this installation.

    Parameters
    ----------
    seed
        32 secret bytes.
    """

    def __init__(self, seed: bytes) -> None:
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"SigningKey(public={self._public.hex()})"

    @property
    def public_key(self) -> bytes:
        """The 32 raw bytes others verify with."""
        return self._public

    def sign(self, data: bytes) -> bytes:
        """Sign some bytes.

        Parameters
        ----------
        data
            Any length; say in them what they are.

        Returns
        -------
        bytes
            64 bytes, the same each time.

        References
        ----------
        .. [1] RFC 8032, *Edwards-Curve Digital Signature Algorithm*, 2017.
        """
        return self._key.sign(data)


def is_signed(data: bytes, *, signature: bytes, public_key: bytes) -> bool:
    """Say whether a signature fits.

    Parameters
    ----------
    data
        What was signed.
    signature
        64 bytes.
    public_key
        32 bytes of the key that should have signed.

    Returns
    -------
    bool
        False also when key or signature is no such thing.
    """
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, data)
    except (exceptions.InvalidSignature, ValueError):
        return False
    return True


def load(path: Path) -> SigningKey:
    """Read the key of an installation; make it on first use.

    Several processes may start at once: the first to put its file in place wins, and all read
    the same key.

    Parameters
    ----------
    path
        The file; made readable by its owner alone.

    Returns
    -------
    SigningKey
        The same for the life of the installation.

    Raises
    ------
    CorruptError
        When the file is not 32 bytes.
    UnavailableError
        When it can be neither read nor made.
    """
    try:
        if not path.exists():
            _make(path)
        seed = path.read_bytes()
    except OSError as error:
        raise errors.UnavailableError(
            f"cannot read or make the signing key {path}: {error.strerror}"
        ) from error
    if len(seed) != SEED_BYTES:
        raise errors.CorruptError(
            f"the signing key {path} has {len(seed)} bytes, needs {SEED_BYTES}",
            hint="restore it from a backup; checkpoints are signed with it",
        )
    return SigningKey(seed)


def _make(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(os.urandom(SEED_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link fails when the name is taken, so a key is never replaced.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()

"""The nouns of the keyring."""

from __future__ import annotations

import msgspec

from homeostat.foundation.access import Kind, Role


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key, without its secret, which is kept nowhere.

    Parameters
    ----------
    id
        Part of the key's text, so that logs and lists can name it.
    name
        Of the person or program; written into every event it causes.
    role
        What it may do in its project.
    kind
        ``person``, ``token`` for a program, or ``system``.
    created_at, created_by
        Milliseconds UTC, and who made it.
    expires_at
        From when on it opens nothing, milliseconds UTC; None for never.
    revoked_at
        When it was taken back, milliseconds UTC; None while it was not.
    project
        The one it opens.
    """

    id: str
    name: str
    role: Role
    kind: Kind = Kind.PERSON
    created_at: int
    created_by: str
    expires_at: int | None = None
    revoked_at: int | None = None
    project: str = "default"

    def opens_at(self, at: int) -> bool:
        """Say whether it opens its project at an instant, milliseconds UTC."""
        is_over = self.expires_at is not None and self.expires_at <= at
        return self.revoked_at is None and not is_over


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was just made, with the text that opens; shown this once.

    Parameters
    ----------
    key
        As it is kept.
    secret
        Sent as Bearer token or as password.
    """

    key: AccessKey
    secret: str

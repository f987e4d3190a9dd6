"""Say from Python who may come in; one subject of the SDK."""

from __future__ import annotations

from homeostat.doors.client import transport
from homeostat.foundation import keyring


class Access:
    """The access keys of a project, for its owners.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def create(
        self, name: str, *, role: str, kind: str = "person", expires_at: int | None = None
    ) -> keyring.NewKey:
        """Make a key.

        Parameters
        ----------
        name
            Of the person or program; what they do is recorded under it.
        role
            ``viewer``, ``contributor``, ``reviewer``, ``operator`` or ``owner``.
        kind
            ``person``, or ``token`` for a program.
        expires_at
            Milliseconds UTC; None for never.

        Returns
        -------
        NewKey
            With its secret, which is shown this once.

        Raises
        ------
        NotAllowedError
            When the caller is no owner.
        InvalidInputError
            When the name or role cannot be one, or the end is past.
        """
        body = {"name": name, "role": role, "kind": kind, "expires_at": expires_at}
        return self._transport.call(
            "POST", "/api/access/keys", answer=keyring.NewKey, body=body
        )

    def list(self) -> list[keyring.AccessKey]:
        """Return all keys, the newest first, revoked ones too, without secrets.

        Raises
        ------
        NotAllowedError
            When the caller is no owner.
        """
        return self._transport.call("GET", "/api/access/keys", answer=list[keyring.AccessKey])

    def revoke(self, key_id: str) -> keyring.AccessKey:
        """Take a key back; within a second it opens nothing.

        Parameters
        ----------
        key_id
            As `list` shows it.

        Returns
        -------
        AccessKey
            As it is now.

        Raises
        ------
        NotFoundError
            When there is none of this id.
        NotAllowedError
            When the caller is no owner.
        """
        path = f"/api/access/keys/{transport.part(key_id)}/revoke"
        return self._transport.call("POST", path, answer=keyring.AccessKey)

"""Who may come in at all, decided before anything else; the outermost layer of every server.

Until sign-in is configured the caller is the owner of this machine: connections come from
loopback, the Host names loopback, and no other site's page may write. With sign-in every caller
shows an access key, and is who the key says (DESIGN, section 8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from typing import Any, Final

from homeostat.foundation import access, errors, keyring
from homeostat.foundation.access import callers
from homeostat.foundation.house import House

PROJECT_HEADER: Final = b"x-homeostat-project"
PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
NOBODY: Final = access.Actor("nobody", access.Role.VIEWER)
"""Who asks for what is public; no action knows this one."""


class Visitor:
    """Decides who calls and in which project.

    Parameters
    ----------
    house
        Names the local owner, the project used when a request names none, whether callers must
        sign in, and where the keys are.
    is_inside
        True for requests that a client of this very process makes: who can open the home is
        its owner.
    """

    def __init__(self, house: House, *, is_inside: bool = False) -> None:
        told = house.settings
        self._owner = access.local_owner(told.actor)
        self._project = told.project
        self._keys = None
        self._names = callers.LOOPBACK_NAMES
        if told.sign_in != "off" and not is_inside:
            self._keys = keyring.Keyring(house.database)
            given = {told.host.lower(), *(name.lower() for name in told.allowed_hosts)}
            self._names |= {f"[{name}]" if name.count(":") > 1 else name for name in given}

    @property
    def needs_key(self) -> bool:
        """Whether callers show a key; else a head and an address always mean the same."""
        return self._keys is not None

    def admit(
        self, scope: MutableMapping[str, Any], *, is_public: bool = False
    ) -> tuple[access.Actor, str]:
        """Return actor and project of a request.

        Parameters
        ----------
        scope
            Of ASGI: method, headers and client.
        is_public
            What is asked for is open to whoever may come in; no key is needed.

        Returns
        -------
        tuple
            Who calls, and the project asked for.

        Raises
        ------
        UnauthenticatedError
            When the caller is not on this machine, or must sign in and shows no key that opens.
        NotAllowedError
            When the server does not answer to the Host, another site's page tries to write, or
            the key is of another project.
        InvalidInputError
            When the project's name is malformed.
        """
        given = scope["headers"]
        headers: dict[bytes, bytes] = dict(given)
        if len(headers) < len(given) and _is_doubled(given):
            raise errors.InvalidInputError("a request names one Host, and may show one key")
        client = scope.get("client")
        callers.admit(
            scope["method"],
            address=None if client is None else client[0],
            host=_text(headers, b"host") or "",
            origin=_text(headers, b"origin"),
            site=_text(headers, b"sec-fetch-site"),
            names=self._names,
            anywhere=self._keys is not None,
        )
        asked = _text(headers, PROJECT_HEADER)
        if asked is not None and PROJECT_NAME.fullmatch(asked) is None:
            raise errors.InvalidInputError(
                f"{asked[:80]!r} is no project name",
                hint="use lower-case letters, digits, - and _, at most 63",
            )
        if self._keys is None:
            return self._owner, asked or self._project
        if is_public:
            return NOBODY, asked or self._project
        return _identify(self._keys, _text(headers, b"authorization"), asked)


def _identify(
    keys: keyring.Keyring, authorization: str | None, asked: str | None
) -> tuple[access.Actor, str]:
    key = keys.find(callers.credentials(authorization))
    if key is None:
        raise errors.UnauthenticatedError(
            "the access key that was shown is unknown, expired or revoked",
            hint="an owner makes one with homeostat access create NAME --role ROLE",
        )
    if asked is not None and asked != key.project:
        raise errors.NotAllowedError(
            f"the access key of {key.name} opens project {key.project!r}, not {asked!r}",
            hint="ask an owner of that project for a key",
        )
    return access.Actor(key.name, key.role, key.kind), key.project


def _is_doubled(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say whether a header that decides who calls comes twice (RFC 9112, section 3.2)."""
    names = [name for name, _ in headers if name in {b"host", b"authorization", b"origin"}]
    return len(set(names)) < len(names)


def _text(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")

"""Who may come in at all, decided before anything else; the outermost layer of every server.

Until sign-in is configured the caller is the owner of this machine: connections come from
loopback, the Host names loopback, and no other site's page may write (DESIGN, section 8).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from homeostat.foundation import access, errors, settings

READING = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "homeostat.local"})
PROJECT_HEADER = "x-homeostat-project"
PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Visitor:
    """Decides who calls and in which project.

    Parameters
    ----------
    told
        Names the local owner and the project used when a request names none.
    """

    def __init__(self, told: settings.Settings) -> None:
        self._actor = access.local_owner(told.actor)
        self._project = told.project

    def admit(self, scope: MutableMapping[str, Any]) -> tuple[access.Actor, str]:
        """Return actor and project of a request.

        Raises
        ------
        UnauthenticatedError
            When the caller is not on this machine.
        NotAllowedError
            When the Host is not a loopback name, or another site's page tries to write.
        InvalidInputError
            When the project's name is malformed.
        """
        headers = Headers(scope=scope)
        _require_loopback(scope.get("client"))
        _require_known_host(headers.get("host", ""))
        if scope["method"] not in READING:
            _refuse_other_sites(headers)
        project = headers.get(PROJECT_HEADER, self._project)
        if PROJECT_NAME.fullmatch(project) is None:
            raise errors.InvalidInputError(
                f"{project[:80]!r} is no project name",
                hint="use lower-case letters, digits, - and _, at most 63",
            )
        return self._actor, project


def _require_loopback(client: tuple[str, int] | None) -> None:
    if client is None:  # a Unix socket: the file's permissions have decided
        return
    try:
        is_local = ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise errors.UnauthenticatedError(
            f"a caller from {client[0]} is not known: sign-in is not configured",
            hint="without sign-in only this machine may call",
        )


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _require_known_host(host: str) -> None:
    if _host_name(host).lower() not in LOOPBACK_NAMES:
        raise errors.NotAllowedError(
            f"this server does not answer to the name {host[:80]!r}",
            hint="use http://127.0.0.1 or http://localhost",
        )


def _refuse_other_sites(headers: Headers) -> None:
    site = headers.get("sec-fetch-site", "none")
    origin = headers.get("origin")
    own = headers.get("host", "")
    is_foreign = origin is not None and urlsplit(origin).netloc != own
    if site not in ("none", "same-origin") or is_foreign:
        raise errors.NotAllowedError(
            "a page of another site may not write here",
            hint="call from a program, or from a page of this server",
            origin=origin or site,
        )

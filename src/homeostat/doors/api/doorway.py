"""Who may come in at all, decided before anything else; the outermost layer of every server.

Until sign-in is configured the caller is the owner of this machine: connections come from
loopback, the Host names loopback, and no other site's page may write (DESIGN, section 8).
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers

from homeostat.foundation import access, errors, settings
from homeostat.foundation.access import callers

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
        client = scope.get("client")
        callers.admit(
            scope["method"],
            address=None if client is None else client[0],
            host=headers.get("host", ""),
            origin=headers.get("origin"),
            site=headers.get("sec-fetch-site"),
        )
        project = headers.get(PROJECT_HEADER, self._project)
        if PROJECT_NAME.fullmatch(project) is None:
            raise errors.InvalidInputError(
                f"{project[:80]!r} is no project name",
                hint="use lower-case letters, digits, - and _, at most 63",
            )
        return self._actor, project

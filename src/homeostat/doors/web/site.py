"""The pages as one site, handed to the application by `doors/local.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from starlette.responses import HTMLResponse, Response


class Page(NamedTuple):
    """One address that answers HTML, and the action it needs."""

    method: str
    path: str
    action: str
    endpoint: Callable[[Any], Awaitable[Response]]


class Site:
    """All pages, and the page that shows a failure."""

    pages: tuple[Page, ...] = ()

    def failure(self, problem: Any) -> Response:
        """Return the page that shows a problem to a person."""
        return HTMLResponse(problem.detail, status_code=problem.status)

"""The pages as one site, handed to the application by `doors/local.py`."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from homeostat.doors.web import (
    alerts,
    audit,
    corrections,
    data,
    decisions,
    deployments,
    home,
    labels,
    logged_models,
    loops,
    models,
    monitoring,
    objectives,
    rendering,
    reports,
    reviews,
    runs,
    visit,
)
from homeostat.foundation import errors

SUBJECTS = (
    home,
    data,
    runs,
    models,
    logged_models,
    reports,
    deployments,
    monitoring,
    loops,
    labels,
    objectives,
    corrections,
    alerts,
    reviews,
    decisions,
    audit,
)


async def _static(call: visit.Visit) -> Response:
    name = call.path_params["name"]
    found = rendering.static(name)
    if found is None:
        raise errors.NotFoundError(f"there is no file {name[:80]!r}")
    content, kind = found
    return Response(content, media_type=kind, headers={"cache-control": "no-cache"})


class Site:
    """All pages, and the page that shows a failure."""

    pages: tuple[visit.Page, ...] = (
        visit.Page("GET", "/static/{name}", "public", _static),
        *(page for subject in SUBJECTS for page in subject.PAGES),
    )

    def failure(self, problem: Any) -> Response:
        """Return the page that shows a problem to a person."""
        return rendering.render("failure.html", here="", status=problem.status, problem=problem)

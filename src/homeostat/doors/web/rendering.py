"""Templates and what every page shows around them; called by each page of the site."""

from __future__ import annotations

import functools
import math
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from homeostat.foundation import clock

NAVIGATION = (
    ("/", "Home"),
    ("/data", "Data"),
    ("/runs", "Runs"),
    ("/models", "Models"),
    ("/deployments", "Deployments"),
    ("/alerts", "Alerts"),
    ("/reviews", "Reviews"),
    ("/decisions", "Decisions"),
    ("/audit", "Audit"),
)
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
NOTHING = Markup('<span class="quiet">none</span>')


def instant(at: int | None) -> Markup:
    """Return an instant in UTC as a ``time`` element, and how long ago it was below it."""
    if at is None:
        return NOTHING
    if not clock.has_date(at):
        return _dateless(at)
    return Markup(
        '<time datetime="{0}" title="{0}">{1}<span class="ago">{2}</span></time>'
    ).format(clock.iso(at), clock.short(at), ago(at))


def moment(at: int | None) -> Markup:
    """Return an instant for use in a sentence, such as 2026-04-05 10:31:07 UTC (2 h ago)."""
    if at is None:
        return NOTHING
    if not clock.has_date(at):
        return _dateless(at)
    return Markup(
        '<time datetime="{0}" title="{0}">{1} UTC (<span class="since">{2}</span>)</time>'
    ).format(clock.iso(at), clock.short(at), ago(at))


def _dateless(at: int) -> Markup:
    """Return an instant that a client gave and no calendar has, as the number it is."""
    return Markup('<span title="milliseconds since 1970, beyond any date">{0}</span>').format(
        at
    )


def took(began: int, ended: int) -> str:
    """Return how long something took by its client's clock; "-" when that cannot be."""
    if not (clock.has_date(began) and clock.has_date(ended) and began <= ended):
        return "-"
    return duration(ended - began)


def ago(at: int, *, now: int | None = None) -> str:
    """Return how long ago an instant was, or in how long it comes.

    ``static/live.js`` goes on by the same rule.

    Parameters
    ----------
    at
        Milliseconds UTC.
    now
        The same; the clock's when None.
    """
    past = ((clock.now_ms() if now is None else now) - at) / 1000
    seconds = abs(past)
    if seconds < 10:  # noqa: PLR2004 - seconds that nobody counts
        return "just now"
    told = f"{math.floor(seconds)} s"
    for unit, length in (("min", 60), ("h", 3600), ("d", 86_400)):
        if seconds >= 1.5 * length:
            told = f"{math.floor(seconds / length + 0.5)} {unit}"
    return f"{told} ago" if past > 0 else f"in {told}"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number for a table: as many digits as say something, never more."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    is_long = 10_000 <= abs(value) < 1e15  # noqa: PLR2004 - more digits than these say nothing
    return f"{value:,.0f}" if is_long else f"{value:,.{digits}g}"


def share(value: float | None) -> str:
    """Return a share in 0 to 1 as a percentage."""
    if value is None:
        return "-"
    digits = ",.0f" if abs(value) >= 10 else ".3g"  # noqa: PLR2004 - 1e+03 % is for nobody
    return f"{100 * value:{digits}} %"


def size(value: int | None) -> str:
    """Return a number of bytes in the unit that fits."""
    if value is None:
        return "-"
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:  # noqa: PLR2004 - SI steps
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"


def duration(milliseconds: int | None) -> str:
    """Return a length of time in the unit that fits."""
    if milliseconds is None:
        return "-"
    seconds = milliseconds / 1000
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


@functools.cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("homeostat.doors.web"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
    )
    for shown in (instant, moment, number, share, size, duration):
        made.filters[shown.__name__] = shown
    made.globals["took"] = took
    return made


def render(
    template: str,
    *,
    here: str,
    actor: str = "",
    project: str = "",
    status: int = 200,
    **shown: Any,
) -> Response:
    """Return a page.

    Parameters
    ----------
    template
        Name of the file in ``templates/``.
    here
        Which entry of the navigation is the current one.
    actor, project
        Shown in the corner.
    status
        HTTP status.
    **shown
        What the template needs.
    """
    text = (
        _templates()
        .get_template(template)
        .render(navigation=NAVIGATION, here=here, actor=actor, project=project, **shown)
    )
    return HTMLResponse(text, status_code=status, headers={"content-security-policy": POLICY})


@functools.cache
def static(name: str) -> tuple[bytes, str] | None:
    """Return the bytes and the media type of a static file; None when there is none."""
    kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    kind = kinds.get(name.rpartition(".")[2])
    folder = resources.files("homeostat.doors.web") / "static"
    known = {entry.name for entry in folder.iterdir()}
    if kind is None or name not in known:
        return None
    return (folder / name).read_bytes(), kind

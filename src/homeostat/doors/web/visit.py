"""What a page knows of the request it answers, and how a page is declared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from homeostat.doors.web import rendering
from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House

T = TypeVar("T")
DIGITS = 19
FORM_LIMIT_BYTES = 10_000
FIELDS_AT_MOST = 20


class Visit(Protocol):
    """One request for a page, as the application hands it over."""

    request: Request
    actor: access.Actor
    project: str
    house: House

    @property
    def path_params(self) -> dict[str, Any]:
        """Parts of the path by name."""

    async def read(self, fn: Callable[[Transaction], T]) -> T:
        """Run `fn` in a read transaction on a thread."""

    async def work(self, fn: Callable[[], T]) -> T:
        """Run `fn`, which waits on a disk, on a thread."""

    async def write(self, fn: Callable[[Transaction], T]) -> T:
        """Run `fn` in the writer's next group; returns after the commit."""


class Page(NamedTuple):
    """One address that answers HTML, and the access action it needs."""

    method: str
    path: str
    action: str
    endpoint: Callable[[Any], Awaitable[Response]]


def show(visit: Visit, template: str, *, here: str, **shown: Any) -> Response:
    """Return a page for a visit; `shown` is what the template needs."""
    return rendering.render(
        template, here=here, actor=visit.actor.name, project=visit.project, **shown
    )


def asked(visit: Visit, name: str) -> str:
    """Return one query parameter of a page's address; empty when it is not there."""
    return str(visit.request.query_params.get(name, ""))


def whole_number(visit: Visit, name: str) -> int:
    """Return one query parameter as a number; 0 when it is not there.

    Raises
    ------
    InvalidInputError
        When it is not a whole number of 0 or more.
    """
    said = asked(visit, name)
    if said and not (said.isdigit() and len(said) < DIGITS):
        raise errors.InvalidInputError(f"{name} is {said[:40]!r}, not a whole number")
    return int(said or 0)


async def form(visit: Visit) -> dict[str, str]:
    """Return the fields of a form that was sent, the last of each name.

    Raises
    ------
    TooLargeError
        When it has more than 10,000 bytes.
    InvalidInputError
        When it has more fields than any form here.
    """
    data = b""
    async for piece in visit.request.stream():
        data += piece
        if len(data) > FORM_LIMIT_BYTES:
            raise errors.TooLargeError(f"a form has up to {FORM_LIMIT_BYTES} bytes")
    try:
        fields = parse_qs(data.decode("utf-8", "replace"), max_num_fields=FIELDS_AT_MOST)
    except ValueError:
        raise errors.InvalidInputError(f"a form has up to {FIELDS_AT_MOST} fields") from None
    return {name: values[-1] for name, values in fields.items()}

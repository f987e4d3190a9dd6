"""Every error the platform raises on purpose; raised on all floors, shown by every door.

HomeostatError
├── NotFoundError         404  exit 4  what was named does not exist, or you may not see it
├── ConflictError         409  exit 5  it exists already, or changed since you read it
├── InvalidInputError     422  exit 2  the request cannot be right, whatever the state
│   ├── TooLargeError     413  exit 2  right in form, but over a stated limit
│   ├── WrongMethodError  405  exit 2  the address is right, the HTTP method is not
│   └── WrongMediaError   415  exit 2  the body is of a type that is not read here
├── NotAllowedError       403  exit 6  you are known, but may not do this
│   └── GateClosedError   403  exit 6  a rule says no: missing approval or failed gate
├── UnauthenticatedError  401  exit 6  you are not known
├── UnavailableError      503  exit 7  try again later
├── UserCodeError         500  exit 8  user's code or model raised, hung or answered nonsense
└── CorruptError          500  exit 9  stored bytes or the audit chain do not match their digest
"""

from __future__ import annotations

from typing import ClassVar

Fact = str | int | float | bool | None


class HomeostatError(Exception):
    """An error with a stable code, a sentence for people, and what to do next.

    Parameters
    ----------
    message
        One sentence: what, where, the value seen and the value needed.
    hint
        What to do next; may be empty.
    **facts
        The same, for machines.

    Examples
    --------
    >>> str(NotFoundError("no model 'credit'", hint="see homeostat model list", name="credit"))
    "no model 'credit' (see homeostat model list)"
    """

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", **facts: Fact) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class NotFoundError(HomeostatError):
    """What was named does not exist, or the actor may not see it."""

    code = "not-found"
    http_status = 404
    exit_code = 4


class ConflictError(HomeostatError):
    """It exists already, or changed since it was read."""

    code = "conflict"
    http_status = 409
    exit_code = 5


class InvalidInputError(HomeostatError):
    """The request cannot be right, whatever the state."""

    code = "invalid-input"
    http_status = 422
    exit_code = 2


class TooLargeError(InvalidInputError):
    """Right in form, but over a stated limit."""

    code = "too-large"
    http_status = 413


class WrongMethodError(InvalidInputError):
    """The address is right, the HTTP method is not."""

    code = "wrong-method"
    http_status = 405


class WrongMediaError(InvalidInputError):
    """The body is of a type that is not read here."""

    code = "wrong-media"
    http_status = 415


class NotAllowedError(HomeostatError):
    """The actor is known but may not do this."""

    code = "not-allowed"
    http_status = 403
    exit_code = 6


class GateClosedError(NotAllowedError):
    """A rule, not a role, says no: a missing approval or a failed gate."""

    code = "gate-closed"


class UnauthenticatedError(HomeostatError):
    """The caller is not known."""

    code = "unauthenticated"
    http_status = 401
    exit_code = 6


class UnavailableError(HomeostatError):
    """Try again later; `facts["retry_after_s"]` says when, where it is known."""

    code = "unavailable"
    http_status = 503
    exit_code = 7


class UserCodeError(HomeostatError):
    """Code or a model of the user's raised, hung or answered nonsense."""

    code = "user-code"
    exit_code = 8


class CorruptError(HomeostatError):
    """Stored bytes or the audit chain do not match their digest."""

    code = "corrupt"
    exit_code = 9


def by_code() -> dict[str, type[HomeostatError]]:
    """Return every kind of error by its code; doors use it to raise the same class again.

    Returns
    -------
    dict
        Code to class, `HomeostatError` itself included.

    Examples
    --------
    >>> by_code()["not-found"].http_status
    404
    """
    found: dict[str, type[HomeostatError]] = {}
    todo: list[type[HomeostatError]] = [HomeostatError]
    while todo:
        kind = todo.pop()
        found[kind.code] = kind
        todo.extend(kind.__subclasses__())
    return found

"""What asks for a fit, and what is remembered of it: causes, waiting requests, fits of a day.

Nouns of `cooling`; part of the state and of the events in `entities`. Times are milliseconds
UTC, as the event that brought them said.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Reason = Literal[
    "harm",
    "burst",
    "refresh",
    "schedule",
    "new-data",
    "code",
    "upstream",
    "performance",
    "person",
]


class FitAsked(msgspec.Struct, frozen=True, kw_only=True, tag="fit-asked"):
    """Something outside the statistics asks for a plain fit: a clock, new data, a person.

    `at` is when; `subject` is what was seen, such as ``dataset:loans@4`` or ``code:1f3a…``;
    `by` who caused it; `facts` what shows it, for people.
    """

    reason: Reason
    end_row: int
    at: int | msgspec.UnsetType = msgspec.UNSET
    subject: str | msgspec.UnsetType = msgspec.UNSET
    by: str | msgspec.UnsetType = msgspec.UNSET
    facts: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class FitsDue(msgspec.Struct, frozen=True, kw_only=True, tag="fits-due"):
    """The time has come that a waiting request waits for."""

    end_row: int
    at: int


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one cause that no fit has answered yet; `n` came between the two instants."""

    reason: Reason
    first_at: int
    last_at: int
    n: int = 1
    subject: str = ""
    by: str = ""
    facts: dict[str, str] = {}


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """A fit that was started: when, why, and how many seconds it took; None while it runs."""

    fit: str
    reason: Reason
    at: int
    seconds: float | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """What waits, what fits cost, the code last answered, and what holds a due fit."""

    waiting: tuple[Waiting, ...] = ()
    fits: tuple[Spent, ...] = ()
    code: str = ""
    held: str = ""

"""Nouns that came after those of `entities`: who may not answer, what is left to a person.

`MembersBarred` is made by `barring`, `LeftSettled` by `triggers`; `Left` is part of the state.
"""

from __future__ import annotations

import msgspec


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Harm that no fit mends and that a person has been asked to see to.

    `change_row` is that of the state before it: the world itself did not change.
    """

    cause: str
    column: str | None = None
    change_row: int | None = None


class LeftSettled(msgspec.Struct, frozen=True, kw_only=True, tag="left-settled"):
    """A person has seen to what was left to them; `end_row` is the end of the log then."""

    by: str
    end_row: int


class MembersBarred(msgspec.Struct, frozen=True, kw_only=True, tag="members-barred"):
    """Members that do not answer and may not, with the reason; `gone` are no versions now."""

    barred: dict[str, str] = {}
    gone: tuple[str, ...] = ()

"""What a prediction server and its explaining process say to each other; light to import."""

from __future__ import annotations

from typing import Any

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.explanations import entities
from homeostat.lifecycle.policy import Explain
from homeostat.measures import residual


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A member to explain: where its files lie, by path, and what it counts.

    Attributes
    ----------
    version, weight
        As in the plan.
    digest
        The same for the same bytes loaded in the same way.
    files
        Path in the version to BLAKE3 digest; the file lies under that name in the folder.
    is_trusted
        Whether somebody said that the version may run its own code.
    """

    version: int
    weight: float
    digest: str
    files: dict[str, str]
    is_trusted: bool = False


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Rows to explain.

    Attributes
    ----------
    folder
        Where files of versions lie.
    members
        1 to 3 that answer these rows.
    columns
        Validated features by name, each of the same length.
    explain, protected, favourable
        What the policy says.
    options
        What is asked for.
    thresholds
        From which score on the positive class is answered, by row.
    corrector
        What goes on from the members' mean; None for nothing.
    """

    folder: str
    members: tuple[Source, ...]
    columns: dict[str, list[Any]]
    explain: Explain
    protected: tuple[str, ...]
    favourable: bool
    options: entities.Options
    thresholds: list[float]
    corrector: residual.Corrector | None = None

    @property
    def n_rows(self) -> int:
        """Rows in it."""
        return len(next(iter(self.columns.values()), ()))


class Done(msgspec.Struct, frozen=True, tag=True):
    """An order done; one explanation per row."""

    rows: list[entities.Explanation]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """An order that could not be done: an error, to be raised again."""

    code: str
    message: str
    hint: str
    facts: dict[str, errors.Fact]

    def error(self) -> errors.HomeostatError:
        """Return the error."""
        kind = errors.by_code().get(self.code, errors.HomeostatError)
        return kind(self.message, hint=self.hint, **self.facts)


Reply = Done | Failed

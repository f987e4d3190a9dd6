"""One batch on its way in: who brings it, from where, and what was refused of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from homeostat.foundation import access, errors, events, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.importing import records
from homeostat.lifecycle.importing.entities import Kind, Mark, Refusal

_NEEDED = ("experiment.write", "run.write", "model.register", "model.write")
T = TypeVar("T")


def allow(actor: access.Actor) -> None:
    """Refuse an actor who may not write all that an import writes."""
    for action in _NEEDED:
        access.require(actor, action)


def reference(source: str) -> str:
    """Return what events and lineage know a source by.

    Examples
    --------
    >>> reference("http://mlflow:5000")
    'import:http://mlflow:5000'
    """
    return f"import:{source}"


class Intake:
    """Writes one batch in one transaction.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    source
        Address of where it comes from.

    Attributes
    ----------
    marks, refused
        What came of the batch so far.
    """

    def __init__(self, tx: Transaction, actor: access.Actor, source: str) -> None:
        self.tx = tx
        self.actor = actor
        self.source = source
        self.marks: list[Mark] = []
        self.refused: list[Refusal] = []

    def attempt(self, kind: str, name: str, act: Callable[[Intake, T], None], given: T) -> None:
        """Take one thing; what is refused before anything of it was written is noted.

        Parameters
        ----------
        kind, name
            Of the thing, for the report.
        act
            Checks all of it before it writes any of it.
        given
            The thing.
        """
        try:
            act(self, given)
        except (
            errors.ConflictError,
            errors.InvalidInputError,
            errors.NotFoundError,
        ) as error:
            self.refuse(kind, name, error.message)

    def refuse(self, kind: str, name: str, reason: str) -> None:
        """Note what was left out, and why."""
        self.refused.append(Refusal(kind, name, reason))

    def known(self, kind: str, source_id: str) -> Mark | None:
        """Return the mark of a thing of this source, or None."""
        return records.find(self.tx, self.source, kind, source_id)

    def put(self, kind: Kind, source_id: str, our_id: str, *, fingerprint: str = "") -> None:
        """Mark a thing as being here.

        Parameters
        ----------
        kind, source_id, our_id, fingerprint
            As of `Mark`.
        """
        mark = Mark(kind=kind, source_id=source_id, our_id=our_id, fingerprint=fingerprint)
        records.put(self.tx, self.source, mark)
        self.marks.append(mark)

    def tell(self, kind: str, subject: str, **facts: Any) -> None:
        """Record that a thing came from the source, and connect them.

        Parameters
        ----------
        kind
            Of the event.
        subject
            Reference of the thing.
        **facts
            Added to the source's address.
        """
        events.record(
            self.tx, self.actor, kind, subject=subject, facts={"source": self.source, **facts}
        )
        source = reference(self.source)
        lineage.connect(self.tx, source=source, target=subject, kind="imported")

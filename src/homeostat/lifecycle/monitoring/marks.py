"""What an alert remembers of being told: confirmed, told, held; called by alerting."""

from __future__ import annotations

from typing import Literal

import msgspec

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.monitoring import alerts, entities, records

Mark = Literal["confirmed_at", "told_at", "held_by", "n_escalated"]


def note(
    tx: Transaction, actor: access.Actor, alert: entities.Alert, **marks: int | str | None
) -> entities.Alert:
    """Note how far an alert has been told; an action of alerting records the event.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.write``.
    alert
        As it is.
    **marks
        New values of the fields named in `Mark`.

    Returns
    -------
    Alert
        As it is now.

    Raises
    ------
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "alert.write")
    which = {"in_project": tx.project, "in_id": alert.id}
    for name, value in marks.items():
        tx.execute(records.MARKS[name], {**which, "to_value": value})
    return msgspec.structs.replace(alert, **marks)


def held_by(tx: Transaction, reference: str) -> list[entities.Alert]:
    """Return the alerts that are not over and nobody was told of because of a reference.

    Parameters
    ----------
    tx
        Any transaction.
    reference
        ``silence:<id>`` or ``alert:<id>``.
    """
    asked = {"in_project": tx.project, "in_held_by": reference}
    return [alerts.read_row(row) for row in tx.execute(records.HELD_BY, asked).mappings()]

"""From bytes to a snapshot and back: the work around `actions` that needs blobs.

Doors take a table in on a thread and then add it in a transaction; whoever holds a house does
both with `add`. Reading gives a snapshot's table or summary again.
"""

from __future__ import annotations

import msgspec
import polars as pl

from homeostat.foundation import access
from homeostat.foundation.access import Actor
from homeostat.foundation.house import House
from homeostat.lifecycle.data import actions, entities, inspection, tables
from homeostat.lifecycle.data.entities import Check, Snapshot
from homeostat.lifecycle.data.inspection import Delivery, Offer, Summary


def take(
    house: House,
    actor: Actor,
    name: str,
    offer: Offer,
    *,
    more_checks: tuple[Check, ...] = (),
    project: str | None = None,
) -> Delivery:
    """Inspect a table and store its bytes and summary; no snapshot exists yet.

    Parameters
    ----------
    house, actor
        Where to store; may ``data.write``.
    name
        Of the dataset.
    offer
        The table; key and time are those of the newest snapshot where it names none.
    more_checks
        Further things to look at.
    project
        Namespace; that of the settings when None.

    Returns
    -------
    Delivery
        For `actions.add_snapshot`.

    Raises
    ------
    NotAllowedError
        When the actor may not write data.
    InvalidInputError
        When the table or the name is bad.
    UnavailableError
        When it cannot be stored.
    """
    access.require(actor, "data.write")
    entities.check_name(name)
    before = house.read(lambda tx: actions.newest_snapshot(tx, actor, name), project=project)
    if before is not None:
        offer = msgspec.structs.replace(
            offer, key=offer.key or before.key, time=offer.time or before.time
        )
    delivery, packed = inspection.inspect(
        offer,
        before=before.schema if before else None,
        more_checks=more_checks,
    )
    house.put_blob(f"dataset:{name}", offer.data, project=project)
    house.put_blob(f"dataset:{name}", packed, project=project)
    return delivery


def add(
    house: House,
    actor: Actor,
    name: str,
    offer: Offer,
    *,
    made_of: tuple[str, ...] = (),
    allow_schema_change: bool = False,
    project: str | None = None,
) -> Snapshot:
    """Take a table in and add it to its dataset.

    Parameters and errors are those of `take` and of `actions.add_snapshot`.

    Returns
    -------
    Snapshot
        Committed; the one that was there when the bytes are the same.
    """
    delivery = take(house, actor, name, offer, project=project)
    return house.write(
        lambda tx: actions.add_snapshot(
            tx,
            actor,
            name,
            delivery,
            made_of=made_of,
            allow_schema_change=allow_schema_change,
        ),
        project=project,
    )


def read_bytes(house: House, snapshot: Snapshot, *, project: str | None = None) -> bytes:
    """Return the file of a snapshot as it was given.

    Raises
    ------
    NotFoundError
        When its key was destroyed.
    CorruptError
        When the stored bytes were changed.
    """
    return house.get_blob(snapshot.owner, snapshot.digest, project=project)


def read_snapshot(
    house: House, snapshot: Snapshot, *, project: str | None = None
) -> pl.DataFrame:
    """Return the table of a snapshot, rows in the order they were given; errors as above."""
    data = read_bytes(house, snapshot, project=project)
    return tables.decode(data, snapshot.format, where=snapshot.reference)


def read_summary(house: House, snapshot: Snapshot, *, project: str | None = None) -> Summary:
    """Return the frozen bins and column summaries of a snapshot; errors as above."""
    packed = house.get_blob(snapshot.owner, snapshot.summary, project=project)
    return inspection.unpack_summary(packed)

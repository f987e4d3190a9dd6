"""Data keys: one per owner, wrapped by the master key; called by the house and by retention."""

from __future__ import annotations

import secrets

from sqlalchemy.dialects import postgresql, sqlite

from homeostat.foundation.blobs import records
from homeostat.foundation.blobs.entities import DataKey
from homeostat.foundation.blobs.master import MasterKey
from homeostat.foundation.database import Transaction
from homeostat.foundation.errors import NotFoundError

_KEY_BYTES = 32


def ensure(tx: Transaction, master: MasterKey, owner: str) -> DataKey:
    """Return the owner's data key; the first call makes it.

    Parameters
    ----------
    tx
        A writing transaction.
    master
        Wraps what is stored.
    owner
        Whose bytes it seals: ``dataset:loans``, ``run:<id>``, ``deployment:credit``.

    Returns
    -------
    DataKey
        The newest that was not destroyed, or a fresh one.

    Raises
    ------
    CorruptError
        When the stored key does not open with this master key.
    """
    newest = _newest(tx, owner)
    if newest is not None and newest[1] is not None:
        return _opened(tx.project, owner, (newest[0], newest[1]), master)
    generation = 1 if newest is None else newest[0] + 1
    row = {
        "project": tx.project,
        "owner": owner,
        "generation": generation,
        "wrapped": master.wrap(
            secrets.token_bytes(_KEY_BYTES), name=_label(tx.project, owner, generation)
        ),
        "created_at": tx.at,
    }
    tx.execute(_insert(tx).values(row).on_conflict_do_nothing())
    return get(tx, master, owner)  # what is stored wins when two processes were first


def get(tx: Transaction, master: MasterKey, owner: str) -> DataKey:
    """Return the owner's data key.

    Raises
    ------
    NotFoundError
        When the owner has none, or it was destroyed.
    CorruptError
        When it does not open with this master key.
    """
    newest = _newest(tx, owner)
    if newest is None:
        raise NotFoundError(f"{owner} has stored no blobs", owner=owner)
    generation, wrapped = newest
    if wrapped is None:
        raise NotFoundError(
            f"the key of {owner} was destroyed: nothing it sealed can be read again",
            owner=owner,
        )
    return _opened(tx.project, owner, (generation, wrapped), master)


def destroy(tx: Transaction, owner: str) -> int:
    """Forget the owner's keys for ever: every blob they sealed is deleted by that.

    Returns
    -------
    int
        How many keys were destroyed; 0 when there was none left. Who asked and why is recorded
        by the caller, above this floor.
    """
    found = tx.execute(
        records.DESTROY, {"in_project": tx.project, "in_owner": owner, "in_at": tx.at}
    )
    return int(found.rowcount)


def _newest(tx: Transaction, owner: str) -> tuple[int, bytes | None] | None:
    row = tx.execute(
        records.SELECT_NEWEST, {"in_project": tx.project, "in_owner": owner}
    ).first()
    if row is None:
        return None
    return row.generation, None if row.wrapped is None else bytes(row.wrapped)


def _opened(project: str, owner: str, stored: tuple[int, bytes], master: MasterKey) -> DataKey:
    generation, wrapped = stored
    secret = master.unwrap(wrapped, name=_label(project, owner, generation))
    return DataKey(project=project, owner=owner, generation=generation, secret=secret)


def _label(project: str, owner: str, generation: int) -> str:
    return f"{project}/{owner}#{generation}"


def _insert(tx: Transaction) -> sqlite.Insert | postgresql.Insert:
    if tx.dialect == "postgresql":
        return postgresql.insert(records.data_keys)
    return sqlite.insert(records.data_keys)

"""Connects references and walks between them; called by actions, and by erase and the pages."""

from __future__ import annotations

from homeostat.foundation.database import Transaction
from homeostat.foundation.lineage import records
from homeostat.foundation.lineage.entities import Edge

LIMIT = 10_000


def connect(tx: Transaction, *, source: str, target: str, kind: str) -> Edge:
    """Note that `target` was made of `source`; noting it again changes nothing.

    Parameters
    ----------
    tx
        Opened for writing; the action that owns it records the event.
    source, target
        References; `source` came first.
    kind
        How the one served the other.

    Returns
    -------
    Edge
        As it is stored, with the instant of the first time.
    """
    row = {"project": tx.project, "source": source, "target": target, "kind": kind}
    if tx.run(records.INSERT, {**row, "at": tx.at}).rowcount == 1:
        return Edge(source=source, target=target, kind=kind, at=tx.at)
    which = {f"in_{name}": value for name, value in row.items()}
    known = tx.run(records.FIND, which).fetchone()
    return Edge(source=source, target=target, kind=kind, at=known[0])


def targets(tx: Transaction, source: str, *, kind: str) -> list[str]:
    """Return what a reference leads to in one step of a kind.

    Parameters
    ----------
    tx
        Any transaction.
    source
        Where the steps begin; need not be known.
    kind
        How the source served them.

    Returns
    -------
    list of str
        References in order; empty when there are none.
    """
    which = {"in_project": tx.project, "in_source": source, "in_kind": kind}
    return [row[0] for row in tx.run(records.NEXT, which).fetchall()]


def ancestors(tx: Transaction, reference: str, *, limit: int = LIMIT) -> list[Edge]:
    """Return every edge on a way that leads to a reference.

    Parameters
    ----------
    tx
        Any transaction.
    reference
        Where to start; need not be known.
    limit
        At most so many edges.

    Returns
    -------
    list of Edge
        Oldest first; empty when it was made of nothing.
    """
    values = {"in_project": tx.project, "reference": reference, "n": limit}
    return [Edge(**row) for row in tx.execute(records.ANCESTORS, values).mappings()]


def descendants(tx: Transaction, reference: str, *, limit: int = LIMIT) -> list[Edge]:
    """Return every edge on a way that leads from a reference.

    Parameters
    ----------
    tx
        Any transaction.
    reference
        Where to start; need not be known.
    limit
        At most so many edges.

    Returns
    -------
    list of Edge
        Oldest first; empty when nothing was made of it.
    """
    values = {"in_project": tx.project, "reference": reference, "n": limit}
    return [Edge(**row) for row in tx.execute(records.DESCENDANTS, values).mappings()]

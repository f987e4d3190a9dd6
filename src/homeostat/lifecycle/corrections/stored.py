"""Corrections as they are stored, seen with a clock; called by `actions` and `firing`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.corrections import records
from homeostat.lifecycle.corrections.entities import Body, Correction, Status

_LAST = "~"
"""After every id."""


def versions(tx: Transaction, correction: str) -> list[Correction]:
    """Return all versions of a correction, newest first.

    Parameters
    ----------
    tx
        Any transaction.
    correction
        Its id.

    Raises
    ------
    NotFoundError
        When there is none.
    """
    which = {"in_project": tx.project, "in_id": correction}
    found = [_read(row, tx.at) for row in tx.execute(records.VERSIONS, which).mappings()]
    if not found:
        raise errors.NotFoundError(
            f"no correction {correction!r}", hint="see homeostat correction list DEPLOYMENT"
        )
    return found


def one(tx: Transaction, correction: str, version: int | None = None) -> Correction:
    """Return one version of a correction, the newest when None; NotFoundError without it."""
    found = versions(tx, correction)
    if version is None:
        return found[0]
    for each in found:
        if each.version == version:
            return each
    raise errors.NotFoundError(f"correction {correction} has no version {version}")


def in_force(tx: Transaction, deployment: str) -> list[Correction]:
    """Return approved corrections that are not over, also those that have yet to start.

    Parameters
    ----------
    tx
        Any transaction.
    deployment
        Its name.

    Returns
    -------
    list of Correction
        In the order in which they were made.
    """
    which: dict[str, Any] = {"in_project": tx.project, "in_deployment": deployment}
    which["in_at"] = tx.at
    return [_read(row, tx.at) for row in tx.execute(records.IN_FORCE, which).mappings()]


def worked(tx: Transaction, deployment: str, *, at: int) -> list[Correction]:
    """Return the corrections that worked at an instant, whatever became of them since.

    Parameters
    ----------
    tx
        Any transaction.
    deployment
        Its name.
    at
        Milliseconds UTC.

    Returns
    -------
    list of Correction
        In the order in which they were made.
    """
    which: dict[str, Any] = {"in_project": tx.project, "in_deployment": deployment, "in_at": at}
    return [_read(row, at) for row in tx.execute(records.WORKED, which).mappings()]


def of_deployment(
    tx: Transaction, deployment: str, *, before: str, limit: int
) -> list[Correction]:
    """Return versions of corrections of a deployment, the latest correction first.

    Parameters
    ----------
    tx
        Any transaction.
    deployment
        Its name.
    before
        Only ids below; of all when empty.
    limit
        At most this many.
    """
    which = {"in_project": tx.project, "in_deployment": deployment}
    page = {**which, "before": before or _LAST, "n": limit}
    return [_read(row, tx.at) for row in tx.execute(records.LIST, page).mappings()]


def insert(tx: Transaction, made: Correction) -> None:
    """Keep a new version."""
    row = {**msgspec.structs.asdict(made), "kind": made.kind}
    row["body"] = msgspec.json.encode(made.body).decode()
    tx.execute(records.INSERT, {"project": tx.project, **row})


def change(tx: Transaction, before: Correction, after: Correction) -> None:
    """Keep what became of a version; ConflictError when something else did meanwhile.

    Parameters
    ----------
    tx
        Opened for writing.
    before
        As it was read; ``active`` and ``expired`` are ``approved`` to the table.
    after
        As it is now.
    """
    names = ("approved_by", "approved_at", "note", "ended_by", "ended_at", "end_reason")
    values: dict[str, Any] = {f"to_{name}": getattr(after, name) for name in names}
    is_proposed = before.approved_at is None
    changed = tx.execute(
        records.SET_STATUS,
        {
            "in_project": tx.project,
            "in_id": before.id,
            "in_version": before.version,
            "from_status": "proposed" if is_proposed else "approved",
            "to_status": after.status,
            **values,
        },
    )
    if changed.rowcount != 1:
        raise errors.ConflictError(
            f"{before.reference} changed meanwhile", hint="read it again"
        )


def seen(found: Correction, at: int) -> Correction:
    """Return a correction with the status that it has at an instant.

    Parameters
    ----------
    found
        With the status that is stored.
    at
        Milliseconds UTC.
    """
    status: Status = found.status
    if status in {"proposed", "approved"} and at >= found.expires_at:
        status = "expired"
    elif status == "approved" and at >= found.starts_at:
        status = "active"
    return msgspec.structs.replace(found, status=status)


def _read(row: Mapping[Any, Any], at: int) -> Correction:
    body = msgspec.json.decode(row["body"], type=Body)
    return seen(Correction(**{**row, "body": body}), at)

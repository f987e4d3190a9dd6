"""How far the live loop has come in a deployment's log, and its candidates; for `live`."""

from __future__ import annotations

import msgspec

from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import records
from homeostat.lifecycle.loop.candidates import Packed


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What was dealt with already.

    Attributes
    ----------
    judged_row
        Rows before it were judged in windows.
    block_row
        Rows before it were in a block, quarantined, or passed over without a label.
    canary_row
        Rows before it were counted for a canary.
    canary_generation, canary_failed, canary_not_finite, canary_not_loaded
        Generation of the plan whose failures were counted last, and how many.
    """

    judged_row: int = 0
    block_row: int = 0
    canary_row: int = 0
    canary_generation: int = 0
    canary_failed: int = 0
    canary_not_finite: int = 0
    canary_not_loaded: int = 0


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted model of the pool; `number` is its version once its gates let it in."""

    label: str
    packed: Packed
    rows: tuple[int, int]
    reason: str
    number: int | None = None


def find(tx: Transaction, deployment: str) -> Place:
    """Return how far the loop has come; the beginning for a new deployment."""
    which = {"in_project": tx.project, "in_deployment": deployment}
    row = tx.execute(records.FIND_PLACE, which).mappings().first()
    return Place() if row is None else Place(**row)


def move(tx: Transaction, deployment: str, *, before: Place, after: Place) -> None:
    """Go on from `before`; refused when somebody else has gone on in the meantime.

    Raises
    ------
    ConflictError
        When the place is not `before` any more; nothing of the transaction may count then.
    """
    values = {f"to_{name}": value for name, value in msgspec.structs.asdict(after).items()}
    rows = ("judged_row", "block_row", "canary_row")
    expected = {f"at_{name}": getattr(before, name) for name in rows}
    which = {"in_project": tx.project, "in_deployment": deployment}
    if tx.execute(records.MOVE_PLACE, {**which, **values, **expected}).rowcount:
        return
    if tx.execute(records.FIND_PLACE, which).first() is not None:
        raise errors.ConflictError(f"another worker has gone on with deployment {deployment!r}")
    row = {"project": tx.project, "deployment": deployment}
    tx.execute(records.INSERT_PLACE, {**row, **msgspec.structs.asdict(after)})


def keep(tx: Transaction, deployment: str, candidate: Candidate) -> None:
    """Store a candidate."""
    row = {
        "project": tx.project,
        "deployment": deployment,
        "label": candidate.label,
        "number": candidate.number,
        "candidate": msgspec.json.encode(candidate).decode(),
        "made_at": tx.at,
    }
    tx.execute(records.INSERT_CANDIDATE, row)


def number(tx: Transaction, deployment: str, label: str, *, version: int) -> None:
    """Note that a candidate has become a version."""
    which = {"in_project": tx.project, "in_deployment": deployment, "in_label": label}
    tx.execute(records.NUMBER_CANDIDATE, {**which, "to_number": version})


def candidate(tx: Transaction, deployment: str, label: str) -> Candidate:
    """Return a candidate by its label.

    Raises
    ------
    NotFoundError
        When there is none.
    """
    which = {"in_project": tx.project, "in_deployment": deployment, "in_label": label}
    row = tx.execute(records.FIND_CANDIDATE, which).mappings().first()
    if row is None:
        raise errors.NotFoundError(f"deployment {deployment!r} has no candidate {label!r}")
    found = msgspec.json.decode(row["candidate"], type=Candidate)
    return msgspec.structs.replace(found, number=row["number"])

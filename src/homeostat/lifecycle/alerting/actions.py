"""What an actor may do about being told: make, end and read silences, read deliveries."""

from __future__ import annotations

from typing import Any

import msgspec

from homeostat.foundation import access, errors, events, ids
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.alerting import records
from homeostat.lifecycle.alerting.entities import Delivery, Silence
from homeostat.lifecycle.monitoring.entities import Alert

LONGEST_MS = 366 * 86_400_000
LONGEST_REASON = 1000
MOST_OF_ONE, LATE_MS = 1000, 86_400_000
_AFTER_ALL_IDS = "g"  # ids are hexadecimal


def silence(
    tx: Transaction,
    actor: access.Actor,
    *,
    until_at: int,
    reason: str,
    deployment: str = "",
    kind: str = "",
    column: str = "",
    from_at: int | None = None,
    is_downtime: bool = False,
) -> Silence:
    """Keep people from being told of some alerts for some time; the alerts are kept.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.silence``.
    until_at
        Milliseconds UTC, in the future, at most a year after `from_at`.
    reason
        Why, up to 1,000 characters.
    deployment, kind, column
        Which alerts; all of them where empty.
    from_at
        Milliseconds UTC; now when None.
    is_downtime
        Planned work: a deployment without predictions is then no alert either.

    Raises
    ------
    InvalidInputError
        When the time is past, empty or longer than a year, or there is no reason.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "alert.silence")
    begins = tx.at if from_at is None else from_at
    if until_at <= max(begins, tx.at):
        raise errors.InvalidInputError("a silence must end in the future, after it begins")
    if until_at - begins > LONGEST_MS:
        raise errors.InvalidInputError(
            f"a silence lasts a year at most; got {(until_at - begins) / 86_400_000:.0f} days"
        )
    if not 1 <= len(reason.strip()) <= LONGEST_REASON:
        raise errors.InvalidInputError(
            f"a silence needs a reason of 1 to {LONGEST_REASON} characters; got {len(reason)}"
        )
    made = Silence(
        id=ids.new_id(),
        deployment=deployment,
        kind=kind,
        column=column,
        from_at=begins,
        until_at=until_at,
        is_downtime=is_downtime,
        reason=reason.strip(),
        made_by=actor.name,
        made_at=tx.at,
    )
    row = msgspec.structs.asdict(made)
    row["column_name"] = row.pop("column")
    tx.execute(records.INSERT_SILENCE, {**row, "project": tx.project})
    _record(tx, actor, "silence.made", made)
    return made


def end_silence(tx: Transaction, actor: access.Actor, which: str) -> Silence:
    """End a silence before its time; what it held back is told, where it still stands.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.silence``.
    which
        Its id; nothing happens to one that is over.

    Raises
    ------
    NotFoundError
        When there is none.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "alert.silence")
    known = get_silence(tx, actor, which)
    if known.ended_at is not None or known.until_at <= tx.at:
        return known
    asked = {"in_project": tx.project, "in_id": which}
    tx.execute(records.END_SILENCE, {**asked, "to_at": tx.at, "to_by": actor.name})
    ended = msgspec.structs.replace(known, ended_at=tx.at, ended_by=actor.name)
    _record(tx, actor, "silence.ended", ended)
    return ended


def get_silence(tx: Transaction, actor: access.Actor, which: str) -> Silence:
    """Return one silence; NotFoundError without one, NotAllowedError when not allowed."""
    access.require(actor, "alert.read")
    row = tx.execute(records.SILENCE, {"in_project": tx.project, "in_id": which})
    found = row.mappings().first()
    if found is None:
        raise errors.NotFoundError(
            f"no silence {which!r}", hint="see homeostat alerts silences"
        )
    return _silence(found)


def list_silences(
    tx: Transaction, actor: access.Actor, *, before: str = "", limit: int = 100
) -> list[Silence]:
    """Return silences, the latest first, page by page.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.read``.
    before
        Id of the last one of the page before; the first page when empty.
    limit
        A page, 1 to 1000.

    Raises
    ------
    InvalidInputError
        When `limit` is out of range.
    """
    rows = _page(tx, actor, records.SILENCES, before=before, limit=limit)
    return [_silence(row) for row in rows]


def list_deliveries(
    tx: Transaction, actor: access.Actor, *, before: str = "", limit: int = 100
) -> list[Delivery]:
    """Return deliveries, the latest first, page by page.

    Parameters
    ----------
    tx, actor, before, limit
        As for `list_silences`.

    Raises
    ------
    InvalidInputError
        When `limit` is out of range.
    """
    rows = _page(tx, actor, records.DELIVERIES, before=before, limit=limit)
    return [delivery(row) for row in rows]


def deliveries_of(tx: Transaction, actor: access.Actor, alert: Alert) -> list[Delivery]:
    """Return who was told of an alert, the latest first; up to 1,000 messages of its cause.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.read``.
    alert
        Told of, or not.
    """
    access.require(actor, "alert.read")
    asked = {
        "in_project": tx.project,
        "in_cause": alert.cause,
        "since": alert.opened_at,
        "until": (alert.resolved_at or tx.at) + LATE_MS,
        "n": MOST_OF_ONE,
    }
    rows = tx.execute(records.DELIVERIES_SINCE, asked).mappings()
    return [one for one in map(delivery, rows) if alert.id in one.alerts]


def standing_silences(tx: Transaction) -> list[Silence]:
    """Return the silences whose end is to come, those that have yet to begin too."""
    asked = {"in_project": tx.project, "now": tx.at}
    return [_silence(row) for row in tx.execute(records.STANDING_SILENCES, asked).mappings()]


def delivery(row: Any) -> Delivery:
    """Return the delivery of a row of its table."""
    fields = {name: value for name, value in row.items() if name != "project"}
    fields["alerts"] = msgspec.json.decode(fields["alerts"], type=tuple[str, ...])
    return Delivery(**fields)


def _page(
    tx: Transaction, actor: access.Actor, question: Any, *, before: str, limit: int
) -> list[Any]:
    access.require(actor, "alert.read")
    if not 1 <= limit <= 1000:  # noqa: PLR2004 - said by the callers
        raise errors.InvalidInputError(f"limit must be 1 to 1000; got {limit}")
    asked = {"in_project": tx.project, "before_id": before or _AFTER_ALL_IDS, "n": limit}
    return list(tx.execute(question, asked).mappings())


def _silence(row: Any) -> Silence:
    fields = {name: value for name, value in row.items() if name != "project"}
    fields["column"] = fields.pop("column_name")
    fields["is_downtime"] = bool(fields["is_downtime"])
    return Silence(**fields)


def _record(tx: Transaction, actor: access.Actor, kind: str, made: Silence) -> None:
    facts = {
        "deployment": made.deployment,
        "kind": made.kind,
        "column": made.column,
        "from_at": made.from_at,
        "until_at": made.until_at,
        "is_downtime": made.is_downtime,
        "reason": made.reason,
    }
    events.record(tx, actor, kind, subject=f"silence:{made.id}", facts=facts)

"""What a person is told: once for each cause and column, until it is over.

The worker opens and resolves alerts; people acknowledge them through the doors. Findings go on
in every window (see `actions`); an alert that is open already is not opened again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from homeostat.foundation import access, errors, events, ids
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.monitoring import entities, records

_AFTER_ALL_IDS = "g"  # ids are hexadecimal


def open_alert(
    tx: Transaction,
    actor: access.Actor,
    *,
    deployment: str,
    kind: str,
    cause: str,
    column: str | None = None,
    sentence: str,
    evidence: Sequence[str] = (),
) -> entities.Alert:
    """Tell people of something, unless they were told and it is not over.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.write``.
    deployment
        Name of the deployment.
    kind
        What was seen, such as ``feed``, ``covariate-drift`` or ``harm``.
    cause
        What blame names, such as ``feed``.
    column
        The column concerned, if one.
    sentence, evidence
        For people.

    Returns
    -------
    Alert
        The one that is open for the same deployment, kind, cause and column, or a new one.

    Raises
    ------
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "alert.write")
    known = _unresolved(tx, deployment=deployment, kind=kind, cause=cause, column=column)
    if known:
        return known
    alert = entities.Alert(
        id=ids.new_id(),
        deployment=deployment,
        kind=kind,
        cause=cause,
        column=column,
        state="open",
        opened_at=tx.at,
        sentence=sentence,
        evidence=tuple(evidence),
    )
    fields = {name: getattr(alert, name) for name in alert.__struct_fields__}
    fields["column_name"] = fields.pop("column") or ""
    fields["evidence"] = msgspec.json.encode(alert.evidence).decode()
    tx.execute(records.INSERT_ALERT, {**fields, "project": tx.project})
    _record(tx, actor, "alert.opened", alert)
    return alert


def resolve_alert(tx: Transaction, actor: access.Actor, alert: str) -> entities.Alert:
    """Say that it is over; nothing happens when that was said before.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.write``.
    alert
        Its id.

    Raises
    ------
    NotFoundError
        When there is no such alert.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "alert.write")
    known = _get(tx, alert)
    if known.state == "resolved":
        return known
    tx.execute(records.RESOLVE, {"in_project": tx.project, "in_id": known.id, "to_at": tx.at})
    resolved = msgspec.structs.replace(known, state="resolved", resolved_at=tx.at)
    _record(tx, actor, "alert.resolved", resolved)
    return resolved


def resolve_alerts(
    tx: Transaction,
    actor: access.Actor,
    *,
    deployment: str,
    kind: str,
    column: str | None = None,
) -> list[entities.Alert]:
    """Say that everything of a kind is over, for one column or for all of them.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.write``.
    deployment, kind
        Of the alerts.
    column
        Only this one; every column when None.

    Returns
    -------
    list
        Those that were open or acknowledged, now resolved.

    Raises
    ------
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "alert.write")
    states = ("open", "acknowledged")
    return [
        resolve_alert(tx, actor, alert.id)
        for alert in _list(tx, deployment=deployment, states=states, before="", limit=1000)
        if alert.kind == kind and column in {None, alert.column}
    ]


def acknowledge_alert(tx: Transaction, actor: access.Actor, alert: str) -> entities.Alert:
    """Say that a person has seen it.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.acknowledge``.
    alert
        Its id.

    Returns
    -------
    Alert
        As before when it was acknowledged already.

    Raises
    ------
    NotFoundError
        When there is no such alert.
    ConflictError
        When it is resolved.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "alert.acknowledge")
    known = _get(tx, alert)
    if known.state == "resolved":
        raise errors.ConflictError(f"alert {alert} is resolved already", alert=alert)
    if known.state == "acknowledged":
        return known
    parameters = {"in_project": tx.project, "in_id": known.id}
    tx.execute(records.ACKNOWLEDGE, {**parameters, "to_at": tx.at, "to_by": actor.name})
    seen = msgspec.structs.replace(
        known, state="acknowledged", acknowledged_at=tx.at, acknowledged_by=actor.name
    )
    _record(tx, actor, "alert.acknowledged", seen)
    return seen


def get_alert(tx: Transaction, actor: access.Actor, alert: str) -> entities.Alert:
    """Return one alert; NotFoundError when there is none, NotAllowedError when not allowed."""
    access.require(actor, "alert.read")
    return _get(tx, alert)


def standing_at(
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    *,
    kind: str,
    cause: str,
    column: str | None,
) -> entities.Alert | None:
    """Return the alert of a place that is not over; None without.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.read``.
    deployment, kind, cause, column
        The place.
    """
    access.require(actor, "alert.read")
    return _unresolved(tx, deployment=deployment, kind=kind, cause=cause, column=column)


def list_alerts(
    tx: Transaction,
    actor: access.Actor,
    *,
    deployment: str | None = None,
    states: Sequence[entities.AlertState] = (),
    before: str = "",
    limit: int = 100,
) -> list[entities.Alert]:
    """Return alerts, the latest first, page by page.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.read``.
    deployment
        Only of this one; of all when None.
    states
        Only in these; in all when empty.
    before
        Id of the last alert of the page before; the first page when empty.
    limit
        Alerts a page, 1 to 1000.

    Raises
    ------
    InvalidInputError
        When `limit` is out of range.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "alert.read")
    if not 1 <= limit <= 1000:  # noqa: PLR2004 - said above
        raise errors.InvalidInputError(f"limit must be 1 to 1000; got {limit}")
    return _list(tx, deployment=deployment, states=states, before=before, limit=limit)


def _list(
    tx: Transaction,
    *,
    deployment: str | None,
    states: Sequence[str],
    before: str,
    limit: int,
) -> list[entities.Alert]:
    parameters: dict[str, Any] = {
        "in_project": tx.project,
        "before_id": before or _AFTER_ALL_IDS,
        "n": limit,
    }
    if deployment is not None:
        parameters["in_deployment"] = deployment
    if states:
        parameters["in_states"] = list(states)
    question = records.ALERTS[deployment is not None, bool(states)]
    return [read_row(row) for row in tx.execute(question, parameters).mappings()]


def _unresolved(
    tx: Transaction, *, deployment: str, kind: str, cause: str, column: str | None
) -> entities.Alert | None:
    parameters = {
        "in_project": tx.project,
        "in_deployment": deployment,
        "in_kind": kind,
        "in_cause": cause,
        "in_column": column or "",
    }
    row = tx.execute(records.UNRESOLVED, parameters).mappings().first()
    return read_row(row) if row else None


def _get(tx: Transaction, alert: str) -> entities.Alert:
    parameters = {"in_project": tx.project, "in_id": alert}
    row = tx.execute(records.ALERT, parameters).mappings().first()
    if row is None:
        raise errors.NotFoundError(
            f"no alert {alert!r}", hint="see homeostat alerts", alert=alert
        )
    return read_row(row)


def read_row(row: Any) -> entities.Alert:
    """Return the alert of a row of its table."""
    fields = {name: value for name, value in row.items() if name != "project"}
    fields["column"] = fields.pop("column_name") or None
    fields["evidence"] = msgspec.json.decode(fields["evidence"], type=tuple[str, ...])
    return entities.Alert(**fields)


def _record(tx: Transaction, actor: access.Actor, kind: str, alert: entities.Alert) -> None:
    facts = {
        "deployment": alert.deployment,
        "kind": alert.kind,
        "cause": alert.cause,
        "column": alert.column,
        "sentence": alert.sentence,
    }
    events.record(tx, actor, kind, subject=f"alert:{alert.id}", facts=facts)

"""Keep and read judged windows; the worker writes them, the doors show them.

Alerts have a file of their own, and the same two first parameters.
"""

from __future__ import annotations

from typing import Any

import msgspec

from homeostat.foundation import access, errors, events, ids
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.monitoring import alerts, entities, records
from homeostat.measures import summary

open_alert = alerts.open_alert
resolve_alert = alerts.resolve_alert
resolve_alerts = alerts.resolve_alerts
acknowledge_alert = alerts.acknowledge_alert
get_alert = alerts.get_alert
list_alerts = alerts.list_alerts

_AFTER_ALL_ROWS = 2**62


class _Stored(msgspec.Struct, frozen=True):
    """What of a judgement is kept as JSON."""

    findings: tuple[entities.Finding, ...] = ()
    causes: tuple[entities.Cause, ...] = ()
    broken: tuple[entities.RowRange, ...] | None = None
    shift: entities.ShiftEffect | None = None
    lacking: dict[str, str] = {}


def save_window(
    tx: Transaction, actor: access.Actor, deployment: str, judgement: entities.Judgement
) -> entities.Window:
    """Keep a judged window, once: the same rows again return what was kept.

    Parameters
    ----------
    tx, actor
        Needs the action ``monitoring.write``.
    deployment
        Name of the deployment.
    judgement
        From `judge.window`.

    Returns
    -------
    Window
        As stored. An event is recorded when there are findings.

    Raises
    ------
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "monitoring.write")
    place = {
        "in_project": tx.project,
        "in_deployment": deployment,
        "at_first_row": judgement.first_row,
        "at_end_row": judgement.end_row,
    }
    known = tx.execute(records.WINDOW_AT, place).mappings().first()
    if known is not None:
        return _window(known)
    stored = _Stored(
        judgement.findings,
        judgement.causes,
        judgement.broken,
        judgement.shift,
        judgement.lacking,
    )
    row: dict[str, Any] = {
        "project": tx.project,
        "id": ids.new_id(),
        "deployment": deployment,
        "first_row": judgement.first_row,
        "end_row": judgement.end_row,
        "n_rows": judgement.n_rows,
        "n_findings": len(judgement.findings),
        "at": tx.at,
        "judgement": msgspec.json.encode(stored).decode(),
        "summary": summary.encode(judgement.summary),
    }
    tx.execute(records.INSERT_WINDOW, row)
    if judgement.findings:
        facts = {
            "window": row["id"],
            "first_row": judgement.first_row,
            "end_row": judgement.end_row,
            "findings": [[f.kind, f.column] for f in judgement.findings],
            "causes": [[c.kind, c.column] for c in judgement.causes],
        }
        subject = f"deployment:{deployment}"
        events.record(tx, actor, "window.found", subject=subject, facts=facts)
    return _window(row)


def list_windows(
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    *,
    with_findings: bool = False,
    before_row: int | None = None,
    limit: int = 100,
) -> list[entities.Window]:
    """Return judged windows, the latest first, page by page.

    Parameters
    ----------
    tx, actor
        Needs the action ``monitoring.read``.
    deployment
        Name of the deployment.
    with_findings
        Only windows in which something was found.
    before_row
        Only windows that begin before this row; the ``first_row`` of the last window of a
        page asks for the next.
    limit
        Windows a page, 1 to 1000.

    Raises
    ------
    InvalidInputError
        When `limit` is out of range.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "monitoring.read")
    if not 1 <= limit <= 1000:  # noqa: PLR2004 - said above
        raise errors.InvalidInputError(f"limit must be 1 to 1000; got {limit}")
    parameters = {
        "in_project": tx.project,
        "in_deployment": deployment,
        "before_row": _AFTER_ALL_ROWS if before_row is None else before_row,
        "least_findings": int(with_findings),
        "n": limit,
    }
    return [_window(row) for row in tx.execute(records.WINDOWS, parameters).mappings()]


def read_summary(tx: Transaction, actor: access.Actor, window: str) -> summary.TableSummary:
    """Return the column summary of one window, to be merged or drawn.

    Raises
    ------
    NotFoundError
        When there is no such window.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "monitoring.read")
    parameters = {"in_project": tx.project, "in_id": window}
    row = tx.execute(records.WINDOW, parameters).mappings().first()
    if row is None:
        raise errors.NotFoundError(f"no window {window!r}", window=window)
    return summary.decode_summary(row["summary"])


def _window(row: Any) -> entities.Window:
    stored = msgspec.json.decode(row["judgement"], type=_Stored)
    return entities.Window(
        id=row["id"],
        deployment=row["deployment"],
        first_row=row["first_row"],
        end_row=row["end_row"],
        n_rows=row["n_rows"],
        at=row["at"],
        findings=stored.findings,
        causes=stored.causes,
        broken=stored.broken,
        shift=stored.shift,
        lacking=stored.lacking,
    )

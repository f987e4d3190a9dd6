"""How often corrections fire, counted from the log as its segments are accepted.

Called by `serving.correcting` for every segment that a prediction server hands over, and by
`actions` to tell.
"""

from __future__ import annotations

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.corrections import records
from homeostat.lifecycle.corrections.entities import Correction, Firing
from homeostat.lifecycle.predictions.entities import Touched

_HOUR_MS = 3_600_000
_DAY_H = 24


def of(tx: Transaction, found: Correction) -> Firing:
    """Count how often a version of a correction changed a score or an answer.

    Parameters
    ----------
    tx
        Any transaction.
    found
        As read.

    Returns
    -------
    Firing
        Over all segments that were handed over; by whole hours.
    """
    since = found.made_at if found.approved_at is None else found.approved_at
    which = {
        "in_project": tx.project,
        "in_deployment": found.deployment,
        "in_correction": found.mark,
        "since_hour": since // _HOUR_MS,
        "day_hour": tx.at // _HOUR_MS - _DAY_H + 1,
    }
    rows = {row.correction: row for row in tx.execute(records.SUM_COUNTS, which)}
    fired, every = rows.get(found.mark), rows.get("")
    return Firing(
        n_fired=int(fired.n_rows) if fired else 0,
        n_rows=int(every.n_rows) if every else 0,
        n_fired_day=int(fired.n_rows_day) if fired else 0,
        n_rows_day=int(every.n_rows_day) if every else 0,
    )


def add(tx: Transaction, deployment: str, touched: Touched) -> None:
    """Add up how often corrections fired in a segment; once for each segment.

    Parameters
    ----------
    tx
        Of the segment's acceptance.
    deployment
        Whose log it is; nothing is counted for one that never had an approved correction.
    touched
        From `seal_segment`.
    """
    which = {"in_project": tx.project, "in_deployment": deployment}
    asked = {**which, "in_statuses": ["approved", "withdrawn", "replaced"]}
    if not touched.hours or not tx.execute(records.COUNT, asked).scalar_one():
        return
    key = {"project": tx.project, "deployment": deployment}
    rows = [
        {**key, "correction": mark, "hour": one.hour, "n_rows": n}
        for one in touched.hours
        for mark, n in {"": one.n_rows, **one.fired}.items()
    ]
    tx.run(records.ADD_COUNTS, rows)

"""The points of one metric in the order they were logged, page by page; called by the doors."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import point_records, records, tokens

_KINDS: Final = (int, int, float, str)
_START: Final = (-(2**63), -(2**63), float("-inf"), "")


class HistoryPage(NamedTuple):
    """Some points of a metric.

    Parameters
    ----------
    rows
        Value, at, step, kind; the kind is None when the value is finite, as all but all are.
    token
        Of the page behind; empty on the last one.
    """

    rows: list[tuple[float, int, int, str | None]]
    token: str


def read_page(
    tx: Transaction, actor: access.Actor, run_id: str, *, key: str, limit: int, token: str = ""
) -> HistoryPage:
    """Return points of one metric by time, then step, then value.

    Parameters
    ----------
    tx, actor
        Reading suffices, and who asks.
    run_id, key
        Of whom; one that was never logged has no points.
    limit
        Most points, at least 1.
    token
        Of the page before.

    Returns
    -------
    HistoryPage
        In the order of the primary key, so that no page costs more than its points.

    Raises
    ------
    InvalidInputError
        When the token is not one of this history.
    """
    access.require(actor, "run.read")
    question = [run_id, key]
    place = tokens.placed(tokens.read(token, question), _KINDS) or _START
    which: dict[str, Any] = {
        **records.of_run(tx, run_id),
        "in_key": key,
        "in_limit": limit + 1,
        **point_records.after(place),
    }
    rows = tx.run(point_records.PAGE, which).fetchall()
    if len(rows) <= limit:
        return HistoryPage(rows, "")
    rows.pop()
    value, at, step, kind = rows[-1]
    return HistoryPage(rows, tokens.make(question, [at, step, value, kind or "finite"]))

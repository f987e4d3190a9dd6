"""The points of one metric in the order they were logged, page by page; called by the doors."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from homeostat.foundation import access
from homeostat.foundation.database import Prepared, Transaction
from homeostat.lifecycle.tracking import records, tokens

_C = records.metrics.c
_ORDER: Final = (_C.at, _C.step, _C.value, _C.kind)
_PAGE: Final = Prepared(
    sa.select(_C.value, _C.at, _C.step, sa.func.nullif(_C.kind, sa.literal_column("'finite'")))
    .where(
        _C.project == records.IN_PROJECT,
        _C.run_id == records.IN_RUN,
        _C.key == sa.bindparam("in_key"),
        sa.tuple_(*_ORDER)
        > sa.tuple_(
            *(sa.bindparam(f"after_{column.name}", type_=column.type) for column in _ORDER)
        ),
    )
    .order_by(*_ORDER)
    .limit(sa.bindparam("in_limit", type_=sa.BigInteger))
    .offset(sa.literal_column("0"))  # SQLite's dialect would ask for a parameter of its own
)
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
        **{f"after_{column.name}": at for column, at in zip(_ORDER, place, strict=True)},
    }
    rows = tx.run(_PAGE, which).fetchall()
    if len(rows) <= limit:
        return HistoryPage(rows, "")
    rows.pop()
    value, at, step, kind = rows[-1]
    return HistoryPage(rows, tokens.make(question, [at, step, value, kind or "finite"]))

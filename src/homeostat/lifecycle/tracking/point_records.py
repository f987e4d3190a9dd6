"""The SQL that reads points of one metric of a run: page by page, or evenly chosen ones.

Called by `history` and `samples` only; the table is that of `records`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from homeostat.foundation.database import Prepared
from homeostat.lifecycle.tracking import records

_C = records.metrics.c
_ORDER: Final = (_C.at, _C.step, _C.value, _C.kind)
PAGE: Final = Prepared(
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

_BETWEEN = records.POINTS_OF_KEY.where(
    _C.step.between(sa.bindparam("in_first"), sa.bindparam("in_last"))
)
_BINS = _BETWEEN.add_columns(
    sa.func.ntile(sa.bindparam("in_bins", type_=sa.Integer))
    .over(order_by=records.BY_STEP)
    .label("bin")
).subquery()
_OF_BIN = (_BINS.c.step, _BINS.c.at, _BINS.c.value, _BINS.c.kind)
_RANKED = sa.select(
    *(_BINS.c[name] for name in ("key", "value", "at", "step", "kind")),
    sa.func.row_number().over(partition_by=_BINS.c.bin, order_by=_OF_BIN).label("place"),
).subquery()
SAMPLE = (
    sa.select(*(_RANKED.c[name] for name in ("key", "value", "at", "step", "kind")))
    .where(_RANKED.c.place == 1)
    .order_by(_RANKED.c.step, _RANKED.c.at, _RANKED.c.value, _RANKED.c.kind)
)
LAST = _BETWEEN.order_by(*(column.desc() for column in records.BY_STEP)).limit(1)


def after(place: Sequence[Any]) -> dict[str, Any]:
    """Name the place behind which `PAGE` begins in its parameters.

    Parameters
    ----------
    place
        Instant, step, value and kind of the point that was shown last.
    """
    return {f"after_{column.name}": at for column, at in zip(_ORDER, place, strict=True)}

"""The SQL that reads all that a run keeps, in one statement; called by `whole` only."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from homeostat.foundation.database import Prepared
from homeostat.lifecycle.tracking import input_records, records

METRIC, PARAM, TAG, MODEL, DATASET = range(5)


def _part(part: int, table: sa.Table, key: str, text: str, **numbers: str) -> sa.Select[Any]:
    nothing = {"number": sa.Float, "at": sa.BigInteger, "step": sa.BigInteger}
    return sa.select(
        sa.literal_column(str(part)),
        table.c[key],
        table.c[text],
        *(
            table.c[numbers[name]] if name in numbers else sa.cast(sa.null(), kind)
            for name, kind in nothing.items()
        ),
    ).where(table.c.project == records.IN_PROJECT, table.c.run_id == records.IN_RUN)


# One statement for all that a run keeps: five would cost three times as much as their rows.
KEPT: Final = Prepared(
    sa.union_all(
        _part(
            *(METRIC, records.latest_metrics, "key", "kind"),
            number="value",
            at="at",
            step="step",
        ),
        _part(PARAM, records.params, "key", "value"),
        _part(TAG, records.tags, "key", "value"),
        _part(MODEL, input_records.run_models, "role", "model_id", step="step"),
        _part(DATASET, input_records.run_datasets, "name", "digest"),
    )
)

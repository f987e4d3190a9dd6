"""What the training rows of a model looked like, as far as its explanations need it.

Called by `format` and `adopt` when a model is described. Quantiles, shares and means of many
rows: no single row can be read from them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from homeostat.foundation import log
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.registry import columns
from homeostat.lifecycle.registry.entities import ColumnReference, Reference

QUANTILES = 21
ROWS_AT_MOST = 100_000
_log = log.get(__name__)


def of(estimator: Any, rows: pl.DataFrame, schema: Schema, *, by_name: bool) -> Reference:
    """Summarise the rows a model was fitted on.

    Parameters
    ----------
    estimator
        Fitted; `means` are made for a linear model, alone or at the end of a pipeline.
    rows
        1 or more; of more than 100,000 evenly spaced ones are taken.
    schema
        Of the features.
    by_name
        Whether the estimator takes a table with column names.

    Returns
    -------
    Reference
        Of `rows`.
    """
    thinned = rows.gather_every(-(-rows.height // ROWS_AT_MOST))
    seen = {one.name: _column(thinned[one.name], one) for one in schema.columns}
    means = _means(estimator, thinned, schema, by_name=by_name)
    return Reference(n_rows=rows.height, columns=seen, means=means)


def _column(values: pl.Series, column: Column) -> ColumnReference:
    missing = values.null_count() / max(1, len(values))
    if column.kind in columns.TEXTS or column.kind == "boolean":
        if column.kind == "text" and column.categories is None:
            return ColumnReference(missing=missing)
        counts = values.drop_nulls().cast(pl.String).value_counts(sort=True).rows()
        n = max(1, len(values))
        shares = {
            name: count / n for name, count in sorted(counts, key=lambda c: (-c[1], c[0]))
        }
        return ColumnReference(shares=shares, missing=missing)
    x = columns.numbers(values.to_list(), column)
    finite = x[np.isfinite(x)]
    if not len(finite):
        return ColumnReference(missing=1.0)
    # Values that were there: whole numbers stay whole.
    places = np.linspace(0.0, 1.0, QUANTILES)
    cuts = np.quantile(finite, places, method="inverted_cdf")
    return ColumnReference(quantiles=tuple(cuts.tolist()), missing=missing)


def _means(
    estimator: Any, rows: pl.DataFrame, schema: Schema, *, by_name: bool
) -> tuple[float, ...]:
    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)])]
    if getattr(steps[-1], "coef_", None) is None:
        return ()
    try:
        made = (columns.table if by_name else columns.matrix)(rows, schema)
        for step in steps[:-1]:
            made = step.transform(made)
        return tuple(float(one) for one in np.asarray(made.mean(axis=0)).ravel())
    except Exception as error:  # noqa: BLE001 - a user's step; explanations do without
        _log.warning("no means of training rows", why=f"{type(error).__name__}: {error}")
        return ()

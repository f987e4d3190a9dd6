"""Is there anything to learn from these rows? Asked by `duties` before a fit."""

from __future__ import annotations

import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.policy.entities import Policy

SMALLEST_TABLE = 20


def need(table: pl.DataFrame, policy: Policy) -> None:
    """Refuse rows that nothing can be learned from.

    Parameters
    ----------
    table
        With the target.
    policy
        Names it, and the task.

    Raises
    ------
    InvalidInputError
        When there are too few rows, one class or one number only, or numbers were expected
        and are none.
    """
    target = policy.model.target
    if table.height < SMALLEST_TABLE:
        raise errors.InvalidInputError(
            f"{table.height} labelled rows are too few to learn from; {SMALLEST_TABLE} needed"
        )
    if policy.model.task == "regression":
        _refuse_no_numbers(table[target])
        return
    classes = table[target].drop_nulls().unique().sort().to_list()
    if len(classes) < 2:  # noqa: PLR2004 - two classes make a classification
        raise errors.InvalidInputError(
            f"column {target!r} holds one class only ({classes[0] if classes else 'nothing'}); "
            "there is nothing to learn",
            column=target,
        )


def _refuse_no_numbers(target: pl.Series) -> None:
    numbers = target.cast(pl.Float64, strict=False)
    if numbers.null_count() > target.null_count():
        raise errors.InvalidInputError(
            f"column {target.name!r} holds what is no number, and the task is regression",
            hint='say task = "classification" under [model]',
            column=target.name,
        )
    if numbers.n_unique() < 2:  # noqa: PLR2004 - one number foretells itself
        raise errors.InvalidInputError(
            f"column {target.name!r} holds one number only; there is nothing to learn",
            column=target.name,
        )

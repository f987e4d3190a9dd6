"""Finding logged models: filter, order, page by page; called by the doors.

Pages begin behind the last row shown, never at a count of rows, so that a page deep down costs
no more than the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import (
    comparing,
    experiments,
    language,
    logged_conditions,
    logged_records,
)
from homeostat.lifecycle.tracking.logged_entities import Dataset, Order, Page

PAGE: Final = 100
LARGEST_PAGE: Final = 1000

FIELDS: Final = language.Fields(
    attributes={
        name: language.NUMBER if name in logged_conditions.TIMES else language.LISTED
        for name in logged_conditions.COLUMNS
    },
    metrics=language.NUMBER,
    params=language.LISTED,
    tags=language.LISTED,
    aliases=logged_conditions.ALIASES,
)


def search_models(
    tx: Transaction,
    actor: access.Actor,
    *,
    experiment_ids: Sequence[str],
    condition: str = "",
    datasets: Sequence[Dataset] = (),
    order: Sequence[Order] = (),
    limit: int = PAGE,
    after: str = "",
) -> Page:
    """Return logged models that are not deleted and fulfil every condition.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    experiment_ids
        Decimal.
    condition
        In the language of filters, such as ``name = 'tree' AND metrics.auc > 0.8``; a metric
        fulfils it with any of its points, and status is named as in ``READY``.
    datasets
        Only points measured on one of these count, and models without any are left out.
    order
        Most important first; ends with the newest, then by id.
    limit
        Most models on a page, 1 or more; at most 1,000 are given.
    after
        `next` of the page before, or empty.

    Returns
    -------
    Page
        With params, tags and points of each model.

    Raises
    ------
    InvalidInputError
        When an id, the condition, the order, the limit or `after` cannot be right.
    """
    access.require(actor, "run.read")
    if limit < 1:
        raise errors.InvalidInputError(f"max_results is 1 or more; got {limit}")
    numbers = _numbers(experiment_ids)
    terms = logged_conditions.terms(tx, order)
    conditions = language.parse(condition, FIELDS)
    chosen = logged_conditions.all_of(tx, numbers, conditions, datasets=datasets)
    question = [numbers, condition, list(datasets), list(order)]
    rows, following = comparing.page(
        *(tx, [logged_records.models], chosen),
        terms=terms,
        question=question,
        limit=min(limit, LARGEST_PAGE),
        after=after,
    )
    found = [logged_records.model_from(row) for row in rows]
    return Page(models=logged_records.all_with_values(tx, found), next=following)


def _numbers(ids: Sequence[str]) -> list[int]:
    return [experiments.number_of(one) for one in ids]

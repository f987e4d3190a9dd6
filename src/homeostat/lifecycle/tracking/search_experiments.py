"""The search for experiments as MLflow's clients ask for it; part of tracking's actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import (
    comparing,
    entities,
    experiment_records,
    language,
    records,
    search,
    search_runs,
)

FIELDS: Final = language.Fields(
    attributes={
        "name": language.TEXT,
        "experiment_id": language.IDENTITY,
        "creation_time": language.WHOLE,
        "last_update_time": language.WHOLE,
    },
    tags=language.NULLABLE,
    orders=frozenset(experiment_records.COLUMNS),
    repeats=True,
)
_NEWEST: Final = (
    language.Order("attribute", "creation_time", ascending=False),
    language.Order("attribute", "experiment_id", ascending=True),
)


class ExperimentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some experiments.

    Parameters
    ----------
    experiments
        With their tags.
    next
        Give it as `after` to get the page behind; empty on the last one.
    """

    experiments: tuple[entities.ExperimentRecord, ...]
    next: str = ""


def find_experiments(
    tx: Transaction,
    actor: access.Actor,
    *,
    condition: str = "",
    order: Sequence[str] = (),
    stages: Sequence[str] = search.ACTIVE,
    limit: int = 1000,
    after: str = "",
) -> ExperimentPage:
    """Return the experiments of one page.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    condition
        In the language of filters, such as ``name LIKE 'credit%' AND tags.team = 'risk'``.
    order
        Such as ``name ASC``; the newest first when empty.
    stages
        `search.ACTIVE`, `search.DELETED` or `search.ANY_STAGE`.
    limit
        Most experiments on the page, 1 to 50,000.
    after
        Token of the page before, or empty.

    Returns
    -------
    ExperimentPage
        In order.

    Raises
    ------
    InvalidInputError
        When the condition, the order, the limit or `after` cannot be right.
    """
    access.require(actor, "run.read")
    search_runs.check_limit(limit)
    table = records.experiments
    terms = experiment_records.terms(tx, language.order(order, FIELDS) or _NEWEST)
    question = [condition, list(order), sorted(stages)]
    chosen = [
        table.c.project == tx.project,
        table.c.lifecycle_stage.in_(list(stages)),
        *(experiment_records.holds(tx, one) for one in language.parse(condition, FIELDS)),
    ]
    rows, following = comparing.page(
        tx, [table], chosen, terms=terms, question=question, limit=limit, after=after
    )
    found = [records.experiment_from(row) for row in rows]
    return ExperimentPage(experiments=experiment_records.with_tags(tx, found), next=following)

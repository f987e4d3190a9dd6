"""The search for runs as MLflow's clients ask for it; part of tracking's actions."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Final

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import experiments, language, search

LARGEST_PAGE: Final = 50_000
_LONGEST_KEPT: Final = 2000
_TEXTS: Final = ("run_name", "status", "artifact_uri", "user_id")
_TIMES: Final = ("start_time", "end_time")
FIELDS: Final = language.Fields(
    attributes={
        "run_id": language.LISTED,
        **dict.fromkeys(_TEXTS, language.TEXT),
        **dict.fromkeys(_TIMES, language.NUMBER),
    },
    metrics=language.NUMBER,
    params=language.NULLABLE,
    tags=language.NULLABLE,
    datasets=dict.fromkeys(("name", "digest", "context"), language.LISTED),
    orders=frozenset({"run_id", *_TEXTS, *_TIMES}),
    ordered_subjects=frozenset({"metric", "param", "tag"}),
    aliases={
        **dict.fromkeys(("created", "Created"), "start_time"),
        **dict.fromkeys(("run name", "Run name", "Run Name"), "run_name"),
    },
)


def find_runs(
    tx: Transaction,
    actor: access.Actor,
    *,
    experiment_ids: Sequence[str],
    condition: str = "",
    order: Sequence[str] = (),
    stages: Sequence[str] = search.ACTIVE,
    limit: int = 1000,
    after: str = "",
) -> tuple[list[str], str]:
    """Return the ids of the runs of one page.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    experiment_ids
        Decimal; no run is found when it is empty. One that does not exist has no runs.
    condition
        In the language of filters, such as ``metrics.auc > 0.8 AND params.model = 'tree'``.
    order
        Such as ``metrics.auc DESC``; then come the newest.
    stages
        `search.ACTIVE`, `search.DELETED` or `search.ANY_STAGE`.
    limit
        Most runs on the page, 1 to 50,000.
    after
        Token of the page before, or empty.

    Returns
    -------
    tuple
        Ids in order, and the token of the page behind, empty on the last one.

    Raises
    ------
    InvalidInputError
        When an id, the condition, the order, the limit or `after` cannot be right.
    """
    access.require(actor, "run.read")
    check_limit(limit)
    is_long = len(condition) + sum(map(len, order)) > _LONGEST_KEPT
    conditions, orders = (_parsed if is_long else _kept)(condition, tuple(order))
    return search.find(
        tx,
        experiments=_numbers(experiment_ids),
        conditions=conditions,
        orders=orders,
        stages=stages,
        limit=limit,
        after=after,
    )


def _parsed(
    condition: str, order: tuple[str, ...]
) -> tuple[tuple[language.Condition, ...], tuple[language.Order, ...]]:
    return language.parse(condition, FIELDS), language.order(order, FIELDS)


# Clients ask the same question again and again, with other runs there.
_kept = functools.lru_cache(maxsize=256)(_parsed)


def check_limit(limit: int) -> None:
    """Refuse a size of a page that is not served.

    Parameters
    ----------
    limit
        Rows on a page.

    Raises
    ------
    InvalidInputError
        When it is not 1 to 50,000.
    """
    if 1 <= limit <= LARGEST_PAGE:
        return
    needed = "a positive integer" if limit < 1 else f"at most {LARGEST_PAGE}"
    raise errors.InvalidInputError(
        f"Invalid value {limit} for parameter 'max_results' supplied. It must be {needed}"
    )


def _numbers(experiment_ids: Sequence[str]) -> list[int]:
    """Return the numbers of experiments, without those that are beyond all there can be."""
    found: list[int] = []
    for one in experiment_ids:
        if not one:
            raise errors.InvalidInputError(
                "Invalid experiment ID ''. Experiment ID must be a valid integer."
            )
        with contextlib.suppress(errors.NotFoundError):
            found.append(experiments.number_of(one))
    return found

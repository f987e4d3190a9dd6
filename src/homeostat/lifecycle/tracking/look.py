"""Actions that only read runs; part of tracking's actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import (
    artifacts,
    datasets,
    entities,
    input_records,
    records,
    runs,
    search,
)

LARGEST_PAGE: Final = 1000
LONGEST_HISTORY: Final = 100_000


def get_run(tx: Transaction, actor: access.Actor, run_id: str) -> entities.RunRecord:
    """Return a run with all it keeps.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    run_id
        32 hexadecimal digits.

    Returns
    -------
    RunRecord
        Metrics at their latest point.

    Raises
    ------
    NotFoundError
        When there is no such run.
    """
    access.require(actor, "run.read")
    run = runs.existing(tx, run_id)
    which = records.of_run(tx, run_id)
    read = tx.execute(records.INPUTS_OF_RUN, which)
    described = tx.run(input_records.RUN_DATASETS, which).fetchall()
    models = tx.run(input_records.RUN_MODELS, which).fetchall()
    made = tx.execute(records.OUTPUTS_OF_RUN, which)
    return msgspec.structs.replace(
        search.with_values(tx, [run])[0],
        inputs=tuple(entities.Input(row.name, row.reference, row.digest) for row in read),
        outputs=tuple(entities.Output(row.name, row.reference, row.digest) for row in made),
        datasets=datasets.datasets_of(described),
        models=tuple(entities.ModelLink(*row) for row in models),
        artifacts=tuple(artifacts.under(tx, artifacts.of_run(run_id))),
    )


def metric_history(
    tx: Transaction,
    actor: access.Actor,
    run_id: str,
    *,
    key: str,
    limit: int = 10_000,
) -> list[entities.Metric]:
    """Return the points of one metric, by step and time.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    run_id
        32 hexadecimal digits.
    key
        Of the metric.
    limit
        Most points returned, up to 100,000.

    Returns
    -------
    list of Metric
        Empty when it was never logged.

    Raises
    ------
    NotFoundError
        When there is no such run.
    """
    access.require(actor, "run.read")
    runs.existing(tx, run_id)
    most = min(limit, LONGEST_HISTORY)
    which = {**records.of_run(tx, run_id), "in_key": key, "in_limit": most}
    found = tx.execute(records.HISTORY, which)
    return [entities.Metric(row.key, row.value, row.at, row.step, row.kind) for row in found]


def search_runs(
    tx: Transaction,
    actor: access.Actor,
    *,
    experiments: Sequence[str] = (),
    where: Sequence[entities.Filter] = (),
    limit: int = 100,
    after: str = "",
) -> entities.Page:
    """Return active runs that fulfil every filter, newest first.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    experiments
        Decimal ids or names; all when empty.
    where
        Conditions.
    limit
        Most runs on a page, 1 to 1,000.
    after
        `next` of the page before, or empty.

    Returns
    -------
    Page
        With the latest metrics, params and tags of each run.

    Raises
    ------
    InvalidInputError
        When a filter, the limit or `after` cannot be right.
    NotFoundError
        When an experiment does not exist.
    """
    access.require(actor, "run.read")
    if not 1 <= limit <= LARGEST_PAGE:
        raise errors.InvalidInputError(f"limit is 1 to {LARGEST_PAGE}; got {limit}")
    chosen = [_experiment_id(tx, name) for name in experiments]
    return search.runs(tx, experiment_ids=chosen, where=where, limit=limit, after=after)


def _experiment_id(tx: Transaction, name: str) -> int:
    named = {"in_project": tx.project, "in_name": name}
    found = tx.run(records.EXPERIMENT_NAMED, named).fetchone()
    if found is None and name.isdigit():
        which = {"in_project": tx.project, "in_id": int(name)}
        found = tx.run(records.EXPERIMENT, which).fetchone()
    if found is None:
        raise errors.NotFoundError(f"there is no experiment {name!r}", name=name)
    return int(records.experiment_from(found).id)

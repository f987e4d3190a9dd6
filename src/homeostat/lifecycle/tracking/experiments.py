"""Actions on experiments; part of tracking's actions."""

from __future__ import annotations

import msgspec

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import entities, limits, records

LARGEST_PAGE = 1000


def create_experiment(tx: Transaction, actor: access.Actor, name: str) -> entities.Experiment:
    """Create an experiment.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    name
        Not in use yet in this project.

    Returns
    -------
    Experiment
        With its new decimal id.

    Raises
    ------
    NotAllowedError
        When the actor may not write experiments.
    ConflictError
        When the name is in use.
    InvalidInputError
        When the name is empty or too long.
    """
    access.require(actor, "experiment.write")
    limits.check_key("experiment", name)
    _ensure_default(tx)
    named = {"in_project": tx.project, "in_name": name}
    if tx.run(records.EXPERIMENT_NAMED, named).fetchone() is not None:
        raise errors.ConflictError(f"experiment {name!r} exists already", name=name)
    last = tx.execute(records.LAST_EXPERIMENT, {"in_project": tx.project}).scalar_one()
    made = entities.Experiment(id=str(last + 1), name=name, created_at=tx.at, updated_at=tx.at)
    tx.execute(
        records.INSERT_EXPERIMENT,
        {**msgspec.structs.asdict(made), "id": last + 1, "project": tx.project},
    )
    events.record(
        tx, actor, "experiment.created", subject=f"experiment:{made.id}", facts={"name": name}
    )
    return made


def ensure_experiment(tx: Transaction, actor: access.Actor, name: str) -> entities.Experiment:
    """Return an experiment by name, created when it does not exist; see `create_experiment`."""
    named = {"in_project": tx.project, "in_name": name}
    found = tx.run(records.EXPERIMENT_NAMED, named).fetchone()
    if found is None and name == entities.DEFAULT_EXPERIMENT:
        access.require(actor, "run.write")
        _ensure_default(tx)
        found = tx.run(records.EXPERIMENT_NAMED, named).fetchone()
    return (
        create_experiment(tx, actor, name) if found is None else records.experiment_from(found)
    )


def list_experiments(
    tx: Transaction, actor: access.Actor, *, after: str = "", limit: int = 100
) -> list[entities.Experiment]:
    """Return experiments by id, at most `limit` of them behind `after`."""
    access.require(actor, "run.read")
    behind = int(after) if after.isdigit() else -1
    which = {"in_project": tx.project, "in_after": behind, "in_limit": min(limit, LARGEST_PAGE)}
    return [records.experiment_from(row) for row in tx.execute(records.EXPERIMENTS, which)]


def _ensure_default(tx: Transaction) -> None:
    row = {
        "project": tx.project,
        "id": 0,
        "name": entities.DEFAULT_EXPERIMENT,
        "lifecycle_stage": "active",
        "artifact_root": "",
        "created_at": tx.at,
        "updated_at": tx.at,
    }
    tx.run(records.INSERT_DEFAULT, row)

"""Actions that change experiments after they were made; part of tracking's actions."""

from __future__ import annotations

from typing import Final

import msgspec

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import entities, experiments, limits, records

_LONGEST_FACT: Final = 1000


def rename_experiment(
    tx: Transaction, actor: access.Actor, experiment_id: str, *, name: str
) -> entities.Experiment:
    """Give an active experiment another name.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    experiment_id
        Decimal digits.
    name
        Not in use by another.

    Returns
    -------
    Experiment
        As it is now.

    Raises
    ------
    NotFoundError
        When there is no such experiment.
    InvalidInputError
        When it is deleted, or the name cannot be right.
    ConflictError
        When the name is in use.
    """
    access.require(actor, "experiment.write")
    limits.check_experiment_name(name)
    found = experiments.existing(tx, experiment_id)
    if found.lifecycle_stage != "active":
        raise errors.InvalidInputError("Cannot rename a non-active experiment.", id=found.id)
    if name == found.name:
        return found
    named = {"in_project": tx.project, "in_name": name}
    if tx.run(records.EXPERIMENT_NAMED, named).fetchone() is not None:
        raise errors.ConflictError(f"Experiment(name={name}) already exists.", name=name)
    changed = msgspec.structs.replace(found, name=name, updated_at=tx.at)
    _change(tx, changed)
    experiments.record(tx, actor, "renamed", changed, facts={"from": found.name, "to": name})
    return changed


def delete_experiment(tx: Transaction, actor: access.Actor, experiment_id: str) -> None:
    """Delete an experiment and its runs, in a way that `restore_experiment` undoes.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    experiment_id
        Decimal digits, of an active one.

    Raises
    ------
    NotFoundError
        When there is no active experiment of this id.
    """
    _stage(tx, actor, experiment_id, stage="deleted")


def restore_experiment(tx: Transaction, actor: access.Actor, experiment_id: str) -> None:
    """Take back a deletion; all runs of the experiment become active again.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    experiment_id
        Decimal digits, of a deleted one.

    Raises
    ------
    NotFoundError
        When there is no deleted experiment of this id.
    """
    _stage(tx, actor, experiment_id, stage="active")


def set_experiment_tag(
    tx: Transaction, actor: access.Actor, experiment_id: str, *, key: str, value: str
) -> None:
    """Write a tag of an active experiment; the last value counts.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    experiment_id
        Decimal digits.
    key, value
        Text of up to 250 and 20,000 characters.

    Raises
    ------
    NotFoundError
        When there is no such experiment.
    InvalidInputError
        When it is deleted, or the key or value cannot be right.
    """
    access.require(actor, "experiment.write")
    experiments.check_tag(key, value)
    found = experiments.active(experiments.existing(tx, experiment_id))
    experiments.write_tags(tx, found.id, {key: value})
    experiments.record(tx, actor, "tagged", found, facts={"tags": {key: value[:_LONGEST_FACT]}})


def delete_experiment_tag(
    tx: Transaction, actor: access.Actor, experiment_id: str, *, key: str
) -> None:
    """Take a tag off an active experiment.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    experiment_id
        Decimal digits.
    key
        Of the tag.

    Raises
    ------
    NotFoundError
        When there is no such experiment, or no such tag on it.
    InvalidInputError
        When the experiment is deleted.
    """
    access.require(actor, "experiment.write")
    found = experiments.active(experiments.existing(tx, experiment_id))
    which = {"in_project": tx.project, "in_id": int(found.id), "in_key": key}
    if tx.execute(records.DELETE_EXPERIMENT_TAG, which).rowcount == 0:
        raise errors.NotFoundError(
            f"No tag with name: {key} in experiment with id {found.id}", key=key
        )
    experiments.record(tx, actor, "untagged", found, facts={"key": key})


def _stage(
    tx: Transaction, actor: access.Actor, experiment_id: str, *, stage: entities.Stage
) -> None:
    access.require(actor, "experiment.write")
    found = experiments.existing(tx, experiment_id)
    if found.lifecycle_stage == stage:
        raise errors.NotFoundError(
            f"No Experiment with id={found.id} exists",
        )
    if found.id == entities.DEFAULT_EXPERIMENT_ID:
        experiments.ensure_default(tx)
    _change(tx, msgspec.structs.replace(found, lifecycle_stage=stage, updated_at=tx.at))
    runs = {
        "in_project": tx.project,
        "in_id": int(found.id),
        "to_stage": stage,
        "to_deleted_at": tx.at if stage == "deleted" else None,
    }
    n_runs = tx.execute(records.STAGE_RUNS, runs).rowcount
    kind = "deleted" if stage == "deleted" else "restored"
    experiments.record(tx, actor, kind, found, facts={"name": found.name, "n_runs": n_runs})


def _change(tx: Transaction, made: entities.Experiment) -> None:
    changed = {
        f"to_{name}": getattr(made, name) for name in ("name", "lifecycle_stage", "updated_at")
    }
    tx.execute(
        records.CHANGE_EXPERIMENT,
        {"in_project": tx.project, "in_id": int(made.id), **changed},
    )

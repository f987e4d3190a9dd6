"""Actions on experiments; part of tracking's actions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import entities, limits, places, records

LARGEST_PAGE: Final = 1000
_LARGEST_ID: Final = 2**63 - 1
_TABLE: Final = records.experiments.name
_DIGITS: Final = re.compile(r"-?[0-9]+")


def create_experiment(
    tx: Transaction,
    actor: access.Actor,
    name: str,
    *,
    artifact_location: str = "",
    tags: Mapping[str, str] | None = None,
) -> entities.Experiment:
    """Create an experiment.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    name
        Not in use yet in this project, not by a deleted experiment either; up to 500
        characters.
    artifact_location
        Address below which clients keep the artifacts of its runs; empty to keep them here.
    tags
        Text by key.

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
        When the name, the location or a tag cannot be right.
    """
    access.require(actor, "experiment.write")
    limits.check_experiment_name(name)
    location = places.check(artifact_location) if artifact_location else ""
    for key, value in (tags or {}).items():
        check_tag(key, value)
    ensure_default(tx)
    named = {"in_project": tx.project, "in_name": name}
    if tx.run(records.EXPERIMENT_NAMED, named).fetchone() is not None:
        raise errors.ConflictError(f"Experiment(name={name}) already exists.", name=name)
    last = tx.execute(records.LAST_EXPERIMENT, {"in_project": tx.project}).scalar_one()
    made = entities.Experiment(
        id=str(last + 1),
        name=name,
        artifact_root=location,
        created_at=tx.at,
        updated_at=tx.at,
    )
    tx.execute(
        records.INSERT_EXPERIMENT,
        {**msgspec.structs.asdict(made), "id": last + 1, "project": tx.project},
    )
    write_tags(tx, made.id, tags or {})
    record(tx, actor, "created", made, facts={"name": name})
    return made


def ensure_experiment(tx: Transaction, actor: access.Actor, name: str) -> entities.Experiment:
    """Return an active experiment by name, created when it does not exist.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    name
        Of the experiment.

    Returns
    -------
    Experiment
        Active.

    Raises
    ------
    InvalidInputError
        When it was deleted, or the name cannot be right.
    """
    named = {"in_project": tx.project, "in_name": name}
    found = tx.run(records.EXPERIMENT_NAMED, named).fetchone()
    if found is None and name == entities.DEFAULT_EXPERIMENT:
        access.require(actor, "run.write")
        ensure_default(tx)
        found = tx.run(records.EXPERIMENT_NAMED, named).fetchone()
    if found is None:
        return create_experiment(tx, actor, name)
    return active(records.experiment_from(found))


def get_experiment(
    tx: Transaction, actor: access.Actor, experiment_id: str
) -> entities.ExperimentRecord:
    """Return an experiment with its tags, also a deleted one.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    experiment_id
        Decimal digits; empty for the default one.

    Returns
    -------
    ExperimentRecord
        Tags by key.

    Raises
    ------
    InvalidInputError
        When the id is no number.
    NotFoundError
        When there is no such experiment.
    """
    access.require(actor, "run.read")
    return _with_tags(tx, existing(tx, experiment_id))


def get_experiment_by_name(
    tx: Transaction, actor: access.Actor, name: str
) -> entities.ExperimentRecord:
    """Return an experiment with its tags, also a deleted one.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    name
        Of the experiment.

    Returns
    -------
    ExperimentRecord
        Tags by key.

    Raises
    ------
    NotFoundError
        When there is no such experiment.
    """
    access.require(actor, "run.read")
    named = {"in_project": tx.project, "in_name": name}
    row = tx.run(records.EXPERIMENT_NAMED, named).fetchone()
    if row is not None:
        return _with_tags(tx, records.experiment_from(row))
    if name == entities.DEFAULT_EXPERIMENT:
        return _with_tags(tx, existing(tx, entities.DEFAULT_EXPERIMENT_ID))
    raise errors.NotFoundError(f"Could not find experiment with name '{name}'", name=name)


def list_experiments(
    tx: Transaction, actor: access.Actor, *, after: str = "", limit: int = 100
) -> list[entities.Experiment]:
    """Return active experiments by id, at most `limit` of them behind `after`."""
    access.require(actor, "run.read")
    behind = int(after) if after.isdigit() else -1
    which = {"in_project": tx.project, "in_after": behind, "in_limit": min(limit, LARGEST_PAGE)}
    return [records.experiment_from(row) for row in tx.execute(records.EXPERIMENTS, which)]


def existing(tx: Transaction, experiment_id: str) -> entities.Experiment:
    """Return an experiment, also a deleted one; for callers that asked permission already.

    Parameters
    ----------
    tx
        Reading suffices.
    experiment_id
        Decimal digits; empty for the default one.

    Returns
    -------
    Experiment
        Of that id.

    Raises
    ------
    InvalidInputError
        When the id is no number.
    NotFoundError
        When there is no such experiment.
    """
    key = (tx.project, experiment_id)
    known: entities.Experiment | None = tx.known.get(_TABLE, key)
    if known is not None:
        return known
    number = number_of(experiment_id)
    row = tx.run(records.EXPERIMENT, {"in_project": tx.project, "in_id": number}).fetchone()
    if row is not None:
        found = records.experiment_from(row)
        tx.known.put(_TABLE, key, found)
        return found
    if number == 0:
        # It is there before anything was written in its project.
        return entities.Experiment(
            id=entities.DEFAULT_EXPERIMENT_ID,
            name=entities.DEFAULT_EXPERIMENT,
            created_at=0,
            updated_at=0,
        )
    raise errors.NotFoundError(f"No Experiment with id={number} exists", id=number)


def number_of(experiment_id: str) -> int:
    """Return the number of an experiment's id, 0 for an empty one; refuses what is none."""
    if not experiment_id:
        return 0
    if not _DIGITS.fullmatch(experiment_id):
        raise errors.InvalidInputError(
            f"Invalid experiment ID '{experiment_id[:100]}'."
            " Experiment ID must be a valid integer."
        )
    if len(experiment_id) > len(str(_LARGEST_ID)) or abs(int(experiment_id)) > _LARGEST_ID:
        raise errors.NotFoundError(f"No Experiment with id={experiment_id[:100]} exists")
    return int(experiment_id)


def writable(tx: Transaction, actor: access.Actor, experiment_id: str) -> entities.Experiment:
    """Return an active experiment the actor may log to; raises as `existing` and `active`."""
    access.require(actor, "run.write")
    return active(existing(tx, experiment_id))


def active(found: entities.Experiment) -> entities.Experiment:
    """Return an experiment that may be written to, or refuse a deleted one."""
    if found.lifecycle_stage != "active":
        raise errors.InvalidInputError(
            f"The experiment {found.id} must be in the 'active' state. "
            f"Current state is {found.lifecycle_stage}."
        )
    return found


def _with_tags(tx: Transaction, found: entities.Experiment) -> entities.ExperimentRecord:
    which = {"in_project": tx.project, "in_id": int(found.id)}
    rows = tx.run(records.TAGS_OF_EXPERIMENT, which).fetchall()
    tags = tuple(entities.Tag(key, value) for key, value in rows)
    return entities.ExperimentRecord(experiment=found, tags=tags)


def write_tags(tx: Transaction, experiment_id: str, tags: Mapping[str, str]) -> None:
    """Write tags that were checked; the last value counts."""
    row = {"project": tx.project, "experiment_id": int(experiment_id)}
    rows = [{**row, "key": key, "value": value} for key, value in tags.items()]
    if rows:
        tx.run(records.UPSERT_EXPERIMENT_TAGS, rows)


def check_tag(key: str, value: str) -> None:
    """Refuse a tag of an experiment whose key or value cannot be right."""
    limits.check_key("tag", key)
    limits.check_length("value", value, longest=limits.LONGEST_EXPERIMENT_TAG)


def record(
    tx: Transaction,
    actor: access.Actor,
    done: str,
    experiment: entities.Experiment,
    *,
    facts: dict[str, Any],
) -> None:
    """Record what was done to an experiment."""
    events.record(
        tx, actor, f"experiment.{done}", subject=f"experiment:{experiment.id}", facts=facts
    )


def ensure_default(tx: Transaction) -> None:
    """Write the default experiment where nobody did yet."""
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

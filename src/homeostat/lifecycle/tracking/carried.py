"""Writing experiments, runs and logged models that began elsewhere, with their ids and times.

Called by the actions of importing, which ask permission, check and record the events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import (
    datasets,
    entities,
    experiments,
    keep,
    limits,
    logged,
    logged_entities,
    logged_records,
    records,
    runs,
)


def find_experiment(tx: Transaction, name: str) -> entities.Experiment | None:
    """Return an experiment by its name, also a deleted one, or None."""
    if name == entities.DEFAULT_EXPERIMENT:
        experiments.ensure_default(tx)
    named = {"in_project": tx.project, "in_name": name}
    row = tx.run(records.EXPERIMENT_NAMED, named).fetchone()
    return None if row is None else records.experiment_from(row)


def put_experiment(
    tx: Transaction,
    experiment: entities.Experiment,
    *,
    tags: Mapping[str, str],
) -> entities.Experiment:
    """Write an experiment under the next free number, or its changed state.

    Parameters
    ----------
    tx
        Of the action.
    experiment
        Its id is empty when it is new.
    tags
        By key; the last value counts.

    Returns
    -------
    Experiment
        With its number.
    """
    experiments.ensure_default(tx)
    if experiment.id:
        which = {"in_project": tx.project, "in_id": int(experiment.id)}
        changed = {
            f"to_{name}": getattr(experiment, name)
            for name in ("name", "lifecycle_stage", "updated_at")
        }
        tx.execute(records.CHANGE_EXPERIMENT, {**which, **changed})
    else:
        last = tx.execute(records.LAST_EXPERIMENT, {"in_project": tx.project}).scalar_one()
        experiment = msgspec.structs.replace(experiment, id=str(last + 1))
        row = {**msgspec.structs.asdict(experiment), "id": last + 1, "project": tx.project}
        tx.execute(records.INSERT_EXPERIMENT, row)
    experiments.write_tags(tx, experiment.id, tags)
    return experiment


def find_run(tx: Transaction, run_id: str) -> entities.Run | None:
    """Return a run, or None."""
    row = tx.run(records.RUN, records.of_run(tx, run_id)).fetchone()
    return None if row is None else records.run_from(row)


def put_run(
    tx: Transaction,
    run: entities.Run,
    *,
    is_new: bool,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    read: Sequence[entities.DatasetInput],
    models: Sequence[entities.ModelLink],
) -> None:
    """Write a run, or what changed of it, and what it kept but its points and files.

    Parameters
    ----------
    tx
        Of the action.
    run
        With its id.
    is_new
        It is not there yet.
    params, tags
        By key; a parameter that is there stays, of a tag the last value counts.
    read, models
        Data it read; logged models it read or made.
    """
    if is_new:
        runs.insert_run(tx, run)
    else:
        names = ("name", "status", "ended_at", "error", "lifecycle_stage", "deleted_at")
        changed = {f"to_{name}": getattr(run, name) for name in names}
        tx.run(records.CHANGE_RUN, {**records.of_run(tx, run.id), **changed})
    kept = {key: limits.cut_param(value) for key, value in params.items()}
    number, length = int(run.experiment_id), records.HEAD_LENGTH
    rows = [
        (tx.project, run.id, key, number, value, value[:length]) for key, value in kept.items()
    ]
    tx.insert_rows(records.INSERT_PARAMS, rows)
    keep.insert_tags(tx, run, values=tags)
    if read:
        datasets.write_datasets(tx, run, read)
    if models:
        datasets.link_models(tx, run, models)


def put_points(tx: Transaction, run: entities.Run, points: Sequence[entities.Metric]) -> None:
    """Write points of a run; those that are there are not added again."""
    standing = keep.Standing(run.id, int(run.experiment_id), run.status, run.lifecycle_stage)
    keep.insert_points(tx, standing, points)


def root_of(location: str, run_id: str) -> str:
    """Return the `artifact_root` of a run whose files are at an address, or here."""
    return location or f"run:{run_id}"


def find_logged_model(tx: Transaction, model_id: str) -> logged_entities.LoggedModel | None:
    """Return a logged model, also a deleted one, or None."""
    row = tx.run(logged_records.MODEL, logged_records.of_model(tx, model_id)).fetchone()
    return None if row is None else logged_records.model_from(row)


def put_logged_model(
    tx: Transaction,
    model: logged_entities.LoggedModel,
    *,
    is_new: bool,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    metrics: Sequence[logged_entities.LoggedMetric],
) -> None:
    """Write a logged model, or what changed of it.

    Parameters
    ----------
    tx
        Of the action.
    model
        With its id.
    is_new
        It is not there yet.
    params, tags
        By key; a parameter that is there stays, of a tag the last value counts.
    metrics
        Points that tell of it.
    """
    which = logged_records.of_model(tx, model.id)
    if is_new:
        row = {**msgspec.structs.asdict(model), "project": tx.project}
        row["experiment_id"] = int(model.experiment_id)
        tx.run(logged_records.INSERT, row)
        logged.note_origin(tx, model)
    else:
        names = ("status", "status_message", "lifecycle_stage", "updated_at")
        changed = {f"to_{name}": getattr(model, name) for name in names}
        tx.run(logged_records.CHANGE, {**which, **changed})
    known = {key for key, _ in tx.run(logged_records.PARAMS, which).fetchall()}
    new = {key: value for key, value in params.items() if key not in known}
    if new:
        tx.run(logged_records.INSERT_PARAMS, logged_records.texts(tx, model.id, new))
    if tags:
        tx.run(logged_records.UPSERT_TAGS, logged_records.texts(tx, model.id, tags))
    if metrics:
        rows = [
            {
                "project": tx.project,
                "model_id": model.id,
                "run_id": item.run_id,
                "dataset_name": item.dataset_name,
                "dataset_digest": item.dataset_digest,
                **msgspec.structs.asdict(item.point),
            }
            for item in metrics
        ]
        tx.run(logged_records.INSERT_POINTS, rows)

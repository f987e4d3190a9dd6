"""Actions on a logged model: make, find, finish, delete, and what runs measured of it.

Called by the doors; the actions on metrics call `add_points` for those that name a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from homeostat.foundation import access, errors, events, ids, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import (
    entities,
    experiments,
    limits,
    logged_entities,
    logged_records,
    names,
    places,
    records,
)
from homeostat.lifecycle.tracking.logged_entities import LoggedModel, LoggedModelRecord

LONGEST_VALUE: Final = 100_000
LONGEST_NAME: Final = 500
_NOT_IN_NAMES: Final = ("/", ":", ".", "%", '"', "'")


class Measuring(Protocol):
    """The run that measured something of a model: its id will do."""

    @property
    def id(self) -> str:
        """32 hexadecimal digits."""


Point = tuple[str, entities.Metric, str, str]
"""Model id, point, and name and digest of the data it was measured on, or empty."""


def create_model(
    tx: Transaction,
    actor: access.Actor,
    *,
    experiment_id: str,
    name: str = "",
    run_id: str = "",
    model_type: str = "",
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> LoggedModelRecord:
    """Make a logged model whose files are still to come.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    experiment_id
        Decimal digits, of an active experiment.
    name
        For people; made up when empty.
    run_id
        The run that makes it, or empty.
    model_type
        Free text.
    params, tags
        Text by key.

    Returns
    -------
    LoggedModelRecord
        Pending.

    Raises
    ------
    NotFoundError
        When there is no such experiment.
    InvalidInputError
        When the experiment is deleted, or a name or text cannot be right.
    """
    access.require(actor, "run.write")
    experiment = experiments.active(experiments.existing(tx, experiment_id))
    if name:
        check_name(name)
    check_texts("parameter", params or {})
    check_texts("tag", tags or {})
    model_id = logged_entities.PREFIX + ids.new_id()
    root = f"logged-model:{model_id}"
    if experiment.artifact_root:
        root = places.of_logged_model(experiment.artifact_root, experiment.id, model_id)
    made = LoggedModel(
        id=model_id,
        experiment_id=experiment.id,
        name=name or names.new_name(),
        model_type=short_text("model_type", model_type),
        run_id=short_text("source_run_id", run_id),
        artifact_root=root,
        created_at=tx.at,
        updated_at=tx.at,
    )
    row = {**msgspec.structs.asdict(made), "project": tx.project}
    tx.run(logged_records.INSERT, {**row, "experiment_id": int(made.experiment_id)})
    if params:
        rows = logged_records.texts(tx, model_id, params)
        tx.run(logged_records.INSERT_PARAMS, rows)
    if tags:
        tx.run(logged_records.UPSERT_TAGS, logged_records.texts(tx, model_id, tags))
    note_origin(tx, made)
    facts = {"name": made.name, "experiment": made.experiment_id, "run": run_id}
    events.record(tx, actor, "logged-model.created", subject=reference(made), facts=facts)
    return logged_records.with_values(tx, made)


def check_name(name: str) -> None:
    """Refuse a name that would not do in an address such as ``models:/<name>``."""
    if not name or len(name) > LONGEST_NAME or any(sign in name for sign in _NOT_IN_NAMES):
        raise errors.InvalidInputError(
            f"Invalid model name ({name[:80]!r}) provided. Model name must be a non-empty "
            f"string of at most {LONGEST_NAME} characters and cannot contain the following "
            f"characters: {_NOT_IN_NAMES}"
        )


def get_model(
    tx: Transaction, actor: access.Actor, model_id: str, *, with_deleted: bool = False
) -> LoggedModelRecord:
    """Return a logged model with what is known of it.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    model_id
        ``m-`` and 32 hexadecimal digits.
    with_deleted
        Deleted ones are there too.

    Returns
    -------
    LoggedModelRecord
        With its params, tags and points.

    Raises
    ------
    NotFoundError
        When there is none, or it was deleted.
    """
    found = find_model(tx, actor, model_id, with_deleted=with_deleted)
    return logged_records.with_values(tx, found)


def find_model(
    tx: Transaction, actor: access.Actor, model_id: str, *, with_deleted: bool = False
) -> LoggedModel:
    """Return a logged model alone; parameters and errors of `get_model`."""
    access.require(actor, "run.read")
    return existing(tx, model_id, with_deleted=with_deleted)


def finish_model(
    tx: Transaction,
    actor: access.Actor,
    model_id: str,
    *,
    status: logged_entities.Status,
    message: str = "",
) -> LoggedModelRecord:
    """Say that the files of a logged model are there, or will never be.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    model_id
        An existing logged model.
    status
        ready or failed; a client may also take it back to pending.
    message
        Why, where it failed.

    Returns
    -------
    LoggedModelRecord
        As it is now.

    Raises
    ------
    NotFoundError
        When there is none.
    """
    found = writable(tx, actor, model_id)
    message = short_text("status_message", message)
    done = _change(tx, found, status=status, status_message=message)
    facts = {"status": status, "name": done.name}
    events.record(tx, actor, "logged-model.finished", subject=reference(done), facts=facts)
    return logged_records.with_values(tx, done)


def delete_model(tx: Transaction, actor: access.Actor, model_id: str) -> None:
    """Hide a logged model; its rows and files stay. Again changes nothing.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    model_id
        An existing logged model.

    Raises
    ------
    NotFoundError
        When there never was one.
    """
    access.require(actor, "run.write")
    found = existing(tx, model_id, with_deleted=True)
    if found.lifecycle_stage == "deleted":
        return
    gone = _change(tx, found, lifecycle_stage="deleted")
    facts = {"name": gone.name}
    events.record(tx, actor, "logged-model.deleted", subject=reference(gone), facts=facts)


def add_points(tx: Transaction, run: Measuring, points: Sequence[Point]) -> None:
    """Note points of metrics that a run measured of logged models; equal ones count once.

    Parameters
    ----------
    tx
        Of the action that logs the same points on the run, which asked permission.
    run
        The run.
    points
        Model id, point (its `at` filled in), dataset name and dataset digest of each.

    Raises
    ------
    NotFoundError
        When a model does not exist.
    InvalidInputError
        When a dataset has a name without a digest or the other way about, or one that is too
        long.
    """
    for _, _, dataset_name, dataset_digest in points:
        check_dataset(dataset_name, dataset_digest)
    for model_id in {point[0] for point in points}:
        existing(tx, model_id, with_deleted=True)
    tx.insert_rows(
        logged_records.INSERT_POINTS,
        [
            (
                *(tx.project, model_id, point.key, point.at, point.step, run.id),
                *(dataset_name, dataset_digest),
                point.value if point.kind == "finite" else 0.0,
                point.kind,
            )
            for model_id, point, dataset_name, dataset_digest in points
        ],
    )


def check_dataset(name: str, digest: str) -> None:
    """Refuse a dataset that has only one of name and digest, or too long a one.

    Parameters
    ----------
    name, digest
        Up to 500 characters each; both empty where a point names no dataset.

    Raises
    ------
    InvalidInputError
        With the rule.
    """
    if bool(name) is not bool(digest):
        raise errors.InvalidInputError(
            "Both dataset_name and dataset_digest must be provided if one is provided"
        )
    short_text("dataset_name", name)
    short_text("dataset_digest", digest)


def short_text(field: str, text: str) -> str:
    """Return a short free text, or refuse one of more than 500 characters."""
    if len(text) > LONGEST_NAME:
        raise errors.InvalidInputError(
            f"{field} has {len(text)} characters; at most {LONGEST_NAME} are kept"
        )
    return text


def check_texts(what: str, values: Mapping[str, str]) -> None:
    """Refuse keys over 250 characters and values over 100,000."""
    for key, value in values.items():
        limits.check_key(what, key)
        if len(value) > LONGEST_VALUE:
            raise errors.InvalidInputError(
                f"{what} {key!r} of a model has {len(value)} characters; "
                f"at most {LONGEST_VALUE} are kept",
                hint="log long texts as artifacts",
            )


def existing(tx: Transaction, model_id: str, *, with_deleted: bool = False) -> LoggedModel:
    """Return a logged model, or say that there is none; the caller asked permission already."""
    row = tx.run(logged_records.MODEL, logged_records.of_model(tx, model_id)).fetchone()
    found = None if row is None else logged_records.model_from(row)
    if found is None or (found.lifecycle_stage == "deleted" and not with_deleted):
        raise errors.NotFoundError(
            f"Logged model with ID '{model_id[:80]}' not found.", model_id=model_id[:80]
        )
    return found


def writable(tx: Transaction, actor: access.Actor, model_id: str) -> LoggedModel:
    """Return a logged model the actor may write to; raises as every writing action does."""
    access.require(actor, "run.write")
    return existing(tx, model_id)


def _change(tx: Transaction, model: LoggedModel, **changes: Any) -> LoggedModel:
    now = msgspec.structs.replace(model, updated_at=tx.at, **changes)
    named = ("status", "status_message", "lifecycle_stage", "updated_at")
    values = {f"to_{name}": getattr(now, name) for name in named}
    tx.run(logged_records.CHANGE, {**logged_records.of_model(tx, model.id), **values})
    return now


def note_origin(tx: Transaction, model: LoggedModel) -> None:
    """Connect a model with the run that made it, where that run is known here."""
    if not model.run_id:
        return
    if tx.run(records.RUN, records.of_run(tx, model.run_id)).fetchone() is not None:
        source = f"run:{model.run_id}"
        lineage.connect(tx, source=source, target=reference(model), kind="made")


def reference(model: LoggedModel) -> str:
    """Return what lineage and events know a logged model by."""
    return f"logged-model:{model.id}"

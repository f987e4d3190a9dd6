"""Actions that change a run as a whole after it began; part of tracking's actions."""

from __future__ import annotations

import msgspec

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import entities, limits, records, runs


def update_run(
    tx: Transaction,
    actor: access.Actor,
    run_id: str,
    *,
    status: entities.RunStatus | None = None,
    ended_at: int | None = None,
    name: str = "",
) -> entities.Run:
    """Change the status, the end or the name of a run; it may end again, or go on.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        An active run.
    status
        Any; an end records the digests of what the run kept, once more where it ended before.
    ended_at
        ms UTC; now when a status ends the run and this is None.
    name
        For people; its tag `mlflow.runName` follows. As it is when empty.

    Returns
    -------
    Run
        As it is now.

    Raises
    ------
    NotFoundError
        When there is no such run.
    InvalidInputError
        When it is deleted, or the name is too long.
    """
    run = runs.writable(tx, actor, run_id)
    changed = run if not name else msgspec.structs.replace(run, name=name)
    if status in runs.ENDED:
        at = ended_at or (run.ended_at if run.status == status else None) or tx.at
        changed = msgspec.structs.replace(changed, status=status, ended_at=at)
    elif status is not None:
        changed = msgspec.structs.replace(changed, status=status, ended_at=ended_at, error="")
    elif ended_at is not None:
        changed = msgspec.structs.replace(changed, ended_at=ended_at)
    if changed != run:
        _write(tx, changed)
    if name:
        _name(tx, actor, run, name)
    if status in runs.ENDED:
        runs.record_end(tx, actor, changed, facts=runs.kept_facts(tx, run_id))
    elif status is not None and run.status in runs.ENDED:
        facts = {"status": status, "was": run.status}
        events.record(tx, actor, "run.resumed", subject=f"run:{run_id}", facts=facts)
    return changed


def delete_run(tx: Transaction, actor: access.Actor, run_id: str) -> None:
    """Delete a run in a way that `restore_run` undoes; deleting it again changes nothing.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        Active or deleted.

    Raises
    ------
    NotFoundError
        When there is no such run.
    """
    _stage(tx, actor, run_id, stage="deleted")


def restore_run(tx: Transaction, actor: access.Actor, run_id: str) -> None:
    """Take back the deletion of a run; an active one stays as it is.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        Active or deleted.

    Raises
    ------
    NotFoundError
        When there is no such run.
    """
    _stage(tx, actor, run_id, stage="active")


def delete_tag(tx: Transaction, actor: access.Actor, run_id: str, *, key: str) -> None:
    """Take a tag off a run.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        An active run.
    key
        Of the tag.

    Raises
    ------
    NotFoundError
        When there is no such run, or no such tag on it.
    InvalidInputError
        When the run is deleted.
    """
    runs.writable(tx, actor, run_id)
    which = {**records.of_run(tx, run_id), "in_key": key}
    if tx.run(records.DELETE_TAG, which).rowcount == 0:
        raise errors.NotFoundError(
            f"No tag with name: {key} in run with id {run_id}", run_id=run_id, key=key
        )
    facts = {"key": key}
    events.record(tx, actor, "run.untagged", subject=f"run:{run_id}", facts=facts)


def _name(tx: Transaction, actor: access.Actor, run: entities.Run, name: str) -> None:
    limits.check_run_name(name)
    row = {
        "project": tx.project,
        "run_id": run.id,
        "key": entities.NAME_TAG,
        "experiment_id": int(run.experiment_id),
        "value": name,
        "value_head": name[: records.HEAD_LENGTH],
    }
    tx.run(records.UPSERT_TAGS, row)
    if name != run.name:
        facts = {"from": run.name, "to": name}
        events.record(tx, actor, "run.renamed", subject=f"run:{run.id}", facts=facts)


def _stage(tx: Transaction, actor: access.Actor, run_id: str, *, stage: entities.Stage) -> None:
    access.require(actor, "run.write")
    run = runs.existing(tx, run_id)
    if run.lifecycle_stage == stage:
        return
    is_deleted = stage == "deleted"
    at = tx.at if is_deleted else None
    _write(tx, msgspec.structs.replace(run, lifecycle_stage=stage, deleted_at=at))
    kind = "run.deleted" if is_deleted else "run.restored"
    events.record(tx, actor, kind, subject=f"run:{run_id}", facts={"name": run.name})


def _write(tx: Transaction, run: entities.Run) -> None:
    changed = {
        f"to_{name}": getattr(run, name)
        for name in ("name", "status", "ended_at", "error", "lifecycle_stage", "deleted_at")
    }
    tx.run(records.CHANGE_RUN, {**records.of_run(tx, run.id), **changed})

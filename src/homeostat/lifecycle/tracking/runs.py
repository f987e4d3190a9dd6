"""Actions on a run as a whole: start, find, end; part of tracking's actions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import blake3
import msgspec

from homeostat.foundation import access, errors, events, ids
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import entities, experiments, records

ENDED: Final = ("finished", "failed", "killed")
_WHOLE: Final = "whole"


def create_run(
    tx: Transaction,
    actor: access.Actor,
    *,
    experiment: str = entities.DEFAULT_EXPERIMENT,
    name: str = "",
    run_id: str = "",
    started_at: int | None = None,
    pipeline: str = "",
    executor: str = "",
) -> entities.Run:
    """Start a run.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    experiment
        Name; made when missing.
    name
        For people; the pipeline and the id's end when empty.
    run_id
        Where the caller made it already, so that asking twice makes one run.
    started_at
        ms UTC; now when None.
    pipeline, executor
        What runs, and where.

    Returns
    -------
    Run
        Running.

    Raises
    ------
    NotAllowedError
        When the actor may not write runs.
    InvalidInputError
        When the run id is not 32 hexadecimal digits.
    ConflictError
        When the run id is in use.
    """
    run = new_run(
        tx,
        actor,
        experiment=experiment,
        name=name,
        run_id=run_id,
        started_at=started_at,
        pipeline=pipeline,
        executor=executor,
    )
    if tx.run(records.RUN, records.of_run(tx, run.id)).fetchone() is not None:
        raise errors.ConflictError(f"run:{run.id} exists already", run_id=run.id)
    insert_run(tx, run)
    facts = {"experiment": experiment, "pipeline": pipeline}
    events.record(tx, actor, "run.started", subject=f"run:{run.id}", facts=facts)
    return run


def new_run(
    tx: Transaction,
    actor: access.Actor,
    *,
    experiment: str,
    name: str = "",
    run_id: str = "",
    started_at: int | None = None,
    pipeline: str = "",
    executor: str = "",
) -> entities.Run:
    """Make a run that `insert_run` can write; parameters and errors of `create_run`."""
    access.require(actor, "run.write")
    run_id = run_id or ids.new_id()
    if len(run_id) != 32 or not set(run_id) <= set("0123456789abcdef"):  # noqa: PLR2004 - a UUID
        raise errors.InvalidInputError(
            f"a run id is 32 hexadecimal digits; got {run_id[:40]!r}"
        )
    return entities.Run(
        id=run_id,
        experiment_id=experiments.ensure_experiment(tx, actor, experiment).id,
        name=name or f"{pipeline or 'run'}-{run_id[-6:]}",
        user=actor.name,
        started_at=tx.at if started_at is None else started_at,
        artifact_root=f"run:{run_id}",
        pipeline=pipeline,
        executor=executor,
    )


def insert_run(tx: Transaction, run: entities.Run) -> None:
    """Write a run whose id is not in use; the caller records the event."""
    run_id, experiment_id, *rest = msgspec.structs.astuple(run)
    tx.insert_later(records.INSERT_RUN, [(tx.project, run_id, int(experiment_id), *rest)])


def find_run(tx: Transaction, actor: access.Actor, run_id: str) -> entities.Run | None:
    """Return a run without what it keeps, or None."""
    access.require(actor, "run.read")
    row = tx.run(records.RUN, records.of_run(tx, run_id)).fetchone()
    return None if row is None else records.run_from(row)


def finish_run(
    tx: Transaction,
    actor: access.Actor,
    run_id: str,
    *,
    status: entities.RunStatus = "finished",
    ended_at: int | None = None,
    error: str = "",
) -> entities.Run:
    """End a run; the event carries the digests of its latest metrics and its parameters.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        A run that has not ended.
    status
        finished, failed or killed.
    ended_at
        ms UTC; now when None.
    error
        One sentence when it did not finish.

    Returns
    -------
    Run
        Ended.

    Raises
    ------
    NotFoundError
        When there is no such run.
    ConflictError
        When it ended already, with another status.
    InvalidInputError
        When the status is not one of an end.
    """
    run = writable(tx, actor, run_id)
    if status not in ENDED:
        raise errors.InvalidInputError(f"a run ends as {', '.join(ENDED)}; got {status!r}")
    if run.status == status:
        return run
    if run.status in ENDED:
        raise errors.ConflictError(f"run:{run_id} ended as {run.status} already")
    end = msgspec.structs.replace(
        run, status=status, ended_at=tx.at if ended_at is None else ended_at, error=error
    )
    return end_run(tx, actor, end, facts={})


def end_run(
    tx: Transaction, actor: access.Actor, run: entities.Run, *, facts: Mapping[str, Any]
) -> entities.Run:
    """Write a run's end and its event; for callers that know more than `finish_run` asks.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run
        As it ended.
    facts
        Added to those of the event.

    Returns
    -------
    Run
        The same.
    """
    changed = {
        f"to_{name}": getattr(run, name)
        for name in (
            *("status", "ended_at", "error", "commit", "dirty", "environment"),
            *("wall_s", "cpu_s", "max_rss_bytes"),
        )
    }
    tx.execute(records.END_RUN, {**records.of_run(tx, run.id), **changed})
    record_end(tx, actor, run, facts={**kept_facts(tx, run.id), **facts})
    return run


def record_end(
    tx: Transaction, actor: access.Actor, run: entities.Run, *, facts: Mapping[str, Any]
) -> None:
    """Record the event of a run's end, for a caller that wrote the run itself."""
    told = {"status": run.status, **facts}
    if run.error:
        told["error"] = run.error[:1000]
    events.record(tx, actor, "run.finished", subject=f"run:{run.id}", facts=told)


def existing(tx: Transaction, run_id: str) -> entities.Run:
    """Return a run, or say that there is none; for callers that asked permission already."""
    key = (tx.project, run_id, _WHOLE)
    known: entities.Run | None = tx.known.get(records.runs.name, key)
    if known is not None:
        return known
    row = tx.run(records.RUN, records.of_run(tx, run_id)).fetchone()
    if row is None:
        raise errors.NotFoundError(f"Run with id={run_id} not found", run_id=run_id)
    found = records.run_from(row)
    tx.known.put(records.runs.name, key, found)
    return found


def writable(tx: Transaction, actor: access.Actor, run_id: str) -> entities.Run:
    """Return an active run the actor may write to; raises as every writing action does."""
    access.require(actor, "run.write")
    found = existing(tx, run_id)
    if found.lifecycle_stage != "active":
        raise errors.InvalidInputError(
            f"The run {run_id} must be in the 'active' state. "
            f"Current state is {found.lifecycle_stage}."
        )
    return found


def kept_facts(tx: Transaction, run_id: str) -> dict[str, Any]:
    """Digest what approval rests on: the latest points and the parameters.

    Their number is that of their keys, however long the run was.
    """
    facts: dict[str, Any] = {}
    for name, statement in (("metrics", records.RUN_METRICS), ("params", records.RUN_PARAMS)):
        # Sorted here: databases do not agree on the order of texts.
        rows = sorted(map(tuple, tx.run(statement, records.of_run(tx, run_id)).fetchall()))
        facts[f"n_{name}"] = len(rows)
        facts[f"{name}_digest"] = blake3.blake3(json.dumps(rows).encode()).hexdigest()
    return facts

"""What an actor may do with pipeline runs; called by recorders and the doors."""

from __future__ import annotations

import msgspec

from homeostat.foundation import access, errors, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.pipeline import entities, kept, records
from homeostat.lifecycle.tracking import actions as tracking
from homeostat.lifecycle.tracking import entities as tracked
from homeostat.lifecycle.tracking import environments


def begin_run(
    tx: Transaction,
    actor: access.Actor,
    start: entities.RunStart,
    *,
    experiment: str = tracked.DEFAULT_EXPERIMENT,
) -> tracked.Run:
    """Record that a pipeline works.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who runs it.
    start
        The run; its id is new.
    experiment
        Name; made when missing.

    Returns
    -------
    Run
        Running.

    Raises
    ------
    NotAllowedError
        When the actor may not write runs.
    ConflictError
        When the run id is in use.
    """
    run = tracking.create_run(
        tx,
        actor,
        experiment=experiment,
        run_id=start.run_id,
        started_at=start.started_at,
        pipeline=start.pipeline,
        executor=start.executor,
    )
    _describe(tx, run, start)
    return run


def finish_run(
    tx: Transaction,
    actor: access.Actor,
    start: entities.RunStart,
    *,
    end: entities.RunEnd,
    experiment: str = tracked.DEFAULT_EXPERIMENT,
) -> tracked.Run:
    """Record how a pipeline's run ended: its steps, what they reused, its cost and its code.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who ran it.
    start
        The run; recorded here where it was not begun before.
    end
        How it ended.
    experiment
        Name; made when missing.

    Returns
    -------
    Run
        Ended.

    Raises
    ------
    NotAllowedError
        When the actor may not write runs.
    ConflictError
        When it ended already.
    """
    access.require(actor, "run.write")
    run = tracking.find_run(tx, actor, start.run_id)
    is_begun = run is not None
    if run is None:
        run = tracking.new_run(
            tx,
            actor,
            experiment=experiment,
            run_id=start.run_id,
            started_at=start.started_at,
            pipeline=start.pipeline,
            executor=start.executor,
        )
    elif run.status != "running":
        raise errors.ConflictError(f"run:{run.id} ended as {run.status} already")
    ended = msgspec.structs.replace(
        run,
        status=end.status,
        ended_at=end.ended_at,
        error=end.error,
        commit=end.commit,
        dirty=end.dirty,
        environment=end.environment,
        wall_s=end.wall_s,
        cpu_s=end.cpu_s,
        max_rss_bytes=end.max_rss_bytes,
    )
    facts = {"pipeline": run.pipeline, "steps": _counts(end)}
    if is_begun:
        tracking.end_run(tx, actor, ended, facts=facts)
    else:
        tracking.insert_run(tx, ended)
        _describe(tx, ended, start)
        tracking.record_end(tx, actor, ended, facts=facts)
    _write_steps(tx, run.id, end)
    _keep_code(tx, run.id, end)
    if end.environment:
        environments.keep(tx, end.environment, end.packages)
    return ended


def _counts(end: entities.RunEnd) -> dict[str, int]:
    counts = {"hit": 0, "ran": 0, "failed": 0}
    for step in end.steps:
        counts[step.status] += 1
    return counts


def list_steps(tx: Transaction, actor: access.Actor, run_id: str) -> list[entities.StepRecord]:
    """Return the steps of a run in order of their calls.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    run_id
        32 hexadecimal digits.

    Returns
    -------
    list of StepRecord
        Empty for a run that no pipeline made, or that has not ended.

    Raises
    ------
    NotFoundError
        When there is no such run.
    """
    access.require(actor, "run.read")
    tracking.existing(tx, run_id)
    which = {"in_project": tx.project, "in_run": run_id}
    return [records.step_from(row) for row in tx.execute(records.STEPS_OF_RUN, which)]


def get_code(tx: Transaction, actor: access.Actor, digest: str) -> entities.ReachedCode:
    """Return what a step's code digest stands for.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    digest
        `code` of a step.

    Returns
    -------
    ReachedCode
        Functions, classes, constants and packages with their digests.

    Raises
    ------
    NotFoundError
        When no recorded step reached it.
    """
    access.require(actor, "run.read")
    which = {"in_project": tx.project, "in_digest": digest}
    found = tx.execute(records.CODE, which).first()
    if found is None:
        raise errors.NotFoundError(f"no recorded step reached code {digest[:12]}")
    return records.code_from(digest, found.parts)


def get_recipe(tx: Transaction, actor: access.Actor, run_id: str) -> entities.Recipe:
    """Return the code and the environment of a run, as it recorded them.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks; needs ``run.read``.
    run_id
        32 hexadecimal digits.

    Returns
    -------
    Recipe
        With empty parts where nothing was recorded.

    Raises
    ------
    NotFoundError
        When there is no such run.
    """
    access.require(actor, "run.read")
    run = tracking.existing(tx, run_id)
    packages = environments.get(tx, run.environment) if run.environment else ()
    which = {"in_project": tx.project, "in_run": run_id}
    found = tx.execute(records.RUN_CODE, which).first()
    if found is None:
        return entities.Recipe(run_id=run_id, packages=packages)
    paths: dict[str, str] = msgspec.json.decode(found.files)
    asked = {"in_project": tx.project, "in_digests": sorted(set(paths.values()))}
    texts = {row.digest: row.content for row in tx.execute(records.FILES, asked)}
    return entities.Recipe(
        run_id=run_id,
        target=found.target,
        files=tuple(entities.SourceFile(path, texts[paths[path]]) for path in sorted(paths)),
        packages=packages,
    )


def _keep_code(tx: Transaction, run_id: str, end: entities.RunEnd) -> None:
    """Write the files of a run's code, each content once."""
    if not end.target:
        return
    digests = {file.path: kept.digest_of(file) for file in end.files}
    rows = {
        digests[file.path]: {
            "project": tx.project,
            "digest": digests[file.path],
            "content": file.text,
        }
        for file in end.files
    }
    if rows:
        tx.run(records.INSERT_FILES, list(rows.values()))
    row = {"project": tx.project, "run_id": run_id, "target": end.target}
    tx.run(records.INSERT_RUN_CODE, {**row, "files": msgspec.json.encode(digests).decode()})


def _describe(tx: Transaction, run: tracked.Run, start: entities.RunStart) -> None:
    tracking.insert_params(tx, run, values=start.parameters)
    tracking.insert_inputs(
        tx,
        run.id,
        read=[tracked.Input(i.name, i.reference, i.digest) for i in start.inputs],
    )


def _write_steps(tx: Transaction, run_id: str, end: entities.RunEnd) -> None:
    if end.steps:
        rows = [records.step_row(s, project=tx.project, run_id=run_id) for s in end.steps]
        tx.run(records.INSERT_STEPS, rows)
    if end.codes:
        rows = [records.code_row(code, project=tx.project) for code in end.codes]
        tx.run(records.INSERT_CODES, rows)
    makers = {step.made_by for step in end.steps if step.status == "hit"} - {run_id}
    for maker in sorted(makers):
        lineage.connect(tx, source=f"run:{maker}", target=f"run:{run_id}", kind="reused-by")

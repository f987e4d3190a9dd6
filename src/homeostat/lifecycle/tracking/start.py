"""The action that starts a run for a client which knows its experiment's id.

Called by the door that MLflow's clients speak to, at every run: one read of the experiment,
the run, its tags, the event.
"""

from __future__ import annotations

from collections.abc import Iterable

from homeostat.foundation import access, errors, events, ids
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import (
    entities,
    experiments,
    keep,
    limits,
    names,
    places,
    runs,
    whole,
)


def start_run(
    tx: Transaction,
    actor: access.Actor,
    *,
    experiment_id: str = entities.DEFAULT_EXPERIMENT_ID,
    name: str = "",
    user: str = "",
    started_at: int | None = None,
    tags: Iterable[tuple[str, str]] = (),
) -> whole.WholeRun:
    """Start a run in an experiment that exists.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    experiment_id
        Decimal digits, of an active experiment.
    name
        For people; the tag `mlflow.runName` when empty, and made up when that is missing too.
    user
        Who runs it; the actor when empty.
    started_at
        ms UTC; now when None.
    tags
        Key and text; of equal keys the last one counts.

    Returns
    -------
    WholeRun
        Running, with its tags, among them its name.

    Raises
    ------
    NotAllowedError
        When the actor may not write runs.
    NotFoundError
        When there is no such experiment.
    InvalidInputError
        When the experiment is deleted, the name and its tag differ, or a text is too long.
    """
    experiment = experiments.writable(tx, actor, experiment_id)
    kept = _tags(tags, name)
    run_id = ids.new_id()
    is_here = not experiment.artifact_root
    run = entities.Run(
        id=run_id,
        experiment_id=experiment.id,
        name=kept[entities.NAME_TAG],
        user=user or actor.name,
        started_at=tx.at if started_at is None else started_at,
        artifact_root=f"run:{run_id}"
        if is_here
        else places.of_run(experiment.artifact_root, experiment.id, run_id),
    )
    runs.insert_run(tx, run)
    keep.insert_tags(tx, run, values=kept)
    facts = {"experiment": experiment.name, "name": run.name}
    events.record(tx, actor, "run.started", subject=f"run:{run_id}", facts=facts)
    return whole.WholeRun(run, [], [], sorted(kept.items()), [], [])


def _tags(given: Iterable[tuple[str, str]], name: str) -> dict[str, str]:
    """Return the tags with the run's name among them."""
    kept: dict[str, str] = {}
    for key, value in given:
        # Which characters a key may have is asked later only, when a tag is set: MLflow's own
        # server takes any here.
        if not key:
            limits.check_key("tag", key)
        limits.check_length("key", key, longest=limits.LONGEST_KEY)
        kept[key] = limits.cut_tag(value)
    tagged = kept.get(entities.NAME_TAG, "")
    if name and tagged and name != tagged:
        raise errors.InvalidInputError(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with"
            f" different values (run_name='{name}', mlflow.runName='{tagged}')."
        )
    kept[entities.NAME_TAG] = name or tagged or names.new_name()
    limits.check_run_name(kept[entities.NAME_TAG])
    return kept

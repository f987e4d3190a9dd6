"""Takes experiments, runs, points and logged models of a source; called by `actions.take`."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.importing import taking
from homeostat.lifecycle.importing.entities import Experiment, LoggedModel, Points, Run
from homeostat.lifecycle.tracking import carried, entities, experiments, limits, logged

_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")
_MODEL_ID: Final = re.compile(r"m-[0-9a-f]{32}")


def take_experiment(intake: taking.Intake, given: Experiment) -> None:
    """Find the experiment of that name, or make it; what the source brought follows it."""
    limits.check_experiment_name(given.name)
    for key, value in given.tags.items():
        experiments.check_tag(key, value)
    known = intake.known("experiment", given.id)
    found = None
    if known is not None:
        found = experiments.existing(intake.tx, known.our_id)
    found = found or carried.find_experiment(intake.tx, given.name)
    if found is None:
        made = entities.Experiment(
            id="",
            name=given.name,
            lifecycle_stage=given.lifecycle_stage,
            artifact_root=given.location,
            created_at=given.created_at or intake.tx.at,
            updated_at=given.updated_at or intake.tx.at,
        )
        found = carried.put_experiment(intake.tx, made, tags=given.tags)
        is_ours = False
    else:
        # One that people made here keeps its name and its life; only tags are added.
        is_ours = known is None or known.fingerprint == "joined"
        now = found
        if not is_ours:
            now = msgspec.structs.replace(
                found,
                name=_free_name(intake, given.name, found),
                lifecycle_stage=given.lifecycle_stage,
                updated_at=given.updated_at or found.updated_at,
            )
        carried.put_experiment(intake.tx, now, tags=given.tags)
    intake.put("experiment", given.id, found.id, fingerprint="joined" if is_ours else "made")
    if known is None:
        intake.tell("experiment.imported", f"experiment:{found.id}", name=given.name)


def _free_name(intake: taking.Intake, name: str, found: entities.Experiment) -> str:
    """Return a new name of an experiment unless another one has it here."""
    other = carried.find_experiment(intake.tx, name)
    return name if other is None or other.id == found.id else found.name


def take_run(intake: taking.Intake, given: Run) -> None:
    """Write a run under its own id, or what changed of it."""
    if not _RUN_ID.fullmatch(given.id):
        raise errors.InvalidInputError(
            f"a run id is 32 hexadecimal digits; got {given.id[:40]!r}"
        )
    known = intake.known("run", given.id)
    found = carried.find_run(intake.tx, given.id)
    if found is not None and known is None:
        raise errors.ConflictError(
            f"run:{given.id} is here already and did not come from {intake.source}"
        )
    for what, texts in (("parameter", given.params), ("tag", given.tags)):
        for key in texts:
            limits.check_length(what, key, longest=limits.LONGEST_KEY)
    name = given.name or given.tags.get(entities.NAME_TAG, "")
    limits.check_run_name(name)
    run = entities.Run(
        id=given.id,
        experiment_id=_experiment(intake, given.experiment_id),
        name=name,
        status=given.status,
        lifecycle_stage=given.lifecycle_stage,
        user=given.user,
        started_at=given.started_at,
        ended_at=given.ended_at,
        artifact_root=carried.root_of(given.location, given.id),
        deleted_at=given.deleted_at,
    )
    links = [link for link in given.models if _MODEL_ID.fullmatch(link.model_id)]
    carried.put_run(
        intake.tx,
        run,
        is_new=found is None,
        params=given.params,
        tags=given.tags,
        read=given.datasets,
        models=links,
    )
    # What it was whole at stays: it differs from what the source says until `done` comes.
    intake.put("run", given.id, given.id, fingerprint=known.fingerprint if known else "")


def take_points(intake: taking.Intake, given: Points) -> None:
    """Write points of a run that came from the same source."""
    run = carried.find_run(intake.tx, given.run_id)
    if run is None or intake.known("run", given.run_id) is None:
        raise errors.NotFoundError(f"run:{given.run_id[:40]} did not come from {intake.source}")
    refused: set[str] = set()
    for key in {point.key for point in given.points}:
        try:
            limits.check_key("metric", key)
        except errors.InvalidInputError as error:
            refused.add(key)
            intake.refuse("metric", f"{key[:100]} of run:{run.id}", error.message)
    points = [
        entities.Metric(point.key, point.value, point.at, point.step, point.kind)
        for point in given.points
        if point.key not in refused
    ]
    carried.put_points(intake.tx, run, points)


def take_logged_model(intake: taking.Intake, given: LoggedModel) -> None:
    """Write a logged model under its own id, or what changed of it."""
    model = given.model
    if not _MODEL_ID.fullmatch(model.id):
        raise errors.InvalidInputError(
            f"the id of a logged model is m- and 32 hexadecimal digits; got {model.id[:40]!r}"
        )
    known = intake.known("logged-model", model.id)
    found = carried.find_logged_model(intake.tx, model.id)
    if found is not None and known is None:
        raise errors.ConflictError(
            f"logged-model:{model.id} is here already and did not come from {intake.source}"
        )
    logged.check_texts("parameter", given.params)
    logged.check_texts("tag", given.tags)
    made = msgspec.structs.replace(
        model,
        experiment_id=_experiment(intake, model.experiment_id),
        artifact_root=model.artifact_root or f"logged-model:{model.id}",
    )
    carried.put_logged_model(
        intake.tx,
        made,
        is_new=found is None,
        params=given.params,
        tags=given.tags,
        metrics=given.metrics,
    )
    intake.put(
        "logged-model", model.id, model.id, fingerprint=known.fingerprint if known else ""
    )


def _experiment(intake: taking.Intake, source_id: str) -> str:
    known = intake.known("experiment", source_id)
    if known is None:
        raise errors.InvalidInputError(
            f"its experiment {source_id[:80]!r} was not taken from {intake.source}"
        )
    return known.our_id

"""Takes registered models, versions and aliases of a source; called by `actions.take`."""

from __future__ import annotations

import re
from typing import Final

from homeostat.foundation import errors
from homeostat.lifecycle.importing import taking
from homeostat.lifecycle.importing.entities import Model, Version
from homeostat.lifecycle.registry import carried, notes
from homeostat.lifecycle.tracking import carried as tracked
from homeostat.lifecycle.tracking import places

_BELOW_RUN: Final = re.compile(r"/(?P<run>[0-9a-f]{32})/artifacts(?:/(?P<path>.+))?\Z")
_BELOW_MODEL: Final = re.compile(
    r"/models/(?P<model>m-[0-9a-f]{32})/artifacts(?:/(?P<path>.+))?\Z"
)


def take_model(intake: taking.Intake, given: Model) -> None:
    """Add a model, or write what changed of it."""
    notes.check_tags(given.tags)
    notes.check_description(given.description or "")
    known = intake.known("model", given.name)
    carried.put_model(
        intake.tx,
        intake.actor,
        given.name,
        description=given.description,
        tags=given.tags,
        created_at=given.created_at,
        updated_at=given.updated_at,
    )
    if known is None:
        intake.put("model", given.name, given.name)
        intake.tell("model.imported", f"model:{given.name}")


def take_version(intake: taking.Intake, given: Version) -> None:
    """Register a version under its own number, or write what is said of it now."""
    source_id = f"{given.model}@{given.number}"
    known = intake.known("version", source_id)
    found = carried.find_version(intake.tx, given.model, given.number)
    stage = notes.canonical(given.stage or "None")
    notes.check_tags(given.tags)
    notes.check_description(given.description)
    if found is not None and known is None:
        raise errors.ConflictError(
            f"model:{source_id} is here already and did not come from {intake.source}"
        )
    if found is None:
        if known is not None:
            return  # it was deleted here since
        if not carried.is_free(intake.tx, given.model, given.number):
            raise errors.ConflictError(f"model:{source_id}: its number was given here already")
        found = carried.put_version(
            intake.tx,
            intake.actor,
            given.model,
            given.number,
            source=_address(intake, given),
            run_id=given.run_id,
            model_id=given.model_id or _named_model(given.source),
            run_link=given.run_link,
            tags=given.tags,
            user=given.user,
            created_at=given.created_at,
        )
        intake.put("version", source_id, source_id)
        intake.tell("version.imported", f"model:{source_id}", was=given.source[:1000])
    carried.note_version(
        intake.tx,
        found,
        description=given.description,
        stage=stage,
        tags=given.tags,
        updated_at=given.updated_at,
    )


def take_aliases(intake: taking.Intake, given: Model) -> None:
    """Point the aliases of a model where the source points them; the last of its writes."""
    for alias, number in given.aliases.items():
        known = intake.known("version", f"{given.name}@{number}")
        if known is None:
            reason = f"version {number} was not taken"
            intake.refuse("alias", f"{given.name}@{alias}", reason)
            continue
        try:
            carried.set_alias(intake.tx, intake.actor, given.name, alias, number=number)
        except (errors.InvalidInputError, errors.NotFoundError) as error:
            intake.refuse("alias", f"{given.name}@{alias}", error.message)
    carried.settle_model(intake.tx, given.name, updated_at=given.updated_at)


def _named_model(source: str) -> str:
    """Return the logged model a source names or lies below, or nothing."""
    named = source.removeprefix("models:/")
    if named != source:
        return named if named.startswith("m-") else ""
    below = _BELOW_MODEL.search(source)
    return below["model"] if below is not None else ""


def _address(intake: taking.Intake, given: Version) -> str:
    """Return the address of a version's files in this house, where they were copied here."""
    source = given.source
    if source.startswith(("runs:", "models:")):
        return source
    below = _BELOW_MODEL.search(source)
    if below is not None:
        model = tracked.find_logged_model(intake.tx, below["model"])
        if model is not None and model.artifact_root.startswith("logged-model:"):
            root = places.of_logged_model("", model.experiment_id, model.id)
            return f"{root}/{below['path']}" if below["path"] else root
    below = _BELOW_RUN.search(source)
    if below is not None:
        run = tracked.find_run(intake.tx, below["run"])
        if run is not None and run.artifact_root.startswith("run:"):
            root = places.of_run("", run.experiment_id, run.id)
            return f"{root}/{below['path']}" if below["path"] else root
    return source

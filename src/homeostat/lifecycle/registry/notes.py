"""What an actor may say of models and versions that stay as they are: tags, texts, stages.

Part of the registry's actions; called by the doors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import actions, note_records
from homeostat.lifecycle.registry.entities import STAGES, Model, Stage, Version
from homeostat.lifecycle.tracking import limits, logged

LONGEST_DESCRIPTION: Final = 100_000
PROMPT_TAG: Final = "mlflow.prompt.is_prompt"
_ACTIVE: Final = ("Staging", "Production")
_BY_NAME: Final[Mapping[str, Stage]] = {stage.lower(): stage for stage in STAGES}


def is_prompt(tags: Mapping[str, str]) -> bool:
    """Say whether tags make a prompt of what MLflow's clients keep as a model."""
    return tags.get(PROMPT_TAG, "").lower() == "true"


def canonical(stage: str) -> Stage:
    """Return a stage as it is kept.

    Parameters
    ----------
    stage
        In any case of letters.

    Raises
    ------
    InvalidInputError
        When it is none.

    Examples
    --------
    >>> canonical("pRODUCTION")
    'Production'
    """
    found = _BY_NAME.get(stage.lower())
    if found is None:
        raise errors.InvalidInputError(
            f"Invalid Model Version stage: {stage[:80]}. Value must be one of "
            f"{', '.join(STAGES)}."
        )
    return found


def check_tags(values: Mapping[str, str]) -> None:
    """Refuse keys over 250 characters and values over 100,000."""
    logged.check_texts("tag", values)


def check_description(text: str) -> None:
    """Refuse a description of more than 100,000 characters."""
    if len(text) > LONGEST_DESCRIPTION:
        raise errors.InvalidInputError(
            f"description has {len(text)} characters; at most {LONGEST_DESCRIPTION} are kept"
        )


def describe_model(
    tx: Transaction, actor: access.Actor, name: str, *, description: str
) -> Model:
    """Say what a model is for.

    Parameters
    ----------
    tx, actor
        Needs ``model.write``.
    name
        A model.
    description
        Up to 100,000 characters; replaces the one before.

    Raises
    ------
    NotFoundError
        When there is no such model.
    InvalidInputError
        When it is too long.
    """
    access.require(actor, "model.write")
    check_description(description)
    model = actions.get_model(tx, actor, name)
    values = {"to_updated_at": tx.at, "to_description": description}
    tx.run(note_records.DESCRIBE_MODEL, note_records.of_model(tx, name, **values))
    facts = {"description": description[: limits.LONGEST_KEY]}
    events.record(tx, actor, "model.described", subject=f"model:{name}", facts=facts)
    return msgspec.structs.replace(model, description=description, updated_at=tx.at)


def describe_version(
    tx: Transaction, actor: access.Actor, model: str, number: int, *, description: str
) -> Version:
    """Say what a version is for; parameters and errors as for `describe_model`."""
    access.require(actor, "model.write")
    check_description(description)
    version = actions.get_version(tx, actor, model, number)
    values = {"to_updated_at": tx.at, "to_description": description}
    tx.run(note_records.DESCRIBE_VERSION, note_records.of_version(tx, version, **values))
    facts = {"description": description[: limits.LONGEST_KEY]}
    events.record(tx, actor, "version.described", subject=version.reference, facts=facts)
    return msgspec.structs.replace(version, description=description, updated_at=tx.at)


def tag_model(
    tx: Transaction, actor: access.Actor, name: str, *, values: Mapping[str, str]
) -> None:
    """Write tags of a model; the last value of a key counts.

    Parameters
    ----------
    tx, actor
        Needs ``model.write``.
    name
        A model.
    values
        Text by key.

    Raises
    ------
    NotFoundError
        When there is no such model.
    InvalidInputError
        When a key or value is too long, or the key has other signs than ``_-. :/``.
    """
    access.require(actor, "model.write")
    check_tags(values)
    actions.get_model(tx, actor, name)
    note_records.put_model_tags(tx, name, values)
    events.record(tx, actor, "model.tagged", subject=f"model:{name}", facts=_short(values))


def tag_version(
    tx: Transaction,
    actor: access.Actor,
    model: str,
    number: int,
    *,
    values: Mapping[str, str],
) -> None:
    """Write tags of a version; parameters and errors as for `tag_model`."""
    access.require(actor, "model.write")
    check_tags(values)
    version = actions.get_version(tx, actor, model, number)
    note_records.put_version_tags(tx, version, values)
    events.record(tx, actor, "version.tagged", subject=version.reference, facts=_short(values))


def untag_model(tx: Transaction, actor: access.Actor, name: str, *, key: str) -> bool:
    """Take a tag off a model.

    Parameters
    ----------
    tx, actor
        Needs ``model.write``.
    name
        A model.
    key
        Of the tag.

    Returns
    -------
    bool
        False when it had no such tag; that changes nothing.

    Raises
    ------
    NotFoundError
        When there is no such model.
    """
    access.require(actor, "model.write")
    actions.get_model(tx, actor, name)
    which = note_records.of_model(tx, name, in_key=key)
    if not tx.run(note_records.DROP_MODEL_TAG, which).rowcount:
        return False
    facts = {"key": key[: limits.LONGEST_KEY]}
    events.record(tx, actor, "model.untagged", subject=f"model:{name}", facts=facts)
    return True


def untag_version(
    tx: Transaction, actor: access.Actor, model: str, number: int, *, key: str
) -> bool:
    """Take a tag off a version; parameters and answer as for `untag_model`."""
    access.require(actor, "model.write")
    version = actions.get_version(tx, actor, model, number)
    which = note_records.of_version(tx, version, in_key=key)
    if not tx.run(note_records.DROP_VERSION_TAG, which).rowcount:
        return False
    facts = {"key": key[: limits.LONGEST_KEY]}
    events.record(tx, actor, "version.untagged", subject=version.reference, facts=facts)
    return True


def move_stage(
    tx: Transaction,
    actor: access.Actor,
    model: str,
    number: int,
    *,
    stage: str,
    archive_existing: bool = False,
) -> Version:
    """Put a version into a stage; whether it may answer is said by approvals, not by stages.

    Parameters
    ----------
    tx, actor
        Needs ``model.write``.
    model, number
        Which version.
    stage
        None, Staging, Production or Archived, in any case of letters.
    archive_existing
        Put the versions that are in that stage into Archived; for Staging and Production only.

    Returns
    -------
    Version
        As it is now.

    Raises
    ------
    NotFoundError
        When there is no such version.
    InvalidInputError
        When there is no such stage, or it is none whose versions are archived.
    """
    access.require(actor, "model.write")
    to = canonical(stage)
    if archive_existing and to not in _ACTIVE:
        raise errors.InvalidInputError(
            "Model version transition cannot archive existing model versions because "
            f"'{stage}' is not an Active stage. Valid stages are {list(_ACTIVE)}"
        )
    version = actions.get_version(tx, actor, model, number)
    if archive_existing:
        for other in note_records.numbers_in(tx, model, to):
            if other != number:
                before = actions.get_version(tx, actor, model, other)
                _move(tx, actor, before, to="Archived", reason=f"{version.reference} follows")
    moved = _move(tx, actor, version, to=to, reason="")
    touched = note_records.of_model(tx, model, to_updated_at=tx.at)
    tx.run(note_records.TOUCH_MODEL, touched)
    return moved


def _move(
    tx: Transaction, actor: access.Actor, version: Version, *, to: Stage, reason: str
) -> Version:
    values = {"to_updated_at": tx.at, "to_stage": to}
    tx.run(note_records.STAGE_VERSION, note_records.of_version(tx, version, **values))
    facts = {"from": version.stage, "to": to, "reason": reason}
    events.record(tx, actor, "version.staged", subject=version.reference, facts=facts)
    return msgspec.structs.replace(version, stage=to, updated_at=tx.at)


def _short(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {"tags": {key: value[: limits.LONGEST_KEY] for key, value in values.items()}}

"""What an actor may do with the names of models: take a new one, rename, delete.

Part of the registry's actions; called by the doors. A number that was given is never given
again under the same name: what was deleted keeps its name and numbers, hidden, and a name that
was left keeps the count.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from homeostat.foundation import access, errors, events, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import actions, names, note_records, notes, records, tables
from homeostat.lifecycle.registry.entities import Model, Version

SERVES = "serves"
"""Kind of the lineage between a version and a deployment that it was put into."""


def add_model(
    tx: Transaction,
    actor: access.Actor,
    name: str,
    *,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Model:
    """Add a model of a name that is free.

    Parameters
    ----------
    tx, actor
        Needs ``model.register``.
    name
        Up to 256 characters, not ``/``, ``:`` or control characters.
    description, tags
        For people.

    Returns
    -------
    Model
        Of tier ``medium``.

    Raises
    ------
    ConflictError
        When there is a model of that name.
    InvalidInputError
        When the name, the description or a tag cannot be right.
    """
    access.require(actor, "model.register")
    names.check_model(name)
    given = dict(tags or {})
    notes.check_tags(given)
    notes.check_description(description or "")
    model = Model(
        name=name,
        owner=actor.name,
        tier="medium",
        latest=0,
        created_at=tx.at,
        created_by=actor.name,
        updated_at=tx.at,
        description=description,
    )
    if not records.insert_model(tx, model):
        _refuse_taken(tx, name, is_prompt=notes.is_prompt(given))
    note_records.put_model_tags(tx, name, given)
    facts = {"owner": model.owner, "tier": model.tier}
    events.record(tx, actor, "model.created", subject=f"model:{name}", facts=facts)
    return records.find_model(tx, name) or model


def rename_model(tx: Transaction, actor: access.Actor, name: str, *, to: str) -> Model:
    """Give a model another name; versions, aliases, tags and approvals keep to it.

    Parameters
    ----------
    tx, actor
        Needs ``model.write``.
    name
        A model.
    to
        A name that is free.

    Returns
    -------
    Model
        As it is now. Its files stay sealed by the key of the name they were stored under.

    Raises
    ------
    NotFoundError
        When there is no such model.
    InvalidInputError
        When `to` is no name, or a deployment serves the model, whose policy names it.
    ConflictError
        When there is a model of that name, or a deleted one keeps versions under it.
    """
    access.require(actor, "model.write")
    names.check_model(to, field="new_name")
    model = actions.get_model(tx, actor, name)
    if to == name:
        return model
    for number in range(1, model.latest + 1):
        deployed = lineage.targets(tx, f"model:{name}@{number}", kind=SERVES)
        if deployed:
            raise errors.InvalidInputError(
                f"model {name!r} cannot be renamed: {deployed[0]} serves it under this name",
                hint="register its versions under the new name instead",
                model=name,
            )
    latest = max(model.latest, _freed(tx, to))
    values = {"to_name": to, "to_updated_at": tx.at}
    for statement in note_records.RENAMED:
        tx.run(statement, note_records.of_model(tx, name, **values))
    tx.run(note_records.RENAME_VERSIONS, note_records.of_model(tx, name, **values))
    values_of_model = note_records.of_model(tx, name, **values, to_latest=latest)
    tx.run(note_records.RENAME_MODEL, values_of_model)
    left = {"project": tx.project, **msgspec.structs.asdict(model), "deleted_at": tx.at}
    tx.run(note_records.LEAVE_NAME, left)
    lineage.connect(tx, source=f"model:{name}", target=f"model:{to}", kind="renamed")
    for number in range(1, model.latest + 1):
        source, target = f"model:{name}@{number}", f"model:{to}@{number}"
        lineage.connect(tx, source=source, target=target, kind="renamed")
    facts = {"from": name, "to": to, "n_versions": model.latest}
    events.record(tx, actor, "model.renamed", subject=f"model:{to}", facts=facts)
    return msgspec.structs.replace(model, name=to, latest=latest, updated_at=tx.at)


def delete_model(tx: Transaction, actor: access.Actor, name: str) -> None:
    """Hide a model with its versions and take its aliases away; rows and files stay.

    Parameters
    ----------
    tx, actor
        Needs ``model.write``.
    name
        A model. One that is made of this name later goes on with the next number.

    Raises
    ------
    NotFoundError
        When there is no such model.
    InvalidInputError
        When a version of it answers, or answered, in a deployment.
    """
    access.require(actor, "model.write")
    model = actions.get_model(tx, actor, name)
    for number in range(1, model.latest + 1):
        _need_unserved(tx, f"model:{name}@{number}")
    for alias in records.standing_aliases(tx, name):
        actions.set_alias(tx, actor, name, alias.alias, number=None, reason="model deleted")
    values = {"to_updated_at": tx.at, "to_stage": tables.DELETED}
    tx.run(note_records.DELETE_MODEL, note_records.of_model(tx, name, to_updated_at=tx.at))
    tx.run(note_records.DELETE_VERSIONS, note_records.of_model(tx, name, **values))
    tx.run(note_records.DROP_MODEL_TAGS, note_records.of_model(tx, name))
    facts = {"latest": model.latest}
    events.record(tx, actor, "model.deleted", subject=f"model:{name}", facts=facts)


def delete_version(tx: Transaction, actor: access.Actor, model: str, number: int) -> Version:
    """Hide a version and take the aliases on it away; row and files stay.

    Parameters
    ----------
    tx, actor
        Needs ``model.write``.
    model, number
        Which version; its number is not given again.

    Returns
    -------
    Version
        As it was.

    Raises
    ------
    NotFoundError
        When there is no such version.
    InvalidInputError
        When it answers, or answered, in a deployment, which may go back to it.
    """
    access.require(actor, "model.write")
    version = actions.get_version(tx, actor, model, number)
    _need_unserved(tx, version.reference)
    for alias in records.standing_aliases(tx, model):
        if alias.number == number:
            actions.set_alias(
                tx, actor, model, alias.alias, number=None, reason="version deleted"
            )
    values = {"to_updated_at": tx.at, "to_stage": tables.DELETED}
    tx.run(note_records.DELETE_VERSION, note_records.of_version(tx, version, **values))
    touched = note_records.of_model(tx, model, to_updated_at=tx.at)
    tx.run(note_records.TOUCH_MODEL, touched)
    facts = {"digest": version.digest, "status": version.status}
    events.record(tx, actor, "version.deleted", subject=version.reference, facts=facts)
    return version


def drop_alias(tx: Transaction, actor: access.Actor, model: str, alias: str) -> bool:
    """Take an alias away, its history stays.

    Parameters
    ----------
    tx, actor
        Needs ``model.write``.
    model, alias
        Such as ``credit`` and ``champion``.

    Returns
    -------
    bool
        False when it points nowhere already; that changes nothing.

    Raises
    ------
    NotFoundError
        When there is no such model.
    InvalidInputError
        When nothing could have the alias, or the model the name.
    """
    access.require(actor, "model.write")
    names.check_alias_asked(alias)
    actions.get_model(tx, actor, model)
    before = records.alias_history(tx, model, alias, limit=1)
    if not before or before[0].number is None:
        return False
    actions.set_alias(tx, actor, model, alias, number=None)
    return True


def _need_unserved(tx: Transaction, reference: str) -> None:
    deployed = lineage.targets(tx, reference, kind=SERVES)
    if deployed:
        raise errors.InvalidInputError(
            f"{reference} cannot be deleted: {deployed[0]} answers with it or may go back",
            version=reference,
        )


def _freed(tx: Transaction, name: str) -> int:
    """Give up what is left of a name, and return the highest number it gave."""
    row = tx.run(note_records.TAKEN, note_records.of_model(tx, name)).fetchone()
    if row is None:
        return 0
    latest, deleted_at = row
    if not deleted_at:
        raise errors.ConflictError(
            f"Registered Model (name={name}) already exists.", model=name
        )
    kept = tx.run(note_records.ANY_VERSION, note_records.of_model(tx, name)).fetchone()[0]
    if kept:
        raise errors.ConflictError(
            f"Registered Model (name={name}) was deleted and keeps its {kept} versions under "
            "this name",
            hint="choose another name",
            model=name,
        )
    tx.run(note_records.DROP_NAME, note_records.of_model(tx, name))
    return int(latest)


def _refuse_taken(tx: Transaction, name: str, *, is_prompt: bool) -> None:
    was_prompt = notes.is_prompt(dict(note_records.model_tags_of(tx, name)))
    old, new = (
        "Prompt" if is_one else "Registered Model" for is_one in (was_prompt, is_prompt)
    )
    if old != new:
        raise errors.ConflictError(
            f"Tried to create a {new.lower()} with name {name!r}, but the name is already "
            f"taken by a {old.lower()}. A model and a prompt may not have the same name.",
            model=name,
        )
    raise errors.ConflictError(f"{new} (name={name}) already exists.", model=name)

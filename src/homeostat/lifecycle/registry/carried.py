"""Writing models and versions that were registered elsewhere, with their numbers and times.

Called by the actions of importing, which decide what may be written.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import (
    actions,
    naming,
    note_records,
    notes,
    records,
    sourcing,
    tables,
)
from homeostat.lifecycle.registry.entities import Model, Stage, Version

_models, _versions = tables.models, tables.versions


def put_model(
    tx: Transaction,
    actor: access.Actor,
    name: str,
    *,
    description: str | None,
    tags: Mapping[str, str],
    created_at: int,
    updated_at: int,
) -> Model:
    """Add a model, or write what changed of one.

    Parameters
    ----------
    tx, actor
        Needs ``model.register`` and ``model.write``.
    name
        As of `naming.add_model`.
    description, tags
        For people; what was there before gives way.
    created_at, updated_at
        ms UTC.

    Raises
    ------
    InvalidInputError
        When the name, the description or a tag cannot be right.
    """
    known = records.find_model(tx, name)
    if known is None:
        known = naming.add_model(tx, actor, name, description=description, tags=tags)
        times = {"created_at": created_at or tx.at, "updated_at": updated_at or tx.at}
        _change_model(tx, name, times)
        return msgspec.structs.replace(known, **times)
    if (known.description or "") != (description or ""):
        notes.describe_model(tx, actor, name, description=description or "")
    note_records.put_model_tags(tx, name, tags)
    return known


def settle_model(tx: Transaction, name: str, *, updated_at: int) -> None:
    """Give a model back the time of its last change, which what came with it has moved."""
    if updated_at:
        _change_model(tx, name, {"updated_at": updated_at})


def find_version(tx: Transaction, model: str, number: int) -> Version | None:
    """Return a version, or None."""
    return records.find_version(tx, model, number)


def is_free(tx: Transaction, model: str, number: int) -> bool:
    """Say whether a model never gave a number; numbers below one given count as given."""
    known = records.find_model(tx, model)
    return known is not None and known.latest < number


def put_version(  # noqa: PLR0913 - each is one fact of the version
    tx: Transaction,
    actor: access.Actor,
    model: str,
    number: int,
    *,
    source: str,
    run_id: str,
    model_id: str,
    run_link: str,
    tags: Mapping[str, str],
    user: str,
    created_at: int,
) -> Version:
    """Register what lies at an address under a number that is free.

    Parameters
    ----------
    tx, actor
        Needs ``model.register``.
    model, number
        Which; numbers left out are never given.
    source, run_id, model_id, run_link, tags
        As of `sourcing.register_source`.
    user
        Who trained it; the actor when empty.
    created_at
        ms UTC.

    Raises
    ------
    NotFoundError
        When there is no such model.
    InvalidInputError
        When the address may not be named.
    """
    _change_model(tx, model, {"latest": number - 1})
    made = sourcing.register_source(
        tx,
        actor,
        model,
        source=source,
        run_id=run_id,
        model_id=model_id,
        run_link=run_link,
        tags=tags,
    )
    version = msgspec.structs.replace(
        made, created_at=created_at or tx.at, trained_by=user or made.trained_by
    )
    _change_version(tx, version, {"body": msgspec.json.encode(version).decode()})
    return version


def note_version(
    tx: Transaction,
    version: Version,
    *,
    description: str,
    stage: Stage,
    tags: Mapping[str, str],
    updated_at: int,
) -> None:
    """Write what is said of a version elsewhere.

    Parameters
    ----------
    tx
        Of the action.
    version
        An existing one.
    description, stage, tags
        As they are there; a tag that is only here stays.
    updated_at
        ms UTC.

    Raises
    ------
    InvalidInputError
        When the description or a tag cannot be right.
    """
    notes.check_tags(tags)
    notes.check_description(description)
    note_records.put_version_tags(tx, version, tags)
    changed = {"description": description, "stage": stage, "updated_at": updated_at or tx.at}
    _change_version(tx, version, changed)


def set_alias(
    tx: Transaction, actor: access.Actor, model: str, alias: str, *, number: int
) -> None:
    """Point an alias at a version; parameters and errors of `actions.set_alias`."""
    actions.set_alias(tx, actor, model, alias, number=number, reason="imported")


def _change_model(tx: Transaction, name: str, values: Mapping[str, int]) -> None:
    of_model = (_models.c.project == tx.project, _models.c.name == name)
    tx.execute(sa.update(_models).where(*of_model).values(**values))


def _change_version(tx: Transaction, version: Version, values: Mapping[str, object]) -> None:
    of_version = (
        _versions.c.project == tx.project,
        _versions.c.model == version.model,
        _versions.c.number == version.number,
    )
    tx.execute(sa.update(_versions).where(*of_version).values(**values))

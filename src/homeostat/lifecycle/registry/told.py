"""Models and versions with all that is said of them, in few statements; called by the doors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import actions, note_records, notes, records
from homeostat.lifecycle.registry.entities import AliasChange, Model, Stage, Version


class ToldVersion(NamedTuple):
    """A version, its tags by key, and the aliases that point to it."""

    version: Version
    tags: note_records.Texts
    aliases: tuple[str, ...]


class ToldModel(NamedTuple):
    """A model, its tags by key, where its aliases point, and the newest of each stage."""

    model: Model
    tags: note_records.Texts
    aliases: tuple[tuple[str, int], ...]
    latest: tuple[ToldVersion, ...]


def version(tx: Transaction, actor: access.Actor, model: str, number: int) -> ToldVersion:
    """Return a version whole; NotFoundError when there is none of that number."""
    return whole(tx, actions.get_version(tx, actor, model, number))


def whole(tx: Transaction, found: Version) -> ToldVersion:
    """Return what is said of a version that was read already."""
    tags = note_records.version_tags_of(tx, found)
    return ToldVersion(
        found, tags, _on(records.standing_aliases(tx, found.model), found.number)
    )


def at_alias(tx: Transaction, actor: access.Actor, model: str, alias: str) -> ToldVersion:
    """Return the version an alias points to; ``latest`` is the newest.

    Parameters
    ----------
    tx, actor
        Needs ``model.read``.
    model, alias
        Such as ``credit`` and ``champion``.

    Raises
    ------
    NotFoundError
        When there is no such model, or the alias points nowhere.
    """
    if alias.lower() != "latest":
        return whole(tx, actions.version_at(tx, actor, model, alias))
    newest = actions.list_versions(tx, actor, model, limit=1)
    if not newest:
        return version(tx, actor, model, 0)
    return whole(tx, newest[0])


def location(tx: Transaction, actor: access.Actor, model: str, number: int) -> str:
    """Return where the files of a version lie for MLflow's clients.

    Parameters
    ----------
    tx, actor
        Needs ``model.read``.
    model, number
        Which version.

    Raises
    ------
    NotFoundError
        When there is no such version.
    InvalidInputError
        When it was not registered by such a client, and is no model of MLflow's format.
    """
    found = actions.get_version(tx, actor, model, number)
    if not found.source:
        raise errors.InvalidInputError(
            f"{found.reference} was not registered from an address of MLflow's and has no "
            "files in its format",
            hint="load it with homeostat's client: client.models.files(version)",
            version=found.reference,
        )
    return found.location or found.source


def model(tx: Transaction, actor: access.Actor, name: str) -> ToldModel:
    """Return a model whole; NotFoundError when there is none of that name."""
    return whole_model(tx, actions.get_model(tx, actor, name))


def whole_model(tx: Transaction, found: Model) -> ToldModel:
    """Return what is said of a model that was read already."""
    name = found.name
    standing = records.standing_aliases(tx, name)
    newest = note_records.latest(tx, name) if found.latest else []
    return ToldModel(
        model=found,
        tags=note_records.model_tags_of(tx, name),
        aliases=tuple((one.alias, one.number) for one in standing if one.number),
        latest=tuple(
            ToldVersion(one, note_records.version_tags_of(tx, one), _on(standing, one.number))
            for one in newest
        ),
    )


def latest(
    tx: Transaction, actor: access.Actor, name: str, *, stages: Sequence[str] = ()
) -> list[ToldVersion]:
    """Return the newest version of some stages.

    Parameters
    ----------
    tx, actor
        Needs ``model.read``.
    name
        A model.
    stages
        In any case of letters; all when empty.

    Raises
    ------
    NotFoundError
        When there is no such model.
    InvalidInputError
        When one is no stage.
    """
    wanted: set[Stage] = {notes.canonical(stage) for stage in stages}
    found = model(tx, actor, name).latest
    return [one for one in found if not wanted or one.version.stage in wanted]


def versions(tx: Transaction, found: Sequence[Version]) -> list[ToldVersion]:
    """Return what is said of many versions, with two statements for each model among them."""
    spans: dict[str, tuple[int, int]] = {}
    for one in found:
        first, last = spans.get(one.model, (one.number, one.number))
        spans[one.model] = min(first, one.number), max(last, one.number)
    tags = {
        name: note_records.tags_between(tx, name, first, last)
        for name, (first, last) in spans.items()
    }
    aliases: dict[str, dict[int, list[str]]] = {}
    for name in spans:
        by_number = aliases[name] = {}
        for change in records.standing_aliases(tx, name):
            by_number.setdefault(change.number or 0, []).append(change.alias)
    return [
        ToldVersion(
            one,
            tuple(tags[one.model].get(one.number, ())),
            tuple(aliases[one.model].get(one.number, ())),
        )
        for one in found
    ]


def _on(standing: Sequence[AliasChange], number: int) -> tuple[str, ...]:
    return tuple(one.alias for one in standing if one.number == number)

"""Registers what MLflow's clients logged: a version made of the files at an address.

Part of the registry's actions; called by the doors. No byte is read: digests and sizes were
noted when the files were stored, so a version is as fast to make as its rows, and stays as it
is when the run's files are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from homeostat.foundation import access, errors, events, lineage
from homeostat.foundation.access import Kind
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.data.entities import Schema
from homeostat.lifecycle.registry import files as files_of_version
from homeostat.lifecycle.registry import names, note_records, notes, records, sources
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.tracking import logged, logged_notes, runs

FLAVOUR: Final = "mlflow"
LONGEST_LINK: Final = 2000
VERSIONS_TAG: Final = "mlflow.modelVersions"
"""Where clients look for the versions that were made of a logged model."""


class _Named(msgspec.Struct, frozen=True):
    name: str
    version: int | str


def register_source(
    tx: Transaction,
    actor: access.Actor,
    model: str,
    *,
    source: str,
    run_id: str = "",
    model_id: str = "",
    run_link: str = "",
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> Version:
    """Give what lies at an address the next number of a model that exists.

    Parameters
    ----------
    tx, actor
        Needs ``model.register``.
    model
        Its name.
    source
        See `sources.find`.
    run_id, model_id
        The run and the logged model it comes from, or empty.
    run_link
        Address of a run on another server.
    description, tags
        For people.

    Returns
    -------
    Version
        With the next number; two registers at once get two numbers. It has the files that
        are there now, sealed as they are, or none where they lie elsewhere.

    Raises
    ------
    NotFoundError
        When there is no such model.
    InvalidInputError
        When the address may not be named, or a text cannot be right.
    """
    access.require(actor, "model.register")
    given = dict(tags or {})
    notes.check_tags(given)
    notes.check_description(description)
    if len(run_link) > LONGEST_LINK:
        raise errors.InvalidInputError(
            f"run_link has {len(run_link)} characters; at most {LONGEST_LINK} are kept"
        )
    if notes.is_prompt(given):
        origin = sources.of_prompt(source)
    else:
        origin = sources.find(tx, actor, source, run_id=run_id, model_id=model_id)
    number = records.next_number(tx, model)
    if number is None:
        names.check_asked(model)
        raise errors.NotFoundError(f"no model {model!r}", model=model)
    version = msgspec.structs.replace(
        _made(tx, actor, model, number=number, origin=origin),
        run_link=run_link,
        description=description,
    )
    records.insert_version(tx, version)
    note_records.put_version_tags(tx, version, given)
    _note_origin(tx, actor, version, origin)
    facts = {
        "digest": version.digest,
        "source": version.source,
        "run": version.run_id,
        "model": version.model_id,
        "size_bytes": version.size_bytes,
    }
    events.record(tx, actor, "version.registered", subject=version.reference, facts=facts)
    return version


def _made(
    tx: Transaction,
    actor: access.Actor,
    model: str,
    *,
    number: int,
    origin: sources.Origin,
) -> Version:
    return Version(
        model=model,
        number=number,
        digest=files_of_version.tree_digest(origin.files) if origin.files else "",
        flavour=FLAVOUR,
        files=origin.files,
        schema=Schema(()),
        baseline="",
        run_id=origin.run_id,
        report_id="",
        trained_by=actor.name,
        registered_by=actor.name,
        by_system=actor.kind is Kind.SYSTEM,
        trained_rows=None,
        purpose="",
        snapshots=(),
        status="registered",
        created_at=tx.at,
        source=origin.source,
        location=origin.location,
        model_id=origin.model_id,
        sealed_by=origin.owner,
        updated_at=tx.at,
    )


def _note_origin(
    tx: Transaction, actor: access.Actor, version: Version, origin: sources.Origin
) -> None:
    """Connect a version with what it was made of, as far as that is known here."""
    if origin.copied:
        lineage.connect(tx, source=origin.copied, target=version.reference, kind="copied")
    if version.run_id and (
        origin.owner == f"run:{version.run_id}" or _is_run(tx, version.run_id)
    ):
        source = f"run:{version.run_id}"
        lineage.connect(tx, source=source, target=version.reference, kind="made")
    if not version.model_id:
        return
    try:
        known = logged.get_model(tx, actor, version.model_id)
    except errors.NotFoundError:
        return
    source = logged.reference(known.model)
    lineage.connect(tx, source=source, target=version.reference, kind="made")
    before = next((tag.value for tag in known.tags if tag.key == VERSIONS_TAG), "")
    listed = _listed(before)
    here = {"name": version.model, "version": version.number}
    if here not in listed:
        text = msgspec.json.encode([*listed, here]).decode()
        if len(text) <= logged.LONGEST_VALUE:
            values = {VERSIONS_TAG: text}
            logged_notes.set_tags(tx, actor, version.model_id, values=values)


def _is_run(tx: Transaction, run_id: str) -> bool:
    try:
        runs.existing(tx, run_id)
    except errors.NotFoundError:
        return False
    return True


def _listed(text: str) -> list[dict[str, int | str]]:
    """Read a tag that anybody may have written; what is no list of versions counts as none."""
    try:
        found = msgspec.json.decode(text or "[]", type=list[_Named])
    except msgspec.MsgspecError:
        return []
    return [{"name": one.name, "version": one.version} for one in found]

"""The registry's SQL on what is said of models and versions later: tags, stages, names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from homeostat.foundation.database import Prepared, Transaction, upserts
from homeostat.lifecycle.registry import adopted, records, tables
from homeostat.lifecycle.registry.entities import STAGES, Stage, Version

models, versions = tables.models, tables.versions
model_tags, version_tags = tables.model_tags, tables.version_tags
IN_PROJECT, IN_MODEL = tables.IN_PROJECT, tables.IN_MODEL
IN_NUMBER = tables.IN_NUMBER
IN_KEY: sa.BindParameter[str] = sa.bindparam("in_key")
TO_NAME: sa.BindParameter[str] = sa.bindparam("to_name")
TO_UPDATED_AT: sa.BindParameter[int] = sa.bindparam("to_updated_at")
TO_DESCRIPTION: sa.BindParameter[str] = sa.bindparam("to_description")
TO_STAGE: sa.BindParameter[str] = sa.bindparam("to_stage")

_NO_STAGE: sa.ColumnClause[str] = sa.literal_column("'None'")

Texts = tuple[tuple[str, str], ...]
"""Keys and values, by key."""

_OF_MODEL = (models.c.project == IN_PROJECT, models.c.name == IN_MODEL)
_OF_VERSION = (
    versions.c.project == IN_PROJECT,
    versions.c.model == IN_MODEL,
    versions.c.number == IN_NUMBER,
)
_MODEL_TAGS = (model_tags.c.project == IN_PROJECT, model_tags.c.model == IN_MODEL)
_VERSION_TAGS = (version_tags.c.project == IN_PROJECT, version_tags.c.model == IN_MODEL)

PUT_MODEL_TAG = upserts.replacing(model_tags, ["project", "model", "key"], ["value"])
PUT_VERSION_TAG = upserts.replacing(
    version_tags, ["project", "model", "number", "key"], ["value"]
)
MODEL_TAGS = Prepared(
    sa.select(model_tags.c.key, model_tags.c.value)
    .where(*_MODEL_TAGS)
    .order_by(model_tags.c.key)
)
VERSION_TAGS = Prepared(
    sa.select(version_tags.c.key, version_tags.c.value)
    .where(*_VERSION_TAGS, version_tags.c.number == IN_NUMBER)
    .order_by(version_tags.c.key)
)
TAGS_BETWEEN = Prepared(
    sa.select(version_tags.c.number, version_tags.c.key, version_tags.c.value)
    .where(
        *_VERSION_TAGS,
        version_tags.c.number >= sa.bindparam("from_number"),
        version_tags.c.number <= IN_NUMBER,
    )
    .order_by(version_tags.c.number, version_tags.c.key)
)
DROP_MODEL_TAG = Prepared(sa.delete(model_tags).where(*_MODEL_TAGS, model_tags.c.key == IN_KEY))
DROP_MODEL_TAGS = Prepared(sa.delete(model_tags).where(*_MODEL_TAGS))
DROP_VERSION_TAG = Prepared(
    sa.delete(version_tags).where(
        *_VERSION_TAGS, version_tags.c.number == IN_NUMBER, version_tags.c.key == IN_KEY
    )
)
TOUCH_MODEL = Prepared(sa.update(models).where(*_OF_MODEL).values(updated_at=TO_UPDATED_AT))
DESCRIBE_MODEL = Prepared(
    sa.update(models)
    .where(*_OF_MODEL)
    .values(updated_at=TO_UPDATED_AT, description=TO_DESCRIPTION)
)
DESCRIBE_VERSION = Prepared(
    sa.update(versions)
    .where(*_OF_VERSION)
    .values(updated_at=TO_UPDATED_AT, description=TO_DESCRIPTION)
)
STAGE_VERSION = Prepared(
    sa.update(versions).where(*_OF_VERSION).values(updated_at=TO_UPDATED_AT, stage=TO_STAGE)
)
DELETE_VERSION = Prepared(
    sa.update(versions)
    .where(*_OF_VERSION)
    .values(updated_at=TO_UPDATED_AT, deleted_at=TO_UPDATED_AT, stage=TO_STAGE)
)
DELETE_VERSIONS = Prepared(
    sa.update(versions)
    .where(
        versions.c.project == IN_PROJECT,
        versions.c.model == IN_MODEL,
        versions.c.deleted_at == records.ZERO,
    )
    .values(updated_at=TO_UPDATED_AT, deleted_at=TO_UPDATED_AT, stage=TO_STAGE)
)
DELETE_MODEL = Prepared(
    sa.update(models)
    .where(*_OF_MODEL)
    .values(updated_at=TO_UPDATED_AT, deleted_at=TO_UPDATED_AT)
)
IN_STAGE = Prepared(
    sa.select(versions.c.number)
    .where(
        versions.c.project == IN_PROJECT,
        versions.c.model == IN_MODEL,
        versions.c.stage == sa.bindparam("in_stage"),
        versions.c.stage != _NO_STAGE,
    )
    .order_by(versions.c.number)
)


def _newest(stage: str) -> Any:
    inner = versions.alias(f"in_{stage.lower()}")
    # That some stage is meant says that the index of stages holds it.
    indexed = [] if stage == STAGES[0] else [inner.c.stage != _NO_STAGE]
    return (
        sa.select(sa.func.max(inner.c.number))
        .where(
            inner.c.project == IN_PROJECT,
            inner.c.model == IN_MODEL,
            inner.c.stage == sa.literal_column(f"'{stage}'"),
            *indexed,
        )
        .scalar_subquery()
    )


# Each subquery is one step into an index; a group over all versions would read them all.
LATEST = Prepared(
    sa.select(*records.VERSION_COLUMNS)
    .where(
        versions.c.project == IN_PROJECT,
        versions.c.model == IN_MODEL,
        versions.c.number.in_([_newest(stage) for stage in STAGES]),
    )
    .order_by(versions.c.number)
)
TAKEN = Prepared(
    sa.select(models.c.latest, models.c.deleted_at).where(
        models.c.project == IN_PROJECT, models.c.name == IN_MODEL
    )
)
ANY_VERSION = Prepared(
    sa.select(sa.func.count())
    .select_from(versions)
    .where(versions.c.project == IN_PROJECT, versions.c.model == IN_MODEL)
)
DROP_NAME = Prepared(sa.delete(models).where(*_OF_MODEL))
RENAME_MODEL = Prepared(
    sa.update(models)
    .where(*_OF_MODEL)
    .values(name=TO_NAME, updated_at=TO_UPDATED_AT, latest=sa.bindparam("to_latest"))
)
RENAMED = tuple(
    Prepared(
        sa.update(table)
        .where(table.c.project == IN_PROJECT, table.c.model == IN_MODEL)
        .values(model=TO_NAME)
    )
    for table in (
        *(tables.aliases, tables.approvals, model_tags, version_tags),
        *(adopted.version_adoptions, adopted.version_trust),
    )
)
RENAME_VERSIONS = Prepared(
    sa.update(versions)
    .where(versions.c.project == IN_PROJECT, versions.c.model == IN_MODEL)
    .values(model=TO_NAME, updated_at=TO_UPDATED_AT)
)
LEAVE_NAME = Prepared(sa.insert(models))


def of_model(tx: Transaction, model: str, **more: Any) -> dict[str, Any]:
    """Name a model in a statement's parameters."""
    return {"in_project": tx.project, "in_model": model, **more}


def of_version(tx: Transaction, version: Version, **more: Any) -> dict[str, Any]:
    """Name a version in a statement's parameters."""
    return of_model(tx, version.model, in_number=version.number, **more)


def put_model_tags(tx: Transaction, model: str, values: Mapping[str, str]) -> None:
    """Write tags of a model; the last value counts."""
    for key, value in values.items():
        row = {"project": tx.project, "model": model, "key": key, "value": value}
        tx.run(PUT_MODEL_TAG, row)


def put_version_tags(tx: Transaction, version: Version, values: Mapping[str, str]) -> None:
    """Write tags of a version; the last value counts."""
    for key, value in values.items():
        row = {"project": tx.project, "model": version.model, "number": version.number}
        tx.run(PUT_VERSION_TAG, {**row, "key": key, "value": value})


def model_tags_of(tx: Transaction, model: str) -> Texts:
    """Return the tags of a model."""
    return tuple(tx.run(MODEL_TAGS, of_model(tx, model)).fetchall())


def version_tags_of(tx: Transaction, version: Version) -> Texts:
    """Return the tags of a version."""
    return tuple(tx.run(VERSION_TAGS, of_version(tx, version)).fetchall())


def tags_between(
    tx: Transaction, model: str, first: int, last: int
) -> dict[int, list[tuple[str, str]]]:
    """Return the tags of versions from one number to another, by number."""
    which = of_model(tx, model, from_number=first, in_number=last)
    found: dict[int, list[tuple[str, str]]] = {}
    for number, key, value in tx.run(TAGS_BETWEEN, which).fetchall():
        found.setdefault(number, []).append((key, value))
    return found


def latest(tx: Transaction, model: str) -> list[Version]:
    """Return the newest version of each stage, by number."""
    rows = tx.run(LATEST, of_model(tx, model)).fetchall()
    return [records.version_from(row) for row in rows]


def numbers_in(tx: Transaction, model: str, stage: Stage) -> list[int]:
    """Return the numbers of all versions in a stage other than None."""
    return [row[0] for row in tx.run(IN_STAGE, of_model(tx, model, in_stage=stage)).fetchall()]

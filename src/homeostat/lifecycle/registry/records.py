"""The registry's SQL on models, versions, aliases and approvals; its actions call it.

What stands on the way of every request of MLflow's clients is prepared.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from homeostat.foundation.database import Prepared, Transaction, upserts
from homeostat.lifecycle.registry import tables
from homeostat.lifecycle.registry.entities import AliasChange, Approval, Model, Status, Version

models, versions = tables.models, tables.versions
aliases, approvals = tables.aliases, tables.approvals
IN_PROJECT, IN_MODEL = tables.IN_PROJECT, tables.IN_MODEL
IN_NUMBER, IN_LIMIT = tables.IN_NUMBER, tables.IN_LIMIT
ZERO: sa.ColumnClause[Any] = sa.literal_column("0")
IN_ALIAS: sa.BindParameter[str] = sa.bindparam("in_alias")

_MODEL = tuple(models.c[name] for name in Model.__struct_fields__)
_ALIAS = tuple(aliases.c[name] for name in AliasChange.__struct_fields__)
_APPROVAL = tuple(approvals.c[name] for name in Approval.__struct_fields__)
VERSION_COLUMNS = tuple(
    versions.c[name]
    for name in ("body", "model", "status", "stage", "description", "updated_at")
)


def _upsert_model(insert: Any) -> Any:
    """Add a model, or one of a name that was deleted; its numbers go on."""
    made = insert(models)
    renewed = ("owner", "tier", "created_at", "created_by", "description", "updated_at")
    return made.on_conflict_do_update(
        index_elements=["project", "name"],
        set_={**{name: made.excluded[name] for name in renewed}, "deleted_at": ZERO},
        where=models.c.deleted_at > ZERO,
    )


INSERT_MODEL = upserts.both(_upsert_model)
_ONE_MODEL = (
    models.c.project == IN_PROJECT,
    models.c.name == IN_MODEL,
    models.c.deleted_at == ZERO,
)
MODEL = Prepared(sa.select(*_MODEL).where(*_ONE_MODEL))
MODELS = (
    sa.select(*_MODEL)
    .where(
        models.c.project == IN_PROJECT,
        models.c.name > sa.bindparam("in_after"),
        models.c.deleted_at == 0,
    )
    .order_by(models.c.name)
    .limit(IN_LIMIT)
)
# One statement counts and locks the row, so that two registers never get one number.
NEXT_NUMBER = Prepared(
    sa.update(models)
    .where(*_ONE_MODEL)
    .values(
        latest=models.c.latest + sa.literal_column("1"),
        updated_at=sa.bindparam("to_updated_at"),
    )
    .returning(models.c.latest)
)
INSERT_VERSION = Prepared(sa.insert(versions))
_OF_VERSION = (
    versions.c.project == IN_PROJECT,
    versions.c.model == IN_MODEL,
    versions.c.number == IN_NUMBER,
)
VERSION = Prepared(
    sa.select(*VERSION_COLUMNS).where(*_OF_VERSION, versions.c.deleted_at == ZERO)
)
VERSIONS = (
    sa.select(*VERSION_COLUMNS)
    .where(
        versions.c.project == IN_PROJECT,
        versions.c.model == IN_MODEL,
        versions.c.number < sa.bindparam("in_before"),
        versions.c.deleted_at == 0,
    )
    .order_by(versions.c.number.desc())
    .limit(IN_LIMIT)
)
SET_STATUS = sa.update(versions).where(*_OF_VERSION).values(status=sa.bindparam("to_status"))
INSERT_ALIAS = Prepared(sa.insert(aliases))
_OF_ALIAS = (
    aliases.c.project == IN_PROJECT,
    aliases.c.model == IN_MODEL,
    aliases.c.alias == IN_ALIAS,
)
_STANDS = aliases.c.is_standing == sa.true()
SUPERSEDE = Prepared(
    sa.update(aliases).where(*_OF_ALIAS, _STANDS).values(is_standing=sa.false())
)
HISTORY = Prepared(
    sa.select(*_ALIAS)
    .where(*_OF_ALIAS, aliases.c.at <= sa.bindparam("in_at"))
    .order_by(aliases.c.place.desc())
    .limit(IN_LIMIT)
    .offset(tables.NO_OFFSET)
)
STANDING = Prepared(
    sa.select(*_ALIAS)
    .where(
        aliases.c.project == IN_PROJECT,
        aliases.c.model == IN_MODEL,
        _STANDS,
        aliases.c.number.is_not(None),
    )
    .order_by(aliases.c.alias)
)
INSERT_APPROVAL = sa.insert(approvals)
APPROVALS = (
    sa.select(*_APPROVAL)
    .where(approvals.c.project == IN_PROJECT, approvals.c.model == IN_MODEL)
    .order_by(approvals.c.number, approvals.c.at, approvals.c.actor)
)

FOREVER = 2**62
LAST_NUMBER = 2**31 - 1
_DECODER = msgspec.json.Decoder(Version)


def insert_model(tx: Transaction, model: Model) -> bool:
    """Add a model and say so; when another process was faster, theirs stands."""
    row = {"project": tx.project, "deleted_at": 0, **msgspec.structs.asdict(model)}
    return tx.run(INSERT_MODEL, row).rowcount == 1


def find_model(tx: Transaction, name: str) -> Model | None:
    """Return a model, or None."""
    row = tx.run(MODEL, {"in_project": tx.project, "in_model": name}).fetchone()
    return None if row is None else model_from(row)


def model_from(row: Any) -> Model:
    """Make a model of its row: the columns in the order of its fields."""
    return Model(**dict(zip(Model.__struct_fields__, row, strict=True)))


def list_models(tx: Transaction, *, after: str, limit: int) -> list[Model]:
    """Return models by name, from just after one."""
    which = {"in_project": tx.project, "in_after": after, "in_limit": limit}
    return [model_from(row) for row in tx.execute(MODELS, which)]


def next_number(tx: Transaction, model: str) -> int | None:
    """Take the next number of a model; nobody else can get it. None without such a model."""
    which = {"in_project": tx.project, "in_model": model, "to_updated_at": tx.at}
    row = tx.run(NEXT_NUMBER, which).fetchone()
    return None if row is None else int(row[0])


def insert_version(tx: Transaction, version: Version) -> None:
    """Add a version."""
    row = {
        "project": tx.project,
        "model": version.model,
        "number": version.number,
        "digest": version.digest,
        "status": version.status,
        "body": msgspec.json.encode(version).decode(),
        "created_at": version.created_at,
        "updated_at": version.updated_at or version.created_at,
        "deleted_at": 0,
        "run_id": version.run_id,
        "source": version.source,
        "description": version.description,
        "stage": version.stage,
    }
    tx.run(INSERT_VERSION, row)


def find_version(tx: Transaction, model: str, number: int) -> Version | None:
    """Return a version, or None."""
    which = {"in_project": tx.project, "in_model": model, "in_number": number}
    row = tx.run(VERSION, which).fetchone()
    return None if row is None else version_from(row)


def list_versions(tx: Transaction, model: str, *, before: int, limit: int) -> list[Version]:
    """Return versions of a model, newest first, from just before a number."""
    which = {
        "in_project": tx.project,
        "in_model": model,
        "in_before": before,
        "in_limit": limit,
    }
    return [version_from(row) for row in tx.execute(VERSIONS, which)]


def set_status(tx: Transaction, version: Version, status: Status) -> None:
    """Change whether somebody approved it."""
    which = {
        "in_project": tx.project,
        "in_model": version.model,
        "in_number": version.number,
        "to_status": status,
    }
    tx.execute(SET_STATUS, which)


def insert_alias(tx: Transaction, change: AliasChange) -> None:
    """Add a move of an alias; from now on it says where the alias stands."""
    which = {"in_project": tx.project, "in_model": change.model, "in_alias": change.alias}
    tx.run(SUPERSEDE, which)
    row = {"project": tx.project, "is_standing": True, **msgspec.structs.asdict(change)}
    tx.run(INSERT_ALIAS, row)


def alias_history(
    tx: Transaction, model: str, alias: str, *, until: int = FOREVER, limit: int = 1000
) -> list[AliasChange]:
    """Return moves of an alias up to an instant, newest first."""
    which = {
        "in_project": tx.project,
        "in_model": model,
        "in_alias": alias,
        "in_at": until,
        "in_limit": limit,
    }
    return [_change(row) for row in tx.run(HISTORY, which).fetchall()]


def standing_aliases(tx: Transaction, model: str) -> list[AliasChange]:
    """Return where each alias of a model points now."""
    which = {"in_project": tx.project, "in_model": model}
    return [_change(row) for row in tx.run(STANDING, which).fetchall()]


def insert_approval(tx: Transaction, approval: Approval) -> None:
    """Add an approval."""
    tx.execute(INSERT_APPROVAL, {"project": tx.project, **msgspec.structs.asdict(approval)})


def list_approvals(tx: Transaction, model: str) -> list[Approval]:
    """Return all approvals of a model's versions, oldest first."""
    which = {"in_project": tx.project, "in_model": model}
    return [Approval(**row) for row in tx.execute(APPROVALS, which).mappings()]


def version_from(row: Any) -> Version:
    """Make a version of its row: `VERSION_COLUMNS`."""
    body, model, status, stage, description, updated_at = row
    version = _DECODER.decode(body)
    is_renamed = version.model != model
    return msgspec.structs.replace(
        version,
        model=model,
        status=status,
        stage=stage,
        description=description,
        updated_at=updated_at,
        sealed_by=version.owner if is_renamed else version.sealed_by,
        first_name=version.model if is_renamed else "",
    )


def _change(row: Any) -> AliasChange:
    return AliasChange(**dict(zip(AliasChange.__struct_fields__, row, strict=True)))

"""The tables of the registry and the SQL on them; only this subject's actions call it."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from homeostat.foundation.database import Transaction
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.registry.entities import AliasChange, Approval, Model, Status, Version

models = sa.Table(
    "models",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("tier", sa.Text, nullable=False),
    sa.Column("latest", sa.Integer, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
)
versions = sa.Table(
    "versions",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
aliases = sa.Table(
    "aliases",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("alias", sa.Text, primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, nullable=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("actor", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)


def _columns(table: sa.Table) -> list[sa.Column[Any]]:
    return [column for column in table.c if column.name != "project"]


IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
IN_MODEL: sa.BindParameter[str] = sa.bindparam("in_model")
IN_NUMBER: sa.BindParameter[int] = sa.bindparam("in_number")
IN_ALIAS: sa.BindParameter[str] = sa.bindparam("in_alias")
IN_LIMIT: sa.BindParameter[int] = sa.bindparam("in_limit")

INSERT_MODEL: dict[str, sa.Executable] = {
    "sqlite": sqlite.insert(models).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(models).on_conflict_do_nothing(),
}
MODEL = sa.select(*_columns(models)).where(
    models.c.project == IN_PROJECT, models.c.name == IN_MODEL
)
MODELS = (
    sa.select(*_columns(models))
    .where(models.c.project == IN_PROJECT, models.c.name > sa.bindparam("in_after"))
    .order_by(models.c.name)
    .limit(IN_LIMIT)
)
# One statement counts and locks the row, so that two registers never get one number.
NEXT_NUMBER = (
    sa.update(models)
    .where(models.c.project == IN_PROJECT, models.c.name == IN_MODEL)
    .values(latest=models.c.latest + 1)
    .returning(models.c.latest)
)
INSERT_VERSION = sa.insert(versions)
VERSION = sa.select(versions.c.body, versions.c.status).where(
    versions.c.project == IN_PROJECT,
    versions.c.model == IN_MODEL,
    versions.c.number == IN_NUMBER,
)
VERSIONS = (
    sa.select(versions.c.body, versions.c.status)
    .where(
        versions.c.project == IN_PROJECT,
        versions.c.model == IN_MODEL,
        versions.c.number < sa.bindparam("in_before"),
    )
    .order_by(versions.c.number.desc())
    .limit(IN_LIMIT)
)
SET_STATUS = (
    sa.update(versions)
    .where(
        versions.c.project == IN_PROJECT,
        versions.c.model == IN_MODEL,
        versions.c.number == IN_NUMBER,
    )
    .values(status=sa.bindparam("to_status"))
)
INSERT_ALIAS = sa.insert(aliases)
HISTORY = (
    sa.select(*_columns(aliases))
    .where(
        aliases.c.project == IN_PROJECT,
        aliases.c.model == IN_MODEL,
        aliases.c.alias == IN_ALIAS,
        aliases.c.at <= sa.bindparam("in_at"),
    )
    .order_by(aliases.c.place.desc())
    .limit(IN_LIMIT)
)
LATER = aliases.alias("later")
STANDING = (
    sa.select(*_columns(aliases))
    .where(
        aliases.c.project == IN_PROJECT,
        aliases.c.model == IN_MODEL,
        aliases.c.number.is_not(None),
        ~sa.exists().where(
            LATER.c.project == aliases.c.project,
            LATER.c.model == aliases.c.model,
            LATER.c.alias == aliases.c.alias,
            LATER.c.place > aliases.c.place,
        ),
    )
    .order_by(aliases.c.alias)
)
INSERT_APPROVAL = sa.insert(approvals)
APPROVALS = (
    sa.select(*_columns(approvals))
    .where(approvals.c.project == IN_PROJECT, approvals.c.model == IN_MODEL)
    .order_by(approvals.c.number, approvals.c.at)
)

FOREVER = 2**62
LAST_NUMBER = 2**31 - 1


def insert_model(tx: Transaction, model: Model) -> None:
    """Add a model; when another process was faster, theirs stands."""
    row = {"project": tx.project, **msgspec.structs.asdict(model)}
    tx.execute(INSERT_MODEL[tx.dialect], row)


def find_model(tx: Transaction, name: str) -> Model | None:
    """Return a model, or None."""
    row = tx.execute(MODEL, {"in_project": tx.project, "in_model": name}).mappings().first()
    return None if row is None else Model(**row)


def list_models(tx: Transaction, *, after: str, limit: int) -> list[Model]:
    """Return models by name, from just after one."""
    which = {"in_project": tx.project, "in_after": after, "in_limit": limit}
    return [Model(**row) for row in tx.execute(MODELS, which).mappings()]


def next_number(tx: Transaction, model: str) -> int:
    """Take the next number of a model; nobody else can get it."""
    found: int = tx.execute(
        NEXT_NUMBER, {"in_project": tx.project, "in_model": model}
    ).scalar_one()
    return found


def insert_version(tx: Transaction, version: Version) -> None:
    """Add a version."""
    row = {
        "project": tx.project,
        "model": version.model,
        "number": version.number,
        "digest": version.digest,
        "status": version.status,
        "body": msgspec.json.encode(version).decode(),
    }
    tx.execute(INSERT_VERSION, row)


def find_version(tx: Transaction, model: str, number: int) -> Version | None:
    """Return a version, or None."""
    which = {"in_project": tx.project, "in_model": model, "in_number": number}
    row = tx.execute(VERSION, which).first()
    return None if row is None else _version(row)


def list_versions(tx: Transaction, model: str, *, before: int, limit: int) -> list[Version]:
    """Return versions of a model, newest first, from just before a number."""
    which = {
        "in_project": tx.project,
        "in_model": model,
        "in_before": before,
        "in_limit": limit,
    }
    return [_version(row) for row in tx.execute(VERSIONS, which)]


def set_status(tx: Transaction, version: Version, status: Status) -> None:
    """Change the one thing of a version that changes."""
    which = {
        "in_project": tx.project,
        "in_model": version.model,
        "in_number": version.number,
        "to_status": status,
    }
    tx.execute(SET_STATUS, which)


def insert_alias(tx: Transaction, change: AliasChange) -> None:
    """Add a move of an alias."""
    tx.execute(INSERT_ALIAS, {"project": tx.project, **msgspec.structs.asdict(change)})


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
    return [AliasChange(**row) for row in tx.execute(HISTORY, which).mappings()]


def standing_aliases(tx: Transaction, model: str) -> list[AliasChange]:
    """Return where each alias of a model points now."""
    which = {"in_project": tx.project, "in_model": model}
    return [AliasChange(**row) for row in tx.execute(STANDING, which).mappings()]


def insert_approval(tx: Transaction, approval: Approval) -> None:
    """Add an approval."""
    tx.execute(INSERT_APPROVAL, {"project": tx.project, **msgspec.structs.asdict(approval)})


def list_approvals(tx: Transaction, model: str) -> list[Approval]:
    """Return all approvals of a model's versions, oldest first."""
    which = {"in_project": tx.project, "in_model": model}
    return [Approval(**row) for row in tx.execute(APPROVALS, which).mappings()]


def _version(row: Any) -> Version:
    version = msgspec.json.decode(row.body, type=Version)
    return msgspec.structs.replace(version, status=row.status)

"""The tables of the registry; its files of SQL are `records`, `note_records` and `search`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from homeostat.foundation.database import columns
from homeostat.foundation.database.metadata import metadata


def _instant(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def _number(**options: Any) -> sa.Column[int]:
    return sa.Column("number", sa.Integer, **options)


STAGED = sa.text("stage <> 'None'")

models = sa.Table(
    "models",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("name", primary_key=True),
    columns.text("owner"),
    columns.text("tier"),
    sa.Column("latest", sa.Integer, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    columns.text("created_by"),
    columns.text("description", nullable=True),
    _instant("updated_at"),
    _instant("deleted_at"),
)
# What the body says at registration stays there; the columns say what is true now.
versions = sa.Table(
    "versions",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("model", primary_key=True),
    _number(primary_key=True, autoincrement=False),
    columns.text("digest"),
    columns.text("status"),
    columns.text("body"),
    _instant("created_at"),
    _instant("updated_at"),
    _instant("deleted_at"),
    columns.text("run_id", server_default=""),
    columns.text("source", server_default=""),
    columns.text("description", server_default=""),
    columns.text("stage", server_default="None"),
    # Nearly all versions are in no stage, and those are found by their number.
    sa.Index(
        *("versions_stage", "project", "model", "stage", "number"),
        sqlite_where=STAGED,
        postgresql_where=STAGED,
    ),
    sa.Index("versions_run", "project", "run_id"),
    sa.Index("versions_updated", "project", "updated_at"),
)
aliases = sa.Table(
    "aliases",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("model", primary_key=True),
    columns.text("alias", primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    _number(nullable=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    columns.text("actor"),
    columns.text("reason"),
    sa.Column("is_standing", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Index("aliases_standing", "project", "model", "is_standing", "alias"),
)
approvals = sa.Table(
    "approvals",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("model", primary_key=True),
    _number(primary_key=True, autoincrement=False),
    columns.text("actor", primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    columns.text("note"),
)
model_tags = sa.Table(
    "model_tags",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("model", primary_key=True),
    columns.text("key", primary_key=True),
    columns.text("value"),
    sqlite_with_rowid=False,
)
version_tags = sa.Table(
    "version_tags",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("model", primary_key=True),
    _number(primary_key=True, autoincrement=False),
    columns.text("key", primary_key=True),
    columns.text("value"),
    sqlite_with_rowid=False,
)

IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
IN_MODEL: sa.BindParameter[str] = sa.bindparam("in_model")
IN_NUMBER: sa.BindParameter[int] = sa.bindparam("in_number")
IN_LIMIT: sa.BindParameter[int] = sa.bindparam("in_limit")
# SQLite's text of a limit without an offset would hold a parameter nobody names.
NO_OFFSET: sa.ColumnClause[Any] = sa.literal_column("0")

DELETED = "Deleted"
"""Stage of a version that was deleted; no client may ask for it."""

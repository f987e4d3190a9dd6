"""The table of artifacts and the SQL on it; called by the actions on artifacts only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from homeostat.foundation.database import Prepared, Transaction
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.tracking import entities

# Ordered by bytes on both databases: a folder is then one range of the primary key.
_BYTEWISE = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")

artifacts = sa.Table(
    "artifacts",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, primary_key=True),
    sa.Column("path", _BYTEWISE, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

_OF_HOLDER = sa.and_(
    artifacts.c.project == sa.bindparam("in_project", type_=sa.Text),
    artifacts.c.holder == sa.bindparam("in_holder", type_=sa.Text),
)
_EXACTLY = artifacts.c.path == sa.bindparam("in_path", type_=sa.Text)
_BETWEEN = sa.and_(
    artifacts.c.path >= sa.bindparam("in_first", type_=sa.Text),
    artifacts.c.path < sa.bindparam("in_end", type_=sa.Text),
)
_FIELDS = (
    artifacts.c.path,
    artifacts.c.digest,
    artifacts.c.size_bytes,
    artifacts.c.created_at,
)

ONE = Prepared(sa.select(*_FIELDS).where(_OF_HOLDER, _EXACTLY))
ALL = Prepared(sa.select(*_FIELDS).where(_OF_HOLDER).order_by(artifacts.c.path))
AT_OR_BELOW = Prepared(
    sa.union_all(
        sa.select(*_FIELDS).where(_OF_HOLDER, _EXACTLY),
        sa.select(*_FIELDS).where(_OF_HOLDER, _BETWEEN),
    ).order_by(sa.literal_column("path"))
)
SOME = Prepared(
    sa.select(artifacts.c.path, artifacts.c.size_bytes)
    .where(_OF_HOLDER, artifacts.c.path >= sa.bindparam("in_first", type_=sa.Text))
    .order_by(artifacts.c.path)
    .limit(sa.bindparam("in_limit", type_=sa.BigInteger))
    .offset(sa.literal_column("0"))  # SQLite's dialect would ask for a parameter of its own
)
DELETE_ONE = Prepared(artifacts.delete().where(_OF_HOLDER, _EXACTLY))
DELETE_RANGE = Prepared(artifacts.delete().where(_OF_HOLDER, _BETWEEN))
DELETE_ALL = Prepared(artifacts.delete().where(_OF_HOLDER))


def _upsert(insert: Any) -> Any:
    made = insert(artifacts)
    changed = {name: made.excluded[name] for name in ("digest", "size_bytes", "created_at")}
    return made.on_conflict_do_update(
        index_elements=["project", "holder", "path"], set_=changed
    )


UPSERT = Prepared({"sqlite": _upsert(sqlite.insert), "postgresql": _upsert(postgresql.insert)})


def of_holder(tx: Transaction, holder: str) -> dict[str, Any]:
    """Name a holder in a statement's parameters."""
    return {"in_project": tx.project, "in_holder": holder}


def of_folder(tx: Transaction, holder: str, folder: str) -> dict[str, Any]:
    """Name everything below a folder of a holder: from its slash to the character behind it."""
    return {**of_holder(tx, holder), "in_first": f"{folder}/", "in_end": f"{folder}0"}


def artifact_from(row: Any) -> entities.Artifact:
    """Make an artifact of its row."""
    return entities.Artifact(*row)

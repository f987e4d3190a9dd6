"""The table of imports and the SQL on it; called by importing's actions only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from homeostat.foundation.database import Prepared, Transaction, upserts
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.importing import entities

imports = sa.Table(
    "imports",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("source_id", sa.Text, primary_key=True),
    sa.Column("our_id", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("imports_ours", "project", "kind", "our_id"),
    sqlite_with_rowid=False,
)
_FIELDS = (imports.c.kind, imports.c.source_id, imports.c.our_id, imports.c.fingerprint)
_OF_KIND = sa.and_(
    imports.c.project == sa.bindparam("in_project", type_=sa.Text),
    imports.c.source == sa.bindparam("in_source", type_=sa.Text),
    imports.c.kind == sa.bindparam("in_kind", type_=sa.Text),
)
ONE = Prepared(
    sa.select(*_FIELDS).where(
        _OF_KIND, imports.c.source_id == sa.bindparam("in_id", type_=sa.Text)
    )
)
PAGE = (
    sa.select(*_FIELDS)
    .where(_OF_KIND, imports.c.source_id > sa.bindparam("in_after", type_=sa.Text))
    .order_by(imports.c.source_id)
    .limit(sa.bindparam("in_limit", type_=sa.BigInteger))
)
UPSERT = upserts.replacing(
    imports, ["project", "source", "kind", "source_id"], ["our_id", "fingerprint", "at"]
)


def find(tx: Transaction, source: str, kind: str, source_id: str) -> entities.Mark | None:
    """Return the mark of one thing, or None."""
    which = {**_of(tx, source, kind), "in_id": source_id}
    row = tx.run(ONE, which).fetchone()
    return None if row is None else _mark(row)


def page(
    tx: Transaction, source: str, kind: str, *, after: str, limit: int
) -> list[entities.Mark]:
    """Return marks of one kind by their id in the source."""
    which = {**_of(tx, source, kind), "in_after": after, "in_limit": limit}
    return [_mark(row) for row in tx.execute(PAGE, which)]


def put(tx: Transaction, source: str, mark: entities.Mark) -> None:
    """Write a mark; the last one counts."""
    row = {
        "project": tx.project,
        "source": source,
        "kind": mark.kind,
        "source_id": mark.source_id,
        "our_id": mark.our_id,
        "fingerprint": mark.fingerprint,
        "at": tx.at,
    }
    tx.run(UPSERT, row)


def _of(tx: Transaction, source: str, kind: str) -> dict[str, Any]:
    return {"in_project": tx.project, "in_source": source, "in_kind": kind}


def _mark(row: Any) -> entities.Mark:
    kind, source_id, our_id, fingerprint = row
    return entities.Mark(kind=kind, source_id=source_id, our_id=our_id, fingerprint=fingerprint)

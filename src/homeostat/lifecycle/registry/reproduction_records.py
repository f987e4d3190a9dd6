"""The table of reproductions and the SQL on it; `reproductions` calls it."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from homeostat.foundation.database import Transaction
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.registry.reproduction import Reproduction

reproductions = sa.Table(
    "reproductions",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("reproductions_model", "project", "model", "number", "id"),
)

_OF_VERSION = (
    sa.select(reproductions.c.body)
    .where(
        reproductions.c.project == sa.bindparam("in_project"),
        reproductions.c.model == sa.bindparam("in_model"),
        reproductions.c.number == sa.bindparam("in_number"),
    )
    .order_by(reproductions.c.id.desc())
    .limit(sa.bindparam("in_limit"))
)


def insert(tx: Transaction, made: Reproduction) -> None:
    """Write a reproduction."""
    row = {
        "project": tx.project,
        "id": made.id,
        "model": made.model,
        "number": made.number,
        "body": msgspec.json.encode(made).decode(),
    }
    tx.execute(reproductions.insert(), row)


def of_version(tx: Transaction, model: str, number: int, *, limit: int) -> list[Reproduction]:
    """Return the reproductions of a version, newest first."""
    which = {
        "in_project": tx.project,
        "in_model": model,
        "in_number": number,
        "in_limit": limit,
    }
    rows = tx.execute(_OF_VERSION, which)
    return [msgspec.json.decode(row.body, type=Reproduction) for row in rows]

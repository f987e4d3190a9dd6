"""The table of access keys and the SQL on it; only files of the keyring call it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from homeostat.foundation.access import Kind, Role
from homeostat.foundation.database import Transaction
from homeostat.foundation.database.metadata import metadata
from homeostat.foundation.keyring.entities import AccessKey

access_keys = sa.Table(
    "access_keys",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=True),
    sa.Column("revoked_at", sa.BigInteger, nullable=True),
)

_SHOWN = [column for column in access_keys.c if column.name != "digest"]
_HERE = access_keys.c.project == sa.bindparam("in_project")
_INSERT = access_keys.insert()
_GET = sa.select(*_SHOWN).where(_HERE, access_keys.c.id == sa.bindparam("in_id"))
_ALL = sa.select(*_SHOWN).where(_HERE).order_by(access_keys.c.id.desc())
# Of every project: which one a key opens is known only when it is found.
_VALID = sa.select(access_keys).where(
    access_keys.c.revoked_at.is_(None),
    sa.or_(access_keys.c.expires_at.is_(None), access_keys.c.expires_at > sa.bindparam("now")),
)
_REVOKE = (
    access_keys.update()
    .where(_HERE, access_keys.c.id == sa.bindparam("in_id"))
    .values(revoked_at=sa.bindparam("now"))
)


def insert(tx: Transaction, key: AccessKey, *, digest: str) -> None:
    """Add a key."""
    row = {name: getattr(key, name) for name in AccessKey.__struct_fields__}
    row |= {"role": key.role.value, "kind": key.kind.value, "digest": digest}
    tx.execute(_INSERT, row)


def find(tx: Transaction, key_id: str) -> AccessKey | None:
    """Return one key of the project; None when there is none."""
    asked = {"in_project": tx.project, "in_id": key_id}
    row = tx.execute(_GET, asked).mappings().first()
    return None if row is None else _key(row)


def newest_first(tx: Transaction) -> list[AccessKey]:
    """Return all keys of the project."""
    return [_key(row) for row in tx.execute(_ALL, {"in_project": tx.project}).mappings()]


def valid(tx: Transaction) -> dict[str, tuple[AccessKey, str]]:
    """Return the keys of every project that open, by id, each with its digest."""
    found = {}
    for row in tx.execute(_VALID, {"now": tx.at}).mappings():
        shown = {name: value for name, value in row.items() if name != "digest"}
        found[row["id"]] = (_key(shown), row["digest"])
    return found


def revoke(tx: Transaction, key_id: str) -> None:
    """Note that a key was taken back now."""
    tx.execute(_REVOKE, {"in_project": tx.project, "in_id": key_id, "now": tx.at})


def _key(row: Any) -> AccessKey:
    given = dict(row)
    return AccessKey(
        **{**given, "role": Role(given["role"]), "kind": Kind(given["kind"])},
    )

"""The table of wrapped data keys and the SQL on it; only `keys` calls it."""

from __future__ import annotations

import sqlalchemy as sa

from homeostat.foundation.database.metadata import metadata

data_keys = sa.Table(
    "data_keys",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("wrapped", sa.LargeBinary, nullable=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("destroyed_at", sa.BigInteger, nullable=True),
)

SELECT_NEWEST = (
    sa.select(data_keys.c.generation, data_keys.c.wrapped, data_keys.c.destroyed_at)
    .where(data_keys.c.project == sa.bindparam("in_project"))
    .where(data_keys.c.owner == sa.bindparam("in_owner"))
    .order_by(data_keys.c.generation.desc())
    .limit(1)
)

DESTROY = (
    data_keys.update()
    .where(data_keys.c.project == sa.bindparam("in_project"))
    .where(data_keys.c.owner == sa.bindparam("in_owner"))
    .where(data_keys.c.destroyed_at.is_(None))
    .values(wrapped=None, destroyed_at=sa.bindparam("in_at"))
)

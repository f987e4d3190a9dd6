"""The table of scored tables and the SQL on it; only `scorings` calls it."""

from __future__ import annotations

import sqlalchemy as sa

from homeostat.foundation.database.metadata import metadata

scorings = sa.Table(
    "scorings",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("scorings_model", "project", "model", "id"),
)
INSERT = scorings.insert()
GET = sa.select(scorings.c.body).where(
    scorings.c.project == sa.bindparam("in_project"), scorings.c.id == sa.bindparam("in_id")
)
BY_MODEL = (
    sa.select(scorings.c.body)
    .where(
        scorings.c.project == sa.bindparam("in_project"),
        scorings.c.model == sa.bindparam("in_model"),
        scorings.c.id < sa.bindparam("before"),
    )
    .order_by(scorings.c.id.desc())
    .limit(sa.bindparam("n"))
)
LAST = "g"  # above every hexadecimal digit

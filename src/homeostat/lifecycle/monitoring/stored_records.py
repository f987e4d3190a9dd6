"""Tables of stored summaries and the SQL on them; only `stored` calls it."""

from __future__ import annotations

import sqlalchemy as sa

from homeostat.foundation.database.metadata import metadata

summaries = sa.Table(
    "monitoring_summaries",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, primary_key=True),
    sa.Column("grain", sa.Text, primary_key=True),
    sa.Column("starts_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
    sa.Column("part", sa.Text, primary_key=True),
    sa.Column("n_rows", sa.BigInteger, nullable=False),
    sa.Column("summary", sa.LargeBinary, nullable=False),
)
places = sa.Table(
    "monitoring_places",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, primary_key=True),
    sa.Column("summarised_row", sa.BigInteger, nullable=False),
)

_OURS = (
    summaries.c.project == sa.bindparam("in_project"),
    summaries.c.deployment == sa.bindparam("in_deployment"),
    summaries.c.grain == sa.bindparam("in_grain"),
)
_ONE = (
    *_OURS,
    summaries.c.starts_at == sa.bindparam("at_start"),
    summaries.c.version == sa.bindparam("in_version"),
    summaries.c.role == sa.bindparam("in_role"),
    summaries.c.part == sa.bindparam("in_part"),
)

INSERT = summaries.insert()
ONE = sa.select(summaries.c.n_rows, summaries.c.summary).where(*_ONE)
GROW = (
    summaries.update()
    .where(*_ONE)
    .values(n_rows=sa.bindparam("to_rows"), summary=sa.bindparam("to_summary"))
)
# The latest windows of one part, whoever answered; the primary key finds them in order.
LATEST = (
    sa.select(summaries)
    .where(
        *_OURS,
        summaries.c.starts_at >= sa.bindparam("since", type_=sa.BigInteger),
        summaries.c.starts_at < sa.bindparam("until", type_=sa.BigInteger),
        summaries.c.part == sa.bindparam("in_part"),
        summaries.c.role == sa.bindparam("in_role"),
    )
    .order_by(summaries.c.starts_at.desc(), summaries.c.version)
    .limit(sa.bindparam("n"))
)
# Days have every part that hours have, and are the fewest.
PARTS = (
    sa.select(summaries.c.role, summaries.c.part)
    .distinct()
    .where(*_OURS)
    .order_by(summaries.c.role, summaries.c.part)
    .limit(sa.bindparam("n"))
)
COUNTS = (
    sa.select(summaries.c.starts_at, sa.func.sum(summaries.c.n_rows).label("n_rows"))
    .where(
        *_OURS,
        summaries.c.starts_at >= sa.bindparam("since", type_=sa.BigInteger),
        summaries.c.part == "",
        summaries.c.role == sa.bindparam("in_role"),
    )
    .group_by(summaries.c.starts_at)
    .order_by(summaries.c.starts_at)
)
PRUNE = summaries.delete().where(
    *_OURS, summaries.c.starts_at < sa.bindparam("before", type_=sa.BigInteger)
)

_PLACE = (
    places.c.project == sa.bindparam("in_project"),
    places.c.deployment == sa.bindparam("in_deployment"),
)
PLACE = sa.select(places.c.summarised_row).where(*_PLACE)
BEGIN = places.insert()
# The row it was read at in the condition refuses the later of two workers.
MOVE = (
    places.update()
    .where(*_PLACE, places.c.summarised_row == sa.bindparam("from_row"))
    .values(summarised_row=sa.bindparam("to_row"))
)

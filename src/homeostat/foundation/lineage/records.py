"""The table of edges and the SQL on it; only `graph` calls it."""

from __future__ import annotations

import sqlalchemy as sa

from homeostat.foundation.database import Prepared, upserts
from homeostat.foundation.database.metadata import metadata

edges = sa.Table(
    "lineage_edges",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("lineage_edges_target", "project", "target"),
)

IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
INSERT = upserts.keeping(edges)
FIND = Prepared(
    sa.select(edges.c.at).where(
        edges.c.project == IN_PROJECT,
        edges.c.source == sa.bindparam("in_source"),
        edges.c.target == sa.bindparam("in_target"),
        edges.c.kind == sa.bindparam("in_kind"),
    )
)
NEXT = Prepared(
    sa.select(edges.c.target)
    .where(
        edges.c.project == IN_PROJECT,
        edges.c.source == sa.bindparam("in_source"),
        edges.c.kind == sa.bindparam("in_kind"),
    )
    .order_by(edges.c.target)
)


def _walk(*, backwards: bool) -> sa.Select[tuple[str, str, str, int]]:
    here, there = (
        (edges.c.target, edges.c.source) if backwards else (edges.c.source, edges.c.target)
    )
    reached = sa.select(sa.bindparam("reference", type_=sa.Text).label("reference")).cte(
        "reached", recursive=True
    )
    # UNION, not UNION ALL: what was reached before is not walked again, so circles end.
    reached = reached.union(
        sa.select(there).where(edges.c.project == IN_PROJECT, here == reached.c.reference)
    )
    return (
        sa.select(edges.c.source, edges.c.target, edges.c.kind, edges.c.at)
        .where(edges.c.project == IN_PROJECT, here.in_(sa.select(reached.c.reference)))
        .order_by(edges.c.at, edges.c.source, edges.c.target, edges.c.kind)
        .limit(sa.bindparam("n"))
    )


ANCESTORS = _walk(backwards=True)
DESCENDANTS = _walk(backwards=False)

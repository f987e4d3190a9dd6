"""Tables of the prediction log and the SQL on them; only `actions` and `read` call it."""

from __future__ import annotations

import sqlalchemy as sa

from homeostat.foundation.database.metadata import metadata

logs = sa.Table(
    "prediction_logs",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, primary_key=True),
    sa.Column("n_segments", sa.BigInteger, nullable=False),
    sa.Column("n_rows", sa.BigInteger, nullable=False),
    sa.Column("n_labels", sa.BigInteger, nullable=False),
)
segments = sa.Table(
    "segments",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("first_row", sa.BigInteger, nullable=False),
    sa.Column("n_rows", sa.BigInteger, nullable=False),
    sa.Column("first_label", sa.BigInteger, nullable=False),
    sa.Column("n_labels", sa.BigInteger, nullable=False),
    sa.Column("n_failed_rows", sa.BigInteger, nullable=False),
    sa.Column("predictions", sa.Text, nullable=False),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("first_served_at", sa.BigInteger, nullable=True),
    sa.Column("last_served_at", sa.BigInteger, nullable=True),
    sa.Column("accepted_at", sa.BigInteger, nullable=False),
    sa.Column("accepted_by", sa.Text, nullable=False),
    sa.Index("segments_number", "project", "deployment", "number", unique=True),
    sa.Index("segments_row", "project", "deployment", "first_row"),
    sa.Index("segments_label", "project", "deployment", "first_label"),
    sa.Index("segments_served", "project", "last_served_at"),
)
failures = sa.Table(
    "member_failures",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("segment", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("n_rows", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("sentence", sa.Text, nullable=False),
    sa.Index("member_failures_generation", "project", "deployment", "generation"),
)

PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
DEPLOYMENT: sa.BindParameter[str] = sa.bindparam("in_deployment")
_OURS = (segments.c.project == PROJECT, segments.c.deployment == DEPLOYMENT)
_ALL = [column for column in segments.c if column.name != "project"]

INSERT_LOG = logs.insert()
LOG = sa.select(logs.c.deployment, logs.c.n_segments, logs.c.n_rows, logs.c.n_labels).where(
    logs.c.project == PROJECT, logs.c.deployment == DEPLOYMENT
)
# Written before it is read: on PostgreSQL this line is what makes row numbers dense.
GROW_LOG = (
    logs.update()
    .where(logs.c.project == PROJECT, logs.c.deployment == DEPLOYMENT)
    .values(
        n_segments=logs.c.n_segments + 1,
        n_rows=logs.c.n_rows + sa.bindparam("more_rows"),
        n_labels=logs.c.n_labels + sa.bindparam("more_labels"),
    )
)
INSERT_SEGMENT = segments.insert()
SEGMENT = sa.select(*_ALL).where(
    segments.c.project == PROJECT, segments.c.id == sa.bindparam("in_id")
)
LATEST_SEGMENTS = (
    sa.select(*_ALL)
    .where(*_OURS, segments.c.number < sa.bindparam("before"))
    .order_by(segments.c.number.desc())
    .limit(sa.bindparam("n"))
)
SEGMENTS_WITH_ROWS = (
    sa.select(*_ALL)
    .where(
        *_OURS,
        segments.c.n_rows > 0,
        segments.c.first_row < sa.bindparam("end"),
        segments.c.first_row + segments.c.n_rows > sa.bindparam("first"),
    )
    .order_by(segments.c.first_row)
)
SEGMENTS_WITH_LABELS = (
    sa.select(*_ALL)
    .where(
        *_OURS,
        segments.c.n_labels > 0,
        segments.c.first_label < sa.bindparam("end"),
        segments.c.first_label + segments.c.n_labels > sa.bindparam("first"),
    )
    .order_by(segments.c.first_label)
)
SEGMENTS_SERVED = (
    sa.select(*_ALL)
    .where(
        segments.c.project == PROJECT,
        segments.c.last_served_at >= sa.bindparam("since"),
        segments.c.first_served_at <= sa.bindparam("until"),
    )
    .order_by(segments.c.last_served_at)
)
INSERT_FAILURE = failures.insert()
COUNT_FAILED = (
    sa.select(
        failures.c.kind,
        sa.func.sum(failures.c.n_rows).label("n_rows"),
        sa.func.count().label("n_times"),
    )
    .where(
        failures.c.project == PROJECT,
        failures.c.deployment == DEPLOYMENT,
        failures.c.arm == sa.bindparam("in_arm"),
        failures.c.generation == sa.bindparam("in_generation"),
    )
    .group_by(failures.c.kind)
)
FAILURES = (
    sa.select(
        failures.c.at,
        failures.c.generation,
        failures.c.arm,
        failures.c.member,
        failures.c.n_rows,
        failures.c.kind,
        failures.c.sentence,
    )
    .where(
        failures.c.project == PROJECT,
        failures.c.deployment == DEPLOYMENT,
        failures.c.generation >= sa.bindparam("since_generation"),
    )
    .order_by(failures.c.at)
    .limit(sa.bindparam("n"))
)

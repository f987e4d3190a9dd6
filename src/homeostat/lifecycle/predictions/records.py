"""Tables of the prediction log and the SQL on them; only `actions` and `read` call it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from homeostat.foundation.database.metadata import metadata

# Compared as Polars and SQLite compare, whatever the language of the server.
_BYTEWISE = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")

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
    sa.Column("predictions_at", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("labels_at", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("first_id", _BYTEWISE, nullable=True),
    sa.Column("last_id", _BYTEWISE, nullable=True),
    sa.Column("first_key", _BYTEWISE, nullable=True),
    sa.Column("last_key", _BYTEWISE, nullable=True),
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

segment_members = sa.Table(
    "segment_members",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("segment", sa.Text, primary_key=True),
    sa.Column("member", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("n_answered", sa.BigInteger, nullable=False),
    sa.Column("n_shadow", sa.BigInteger, nullable=False),
    sa.Column("first_served_at", sa.BigInteger, nullable=False),
    sa.Column("last_served_at", sa.BigInteger, nullable=False),
    sa.Index("segment_members_number", "project", "deployment", "member", "number"),
)
released = sa.Table(
    "released_blobs",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("released_at", sa.BigInteger, nullable=False),
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


def _range(first: sa.Column[int], n: sa.Column[int]) -> sa.Select[Any]:
    """Return the segments that hold a range; the index finds the one that it begins in."""
    wanted = sa.bindparam("first", type_=sa.BigInteger)
    other = segments.alias()
    begin = (
        sa.select(sa.func.max(other.c[first.name]))
        .where(
            other.c.project == PROJECT,
            other.c.deployment == DEPLOYMENT,
            other.c[n.name] > 0,
            other.c[first.name] <= wanted,
        )
        .scalar_subquery()
    )
    return (
        sa.select(*_ALL)
        .where(
            *_OURS,
            n > 0,
            first >= sa.func.coalesce(begin, 0),
            first < sa.bindparam("end", type_=sa.BigInteger),
            first + n > wanted,
        )
        .order_by(first)
    )


SEGMENTS_WITH_ROWS = _range(segments.c.first_row, segments.c.n_rows)
SEGMENTS_WITH_LABELS = _range(segments.c.first_label, segments.c.n_labels)
# Segments sealed before they said which ids they hold are looked into.
SEGMENTS_WITH_ID = (
    sa.select(*_ALL)
    .where(
        segments.c.project == PROJECT,
        segments.c.last_served_at >= sa.bindparam("since", type_=sa.BigInteger),
        segments.c.first_served_at <= sa.bindparam("until", type_=sa.BigInteger),
        sa.or_(
            segments.c.first_id.is_(None),
            sa.and_(
                segments.c.first_id <= sa.bindparam("in_id"),
                segments.c.last_id >= sa.bindparam("in_id"),
            ),
        ),
    )
    .order_by(segments.c.last_served_at, segments.c.id)
)
SEGMENTS_WITH_KEY = (
    sa.select(*_ALL)
    .where(
        *_OURS,
        segments.c.n_rows > 0,
        segments.c.number < sa.bindparam("before"),
        sa.or_(
            segments.c.first_key.is_(None),
            sa.and_(
                segments.c.first_key <= sa.bindparam("in_key"),
                segments.c.last_key >= sa.bindparam("in_key"),
            ),
        ),
    )
    .order_by(segments.c.number.desc())
)
INSERT_MEMBERS = segment_members.insert()
COUNT_MEMBERS = (
    sa.select(
        segment_members.c.member,
        sa.func.sum(segment_members.c.n_answered).label("n_answered"),
        sa.func.sum(segment_members.c.n_shadow).label("n_shadow"),
        sa.func.min(segment_members.c.first_served_at).label("first_served_at"),
        sa.func.max(segment_members.c.last_served_at).label("last_served_at"),
    )
    .where(
        segment_members.c.project == PROJECT,
        segment_members.c.deployment == DEPLOYMENT,
        segment_members.c.member.in_(sa.bindparam("in_members", expanding=True)),
    )
    .group_by(segment_members.c.member)
    .order_by(segment_members.c.member)
)
_COUNTED = sa.exists().where(
    segment_members.c.project == segments.c.project, segment_members.c.segment == segments.c.id
)
SEGMENTS_BETWEEN = (
    sa.select(*_ALL)
    .where(
        *_OURS,
        segments.c.n_rows > 0,
        segments.c.first_row + segments.c.n_rows
        > sa.bindparam("after_row", type_=sa.BigInteger) + 1,
        segments.c.last_served_at >= sa.bindparam("since", type_=sa.BigInteger),
        segments.c.first_served_at <= sa.bindparam("until", type_=sa.BigInteger),
    )
    .order_by(segments.c.first_row)
)
# Those that say nothing of their members are looked into.
SEGMENTS_BETWEEN_BY = SEGMENTS_BETWEEN.where(
    sa.or_(
        ~_COUNTED,
        segments.c.id.in_(
            sa.select(segment_members.c.segment).where(
                segment_members.c.project == PROJECT,
                segment_members.c.deployment == DEPLOYMENT,
                segment_members.c.member.in_(sa.bindparam("in_members", expanding=True)),
            )
        ),
    )
)
UNCOUNTED = (
    sa.select(*_ALL)
    .where(*_OURS, segments.c.n_rows > 0, ~_COUNTED)
    .order_by(segments.c.number)
    .limit(sa.bindparam("n"))
)
NEWEST_WITH_ROWS = (
    sa.select(*_ALL)
    .where(*_OURS, segments.c.n_rows > 0)
    .order_by(segments.c.number.desc())
    .limit(sa.bindparam("n"))
)
NEWEST_WITH_LABELS = (
    sa.select(*_ALL)
    .where(*_OURS, segments.c.n_labels > 0)
    .order_by(segments.c.number.desc())
    .limit(sa.bindparam("n"))
)


def _move(digest: sa.Column[str], at: sa.Column[int]) -> sa.Update:
    """Say where a segment's table lies now, if it still lies where it was found."""
    return (
        segments.update()
        .where(
            segments.c.project == PROJECT,
            segments.c.id == sa.bindparam("in_id"),
            segments.c.deployment == DEPLOYMENT,
            digest == sa.bindparam("was"),
        )
        .values({digest.name: sa.bindparam("now"), at.name: sa.bindparam("at")})
    )


MOVE_PREDICTIONS = _move(segments.c.predictions, segments.c.predictions_at)
MOVE_LABELS = _move(segments.c.labels, segments.c.labels_at)
_RELEASED_OURS = (released.c.project == PROJECT, released.c.deployment == DEPLOYMENT)
RELEASE = released.insert()
UNRELEASE = released.delete().where(
    *_RELEASED_OURS, released.c.digest == sa.bindparam("in_digest")
)
RELEASED = sa.select(released.c.digest).where(
    *_RELEASED_OURS, released.c.released_at <= sa.bindparam("before", type_=sa.BigInteger)
)
_DIGESTS: sa.BindParameter[Any] = sa.bindparam("in_digests", expanding=True)
STILL_NAMED = sa.select(segments.c.predictions, segments.c.labels).where(
    *_OURS, sa.or_(segments.c.predictions.in_(_DIGESTS), segments.c.labels.in_(_DIGESTS))
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
    .order_by(failures.c.at, failures.c.segment, failures.c.position)
    .limit(sa.bindparam("n"))
)

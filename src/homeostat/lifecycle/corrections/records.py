"""Tables of corrections and of the cases that wait for a person; only this subject calls it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from homeostat.foundation.database import upserts
from homeostat.foundation.database.metadata import metadata

corrections = sa.Table(
    "corrections",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("starts_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("approved_by", sa.Text, nullable=False),
    sa.Column("approved_at", sa.BigInteger, nullable=True),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("ended_by", sa.Text, nullable=False),
    sa.Column("ended_at", sa.BigInteger, nullable=True),
    sa.Column("end_reason", sa.Text, nullable=False),
    sa.Index("corrections_deployment", "project", "deployment", "status", "expires_at"),
)
counts = sa.Table(
    "correction_counts",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, primary_key=True),
    # ``<id>@<version>``; empty for all answered rows of the hour.
    sa.Column("correction", sa.Text, primary_key=True),
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("n_rows", sa.BigInteger, nullable=False),
)
cases = sa.Table(
    "review_cases",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("segment", sa.Text, nullable=False),
    sa.Column("place", sa.BigInteger, nullable=False),
    sa.Column("correction", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("served_at", sa.BigInteger, nullable=False),
    sa.Column("due_at", sa.BigInteger, nullable=False),
    sa.Column("opened_at", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("claimed_by", sa.Text, nullable=False),
    sa.Column("claimed_at", sa.BigInteger, nullable=True),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("decided_at", sa.BigInteger, nullable=True),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("is_label", sa.Boolean, nullable=False),
    sa.Index("review_cases_due", "project", "state", "due_at", "id"),
    sa.Index("review_cases_deployment", "project", "deployment", "state", "due_at", "id"),
)

PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
DEPLOYMENT: sa.BindParameter[str] = sa.bindparam("in_deployment")
ID: sa.BindParameter[str] = sa.bindparam("in_id")
_ALL = [one for one in corrections.c if one.name not in {"project", "kind"}]
_CASE = [one for one in cases.c if one.name != "project"]
_OURS = (corrections.c.project == PROJECT, corrections.c.deployment == DEPLOYMENT)
_STANDING = corrections.c.status.in_(sa.bindparam("in_statuses", expanding=True))

INSERT = corrections.insert()
VERSIONS = (
    sa.select(*_ALL)
    .where(corrections.c.project == PROJECT, corrections.c.id == ID)
    .order_by(corrections.c.version.desc())
)
# What prediction servers are told; few, for what is over is not among them.
IN_FORCE = (
    sa.select(*_ALL)
    .where(
        *_OURS,
        corrections.c.status == "approved",
        corrections.c.expires_at > sa.bindparam("in_at"),
    )
    .order_by(corrections.c.id, corrections.c.version)
)
# As of an instant, also when it ended since.
WORKED = (
    sa.select(*_ALL)
    .where(
        *_OURS,
        corrections.c.approved_at <= sa.bindparam("in_at"),
        corrections.c.starts_at <= sa.bindparam("in_at"),
        corrections.c.expires_at > sa.bindparam("in_at"),
        sa.or_(
            corrections.c.ended_at.is_(None),
            corrections.c.ended_at > sa.bindparam("in_at"),
        ),
    )
    .order_by(corrections.c.id, corrections.c.version)
)
LIST = (
    sa.select(*_ALL)
    .where(
        corrections.c.project == PROJECT,
        corrections.c.deployment == DEPLOYMENT,
        corrections.c.id < sa.bindparam("before"),
    )
    .order_by(corrections.c.id.desc(), corrections.c.version.desc())
    .limit(sa.bindparam("n"))
)
COUNT = sa.select(sa.func.count()).select_from(corrections).where(*_OURS, _STANDING)
# The status in the condition refuses the later of two changes made at once.
SET_STATUS = (
    corrections.update()
    .where(
        corrections.c.project == PROJECT,
        corrections.c.id == ID,
        corrections.c.version == sa.bindparam("in_version"),
        corrections.c.status == sa.bindparam("from_status"),
    )
    .values(
        status=sa.bindparam("to_status"),
        approved_by=sa.bindparam("to_approved_by"),
        approved_at=sa.bindparam("to_approved_at"),
        note=sa.bindparam("to_note"),
        ended_by=sa.bindparam("to_ended_by"),
        ended_at=sa.bindparam("to_ended_at"),
        end_reason=sa.bindparam("to_end_reason"),
    )
)


def _added(insert: Any) -> Any:
    made = insert(counts)
    return made.on_conflict_do_update(
        index_elements=["project", "deployment", "correction", "hour"],
        set_={"n_rows": counts.c.n_rows + made.excluded.n_rows},
    )


ADD_COUNTS = upserts.both(_added)
SUM_COUNTS = (
    sa.select(
        counts.c.correction,
        sa.func.sum(counts.c.n_rows).label("n_rows"),
        sa.func.sum(
            sa.case((counts.c.hour >= sa.bindparam("day_hour"), counts.c.n_rows), else_=0)
        ).label("n_rows_day"),
    )
    .where(
        counts.c.project == PROJECT,
        counts.c.deployment == DEPLOYMENT,
        counts.c.correction.in_(["", sa.bindparam("in_correction")]),
        counts.c.hour >= sa.bindparam("since_hour"),
    )
    .group_by(counts.c.correction)
)
OPEN_CASES = upserts.keeping(cases)
CASE = sa.select(*_CASE).where(cases.c.project == PROJECT, cases.c.id == ID)
_WANTED = (
    cases.c.project == PROJECT,
    cases.c.state.in_(sa.bindparam("in_states", expanding=True)),
    sa.or_(
        cases.c.due_at > sa.bindparam("after_due"),
        sa.and_(
            cases.c.due_at == sa.bindparam("after_due"), cases.c.id > sa.bindparam("after_id")
        ),
    ),
)
_ORDER = (cases.c.due_at, cases.c.id)
CASES = sa.select(*_CASE).where(*_WANTED).order_by(*_ORDER).limit(sa.bindparam("n"))
CASES_OF = (
    sa.select(*_CASE)
    .where(*_WANTED, cases.c.deployment == DEPLOYMENT)
    .order_by(*_ORDER)
    .limit(sa.bindparam("n"))
)
SET_CASE = (
    cases.update()
    .where(
        cases.c.project == PROJECT,
        cases.c.id == ID,
        cases.c.state == sa.bindparam("from_state"),
    )
    .values(
        state=sa.bindparam("to_state"),
        claimed_by=sa.bindparam("to_claimed_by"),
        claimed_at=sa.bindparam("to_claimed_at"),
        decided_by=sa.bindparam("to_decided_by"),
        decided_at=sa.bindparam("to_decided_at"),
        answer=sa.bindparam("to_answer"),
        note=sa.bindparam("to_note"),
        is_label=sa.bindparam("to_is_label"),
    )
)

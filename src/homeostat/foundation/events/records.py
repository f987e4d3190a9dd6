"""The tables of the event log and the SQL on them; only the other files of events call it."""

from __future__ import annotations

import sqlalchemy as sa

from homeostat.foundation.database import Prepared, upserts
from homeostat.foundation.database.metadata import metadata

events = sa.Table(
    "events",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Index("events_kind", "project", "kind", "seq"),
    sa.Index("events_subject", "project", "subject", "seq"),
)
# The newest event of each project, kept beside the log so that a cut-off end is seen.
heads = sa.Table(
    "event_heads",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
)
checkpoints = sa.Table(
    "event_checkpoints",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("public_key", sa.Text, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
)
readers = sa.Table(
    "event_readers",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("reader", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
ALL = (
    events.c.project,
    events.c.seq,
    events.c.at,
    events.c.actor,
    events.c.kind,
    events.c.subject,
    events.c.facts,
    events.c.previous,
    events.c.digest,
)

INSERT_EVENT = Prepared(events.insert())
HEAD = sa.select(heads.c.seq, heads.c.digest).where(heads.c.project == IN_PROJECT)
HEAD_NOW = Prepared(HEAD)
PUT_HEAD = upserts.replacing(heads, ["project"], ["seq", "digest"])
LAST_SEQ = sa.select(sa.func.max(events.c.seq)).where(events.c.project == IN_PROJECT)

OLDEST_AFTER = (
    sa.select(*ALL)
    .where(events.c.project == IN_PROJECT, events.c.seq > sa.bindparam("after"))
    .order_by(events.c.seq)
    .limit(sa.bindparam("n"))
)
NEWEST_AFTER = (
    sa.select(*ALL)
    .where(events.c.project == IN_PROJECT, events.c.seq > sa.bindparam("after"))
    .order_by(events.c.seq.desc())
    .limit(sa.bindparam("n"))
)
OF_KINDS = events.c.kind.in_(sa.bindparam("kinds", expanding=True))
OF_SUBJECT = events.c.subject == sa.bindparam("subject")
OF_INSTANT = events.c.at == sa.bindparam("at")
# Every way of asking, built once: (newest first, by kinds, by subject, by instant).
QUESTIONS = {
    (newest, kinds, subject, instant): (NEWEST_AFTER if newest else OLDEST_AFTER).where(
        *([OF_KINDS] if kinds else []),
        *([OF_SUBJECT] if subject else []),
        *([OF_INSTANT] if instant else []),
    )
    for newest in (False, True)
    for kinds in (False, True)
    for subject in (False, True)
    for instant in (False, True)
}

CURSOR = sa.select(readers.c.seq).where(
    readers.c.project == IN_PROJECT, readers.c.reader == sa.bindparam("in_reader")
)
INSERT_CURSOR = readers.insert()
MOVE_CURSOR = (
    readers.update()
    .where(
        readers.c.project == IN_PROJECT,
        readers.c.reader == sa.bindparam("in_reader"),
        readers.c.seq < sa.bindparam("to_seq"),
    )
    .values(seq=sa.bindparam("to_seq"), at=sa.bindparam("to_at"))
)

INSERT_CHECKPOINT = Prepared(checkpoints.insert())
CHECKPOINT_AT = sa.select(checkpoints).where(
    checkpoints.c.project == IN_PROJECT, checkpoints.c.seq == sa.bindparam("in_seq")
)
CHECKPOINTS = (
    sa.select(checkpoints)
    .where(checkpoints.c.project == IN_PROJECT)
    .order_by(checkpoints.c.seq)
)

"""The tables of alerting and the SQL on them; called inside the subject only."""

from __future__ import annotations

import sqlalchemy as sa

from homeostat.foundation.database.metadata import metadata

watches = sa.Table(
    "alert_watches",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("cause", sa.Text, primary_key=True),
    sa.Column("column_name", sa.Text, primary_key=True),
    sa.Column("watch", sa.Text, nullable=False),
)
silences = sa.Table(
    "alert_silences",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("column_name", sa.Text, nullable=False),
    sa.Column("from_at", sa.BigInteger, nullable=False),
    sa.Column("until_at", sa.BigInteger, nullable=False),
    sa.Column("is_downtime", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger, nullable=True),
    sa.Column("ended_by", sa.Text, nullable=False),
    sa.Index("alert_silences_until", "project", "until_at"),
)
deliveries = sa.Table(
    "alert_deliveries",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("told", sa.Text, nullable=False),
    sa.Column("receiver", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("alerts", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text, nullable=False),
    sa.Column("ended_at", sa.BigInteger, nullable=True),
    sa.Index("alert_deliveries_group", "project", "deployment", "cause", "made_at"),
)


def _bound(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(f"in_{name}")


WATCHES = sa.select(watches).where(
    watches.c.project == _bound("project"), watches.c.deployment == _bound("deployment")
)
_WATCH = (
    watches.c.project == _bound("project"),
    watches.c.deployment == _bound("deployment"),
    watches.c.kind == _bound("kind"),
    watches.c.cause == _bound("cause"),
    watches.c.column_name == _bound("column"),
)
WATCH = sa.select(watches).where(*_WATCH)
INSERT_WATCH = watches.insert()
UPDATE_WATCH = watches.update().where(*_WATCH).values(watch=sa.bindparam("to_watch"))
DELETE_WATCH = watches.delete().where(*_WATCH)

INSERT_SILENCE = silences.insert()
SILENCE = sa.select(silences).where(
    silences.c.project == _bound("project"), silences.c.id == _bound("id")
)
# Those that are not over; few, so that which of them fits is asked in Python.
STANDING_SILENCES = (
    sa.select(silences)
    .where(
        silences.c.project == _bound("project"),
        silences.c.until_at > sa.bindparam("now"),
        silences.c.ended_at.is_(None),
    )
    .order_by(silences.c.until_at, silences.c.id)
)
SILENCES = (
    sa.select(silences)
    .where(silences.c.project == _bound("project"), silences.c.id < sa.bindparam("before_id"))
    .order_by(silences.c.id.desc())
    .limit(sa.bindparam("n"))
)
END_SILENCE = (
    silences.update()
    .where(silences.c.project == _bound("project"), silences.c.id == _bound("id"))
    .values(ended_at=sa.bindparam("to_at"), ended_by=sa.bindparam("to_by"))
)

INSERT_DELIVERY = deliveries.insert()
DELIVERY = sa.select(deliveries).where(
    deliveries.c.project == _bound("project"), deliveries.c.id == _bound("id")
)
NEWEST_OF_GROUP = (
    sa.select(deliveries)
    .where(
        deliveries.c.project == _bound("project"),
        deliveries.c.deployment == _bound("deployment"),
        deliveries.c.cause == _bound("cause"),
        deliveries.c.told == _bound("told"),
        deliveries.c.receiver == _bound("receiver"),
        deliveries.c.made_at > sa.bindparam("since"),
    )
    .order_by(deliveries.c.id.desc())
    .limit(1)
)
_CHANGE = deliveries.update().where(
    deliveries.c.project == _bound("project"), deliveries.c.id == _bound("id")
)
JOIN_DELIVERY = _CHANGE.values(alerts=sa.bindparam("to_alerts"))
BEGIN = _CHANGE.values(attempts=sa.bindparam("to_attempts"))
POSTPONE = _CHANGE.values(next_at=sa.bindparam("to_next_at"))
# What a receiver waits for, of those made before; messages about one alert keep their order.
WAITING_BEFORE = (
    sa.select(deliveries)
    .where(
        deliveries.c.project == _bound("project"),
        deliveries.c.deployment == _bound("deployment"),
        deliveries.c.cause == _bound("cause"),
        deliveries.c.receiver == _bound("receiver"),
        deliveries.c.state == "waiting",
        deliveries.c.id < sa.bindparam("before_id"),
    )
    .order_by(deliveries.c.id.desc())
)
TRIED = _CHANGE.values(
    state=sa.bindparam("to_state"),
    attempts=sa.bindparam("to_attempts"),
    next_at=sa.bindparam("to_next_at"),
    last_error=sa.bindparam("to_error"),
    ended_at=sa.bindparam("to_ended_at"),
)
# Those that wait are over some day; until then nothing of theirs is forgotten.
PURGE = deliveries.delete().where(
    deliveries.c.project == _bound("project"),
    deliveries.c.state.in_(("sent", "given-up")),
    deliveries.c.ended_at < sa.bindparam("before", type_=sa.BigInteger),
)
DELIVERIES = (
    sa.select(deliveries)
    .where(
        deliveries.c.project == _bound("project"), deliveries.c.id < sa.bindparam("before_id")
    )
    .order_by(deliveries.c.id.desc())
    .limit(sa.bindparam("n"))
)
# Of a cause since an alert was opened; which of them tell of it is asked in Python.
DELIVERIES_SINCE = (
    sa.select(deliveries)
    .where(
        deliveries.c.project == _bound("project"),
        deliveries.c.cause == _bound("cause"),
        deliveries.c.made_at >= sa.bindparam("since", type_=sa.BigInteger),
        deliveries.c.made_at <= sa.bindparam("until", type_=sa.BigInteger),
    )
    .order_by(deliveries.c.id.desc())
    .limit(sa.bindparam("n"))
)
DELIVERY_COUNTS = (
    sa.select(deliveries.c.receiver, deliveries.c.state, sa.func.count().label("n"))
    .where(deliveries.c.project == _bound("project"))
    .group_by(deliveries.c.receiver, deliveries.c.state)
)

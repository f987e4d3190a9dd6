"""The tables of monitoring and the SQL on them; `actions`, `alerts`, `marks` call it."""

from __future__ import annotations

import sqlalchemy as sa

from homeostat.foundation.database.metadata import metadata

windows = sa.Table(
    "monitoring_windows",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("first_row", sa.BigInteger, nullable=False),
    sa.Column("end_row", sa.BigInteger, nullable=False),
    sa.Column("n_rows", sa.BigInteger, nullable=False),
    sa.Column("n_findings", sa.Integer, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("judgement", sa.Text, nullable=False),
    sa.Column("summary", sa.LargeBinary, nullable=False),
    sa.Index(
        "monitoring_windows_place", "project", "deployment", "first_row", "end_row", unique=True
    ),
)
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("column_name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("opened_at", sa.BigInteger, nullable=False),
    sa.Column("acknowledged_at", sa.BigInteger, nullable=True),
    sa.Column("acknowledged_by", sa.Text, nullable=True),
    sa.Column("resolved_at", sa.BigInteger, nullable=True),
    sa.Column("sentence", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("confirmed_at", sa.BigInteger, nullable=True),
    sa.Column("told_at", sa.BigInteger, nullable=True),
    sa.Column("held_by", sa.Text, nullable=False, server_default=""),
    sa.Column("n_escalated", sa.Integer, nullable=False, server_default="0"),
    sa.Index("alerts_state", "project", "state", "id"),
    sa.Index("alerts_deployment", "project", "deployment", "id"),
)

IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")

INSERT_WINDOW = windows.insert()
WINDOW_AT = sa.select(windows).where(
    windows.c.project == IN_PROJECT,
    windows.c.deployment == sa.bindparam("in_deployment"),
    windows.c.first_row == sa.bindparam("at_first_row"),
    windows.c.end_row == sa.bindparam("at_end_row"),
)
WINDOW = sa.select(windows).where(
    windows.c.project == IN_PROJECT, windows.c.id == sa.bindparam("in_id")
)
# Bounded below by a row of the log; the index on the place answers both orders.
WINDOWS = (
    sa.select(windows)
    .where(
        windows.c.project == IN_PROJECT,
        windows.c.deployment == sa.bindparam("in_deployment"),
        windows.c.first_row < sa.bindparam("before_row"),
        windows.c.n_findings >= sa.bindparam("least_findings"),
    )
    .order_by(windows.c.first_row.desc())
    .limit(sa.bindparam("n"))
)

INSERT_ALERT = alerts.insert()
ALERT = sa.select(alerts).where(
    alerts.c.project == IN_PROJECT, alerts.c.id == sa.bindparam("in_id")
)
UNRESOLVED = sa.select(alerts).where(
    alerts.c.project == IN_PROJECT,
    alerts.c.deployment == sa.bindparam("in_deployment"),
    alerts.c.kind == sa.bindparam("in_kind"),
    alerts.c.cause == sa.bindparam("in_cause"),
    alerts.c.column_name == sa.bindparam("in_column"),
    alerts.c.state != "resolved",
)
_MOVE = alerts.update().where(
    alerts.c.project == IN_PROJECT, alerts.c.id == sa.bindparam("in_id")
)
ACKNOWLEDGE = _MOVE.values(
    state="acknowledged",
    acknowledged_at=sa.bindparam("to_at"),
    acknowledged_by=sa.bindparam("to_by"),
)
RESOLVE = _MOVE.values(state="resolved", resolved_at=sa.bindparam("to_at"))
# One statement for each thing that `marks.note` may note.
MARKS = {
    name: _MOVE.values({name: sa.bindparam("to_value")})
    for name in ("confirmed_at", "told_at", "held_by", "n_escalated")
}
HELD_BY = (
    sa.select(alerts)
    .where(
        alerts.c.project == IN_PROJECT,
        alerts.c.held_by == sa.bindparam("in_held_by"),
        alerts.c.state != "resolved",
    )
    .order_by(alerts.c.id)
)

_ALERTS = (
    sa.select(alerts)
    .where(alerts.c.project == IN_PROJECT, alerts.c.id < sa.bindparam("before_id"))
    .order_by(alerts.c.id.desc())
    .limit(sa.bindparam("n"))
)
_OF_DEPLOYMENT = alerts.c.deployment == sa.bindparam("in_deployment")
_OF_STATES = alerts.c.state.in_(sa.bindparam("in_states", expanding=True))
# Every way of asking, built once: (by deployment, by states).
ALERTS = {
    (deployment, states): _ALERTS.where(
        *([_OF_DEPLOYMENT] if deployment else []), *([_OF_STATES] if states else [])
    )
    for deployment in (False, True)
    for states in (False, True)
}

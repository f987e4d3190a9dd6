"""Tables of watched things, silences and deliveries; what an alert remembers of being told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; alerts from before were told, as far as they ever are."""
    op.add_column("alerts", sa.Column("confirmed_at", sa.BigInteger, nullable=True))
    op.add_column("alerts", sa.Column("told_at", sa.BigInteger, nullable=True))
    op.add_column("alerts", sa.Column("held_by", sa.Text, nullable=False, server_default=""))
    op.add_column(
        "alerts", sa.Column("n_escalated", sa.Integer, nullable=False, server_default="0")
    )
    op.execute("UPDATE alerts SET confirmed_at = opened_at, told_at = opened_at")
    op.create_table(
        "alert_watches",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("deployment", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("cause", sa.Text, primary_key=True),
        sa.Column("column_name", sa.Text, primary_key=True),
        sa.Column("watch", sa.Text, nullable=False),
    )
    op.create_table(
        "alert_silences",
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
    )
    op.create_index("alert_silences_until", "alert_silences", ["project", "until_at"])
    op.create_table(
        "alert_deliveries",
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
    )
    op.create_index(
        "alert_deliveries_group",
        "alert_deliveries",
        ["project", "deployment", "cause", "made_at"],
    )


def downgrade() -> None:
    """Drop the tables and columns."""
    for name in ("alert_deliveries", "alert_silences", "alert_watches"):
        op.drop_table(name)
    with op.batch_alter_table("alerts") as table:
        for name in ("n_escalated", "held_by", "told_at", "confirmed_at"):
            table.drop_column(name)

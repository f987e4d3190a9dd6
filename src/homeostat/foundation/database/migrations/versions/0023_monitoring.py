"""Stored windows of column summaries; deployments that another server answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep summaries by minute, hour and day; let a deployment be watched."""
    op.add_column(
        "deployments", sa.Column("kind", sa.Text, nullable=False, server_default="served")
    )
    op.create_table(
        "monitoring_summaries",
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
    op.create_table(
        "monitoring_places",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("deployment", sa.Text, primary_key=True),
        sa.Column("summarised_row", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables and the column."""
    op.drop_table("monitoring_places")
    op.drop_table("monitoring_summaries")
    op.drop_column("deployments", "kind")

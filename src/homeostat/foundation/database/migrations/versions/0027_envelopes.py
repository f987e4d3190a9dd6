"""The table of signed reports on what the loop changed by itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let deployments keep a report on each version that the loop judged by the envelope."""
    op.create_table(
        "envelope_reports",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index(
        "envelope_reports_deployment", "envelope_reports", ["project", "deployment", "id"]
    )

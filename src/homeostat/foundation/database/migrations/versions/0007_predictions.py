"""Tables of predictions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "prediction_logs",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("deployment", sa.Text, primary_key=True),
        sa.Column("n_segments", sa.BigInteger, nullable=False),
        sa.Column("n_rows", sa.BigInteger, nullable=False),
        sa.Column("n_labels", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "segments",
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
    )
    op.create_index(
        "segments_number", "segments", ["project", "deployment", "number"], unique=True
    )
    op.create_index("segments_row", "segments", ["project", "deployment", "first_row"])
    op.create_index("segments_label", "segments", ["project", "deployment", "first_label"])
    op.create_index("segments_served", "segments", ["project", "last_served_at"])
    op.create_table(
        "member_failures",
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
    )
    op.create_index(
        "member_failures_generation", "member_failures", ["project", "deployment", "generation"]
    )


def downgrade() -> None:
    """Drop the tables."""
    for name in ("member_failures", "segments", "prediction_logs"):
        op.drop_table(name)

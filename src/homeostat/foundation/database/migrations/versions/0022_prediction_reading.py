"""Indexes that find a prediction and what led to it; parts of the log stored together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


_BYTEWISE = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Let segments say where their rows are, who scored them, and which ids they hold."""
    for name in ("predictions_at", "labels_at"):
        op.add_column(
            "segments", sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        )
    for name in ("first_id", "last_id", "first_key", "last_key"):
        op.add_column("segments", sa.Column(name, _BYTEWISE, nullable=True))
    op.create_table(
        "segment_members",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("segment", sa.Text, primary_key=True),
        sa.Column("member", sa.Text, primary_key=True),
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("n_answered", sa.BigInteger, nullable=False),
        sa.Column("n_shadow", sa.BigInteger, nullable=False),
        sa.Column("first_served_at", sa.BigInteger, nullable=False),
        sa.Column("last_served_at", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "segment_members_number",
        "segment_members",
        ["project", "deployment", "member", "number"],
    )
    op.create_table(
        "released_blobs",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("deployment", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("released_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "scorings",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("scorings_model", "scorings", ["project", "model", "id"])


def downgrade() -> None:
    """Drop the tables and columns."""
    for name in ("scorings", "released_blobs", "segment_members"):
        op.drop_table(name)
    for name in ("last_key", "first_key", "last_id", "first_id", "labels_at", "predictions_at"):
        op.drop_column("segments", name)

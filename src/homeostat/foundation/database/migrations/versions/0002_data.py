"""Tables of data."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "datasets",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("n_snapshots", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
    )
    op.create_table(
        "snapshots",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("n_rows", sa.BigInteger, nullable=False),
        sa.Column("schema", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("checks", sa.Text, nullable=False),
        sa.Column("differences", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=True),
        sa.Column("time", sa.Text, nullable=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.UniqueConstraint("project", "dataset", "number", name="snapshots_number"),
        sa.UniqueConstraint("project", "dataset", "digest", name="snapshots_digest"),
    )
    op.create_index("snapshots_content", "snapshots", ["project", "digest"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("snapshots")
    op.drop_table("datasets")

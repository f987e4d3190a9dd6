"""Tables of loop."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "loop_states",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("deployment", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("n_events", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "decision_inputs",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "decisions",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("inputs_digest", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("decisions_deployment", "decisions", ["project", "deployment", "id"])
    op.create_table(
        "loop_places",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("deployment", sa.Text, primary_key=True),
        sa.Column("judged_row", sa.BigInteger, nullable=False),
        sa.Column("block_row", sa.BigInteger, nullable=False),
        sa.Column("canary_row", sa.BigInteger, nullable=False),
        sa.Column("canary_generation", sa.BigInteger, nullable=False),
        sa.Column("canary_failed", sa.BigInteger, nullable=False),
        sa.Column("canary_not_finite", sa.BigInteger, nullable=False),
        sa.Column("canary_not_loaded", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "loop_candidates",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("deployment", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=True),
        sa.Column("candidate", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("loop_candidates")
    op.drop_table("loop_places")
    op.drop_table("decisions")
    op.drop_table("decision_inputs")
    op.drop_table("loop_states")

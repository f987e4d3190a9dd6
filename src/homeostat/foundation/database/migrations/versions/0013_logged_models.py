"""Tables of logged models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "logged_models",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("experiment_id", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("status_message", sa.Text, nullable=False),
        sa.Column("model_type", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("artifact_root", sa.Text, nullable=False),
        sa.Column("lifecycle_stage", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    newest = ["project", "experiment_id", "created_at", "id"]
    op.create_index("logged_models_newest", "logged_models", newest)
    op.create_index("logged_models_run", "logged_models", ["project", "run_id", "name"])
    for name in ("logged_model_params", "logged_model_tags"):
        op.create_table(
            name,
            sa.Column("project", sa.Text, primary_key=True),
            sa.Column("model_id", sa.Text, primary_key=True),
            sa.Column("key", sa.Text, primary_key=True),
            sa.Column("value", sa.Text, nullable=False),
            sa.Column("value_head", sa.Text, nullable=False),
            sqlite_with_rowid=False,
        )
        op.create_index(f"{name}_search", name, ["project", "key", "value_head", "model_id"])
    op.create_table(
        "logged_model_metrics",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("dataset_name", sa.Text, primary_key=True),
        sa.Column("dataset_digest", sa.Text, primary_key=True),
        sa.Column("value", sa.Float, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the tables."""
    for name in ("metrics", "tags", "params"):
        op.drop_table(f"logged_model_{name}")
    op.drop_table("logged_models")

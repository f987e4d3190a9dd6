"""Tables of tracking."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    _experiments_and_runs()
    _metrics()
    for name in ("params", "tags"):
        op.create_table(
            name,
            sa.Column("project", sa.Text, primary_key=True),
            sa.Column("run_id", sa.Text, primary_key=True),
            sa.Column("key", sa.Text, primary_key=True),
            sa.Column("experiment_id", sa.BigInteger, nullable=False),
            sa.Column("value", sa.Text, nullable=False),
            sa.Column("value_head", sa.Text, nullable=False),
        )
        columns = ["project", "experiment_id", "key", "value_head", "run_id"]
        op.create_index(f"{name}_search", name, columns)
    for name in ("run_inputs", "run_outputs"):
        op.create_table(
            name,
            sa.Column("project", sa.Text, primary_key=True),
            sa.Column("run_id", sa.Text, primary_key=True),
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("reference", sa.Text, nullable=False),
            sa.Column("digest", sa.Text, nullable=False),
        )
        op.create_index(f"{name}_reference", name, ["project", "reference"])
    op.create_table(
        "artifacts",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "environments",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("packages", sa.Text, nullable=False),
    )


def _experiments_and_runs() -> None:
    op.create_table(
        "experiments",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("lifecycle_stage", sa.Text, nullable=False),
        sa.Column("artifact_root", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("project", "name", name="experiments_name"),
    )
    op.create_table(
        "runs",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("experiment_id", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("lifecycle_stage", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("artifact_root", sa.Text, nullable=False),
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("executor", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("commit", sa.Text, nullable=False),
        sa.Column("dirty", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("wall_s", sa.Float, nullable=False),
        sa.Column("cpu_s", sa.Float, nullable=False),
        sa.Column("max_rss_bytes", sa.BigInteger, nullable=False),
    )
    columns = ["project", "experiment_id", "started_at", "id"]
    op.create_index("runs_experiment", "runs", columns)
    op.create_index("runs_newest", "runs", ["project", "started_at", "id"])


def _metrics() -> None:
    op.create_table(
        "metrics",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("value", sa.Float, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
    )
    op.create_table(
        "latest_metrics",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("experiment_id", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
    )
    columns = ["project", "experiment_id", "key", "value", "run_id"]
    op.create_index("latest_metrics_search", "latest_metrics", columns)


def downgrade() -> None:
    """Drop the tables."""
    for name in (
        *("environments", "artifacts", "run_outputs", "run_inputs", "tags", "params"),
        *("latest_metrics", "metrics", "runs", "experiments"),
    ):
        op.drop_table(name)

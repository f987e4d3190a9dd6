"""Indexes that a search over runs walks along."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

Columns = list[str | sa.TextClause | sa.ColumnElement[object]]


def upgrade() -> None:
    """Make anew the indexes that searches drive from and walk along."""
    op.drop_index("runs_experiment", "runs")
    newest: Columns = [
        *("project", "experiment_id", "lifecycle_stage"),
        *(sa.text("started_at DESC"), "id"),
    ]
    op.create_index("runs_experiment", "runs", newest)
    op.drop_index("latest_metrics_search", "latest_metrics")
    # Not a number and the infinities stand apart: what is finite is one stretch, by value.
    by_value = ["project", "experiment_id", "key", "kind", "value", "run_id"]
    op.create_index("latest_metrics_search", "latest_metrics", by_value)
    if op.get_bind().dialect.name == "postgresql":
        # Text is found and ordered by its bytes, as SQLite does, whatever the system's words.
        head = sa.text('value_head COLLATE "C"')
        for name in ("params", "tags"):
            op.drop_index(f"{name}_search", name)
            by_text: Columns = ["project", "experiment_id", "key", head, "run_id"]
            op.create_index(f"{name}_search", name, by_text)

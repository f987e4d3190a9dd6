"""One index of runs by their start: that of their experiment."""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take away the index of a whole project, which every start of a run paid for."""
    op.drop_index("runs_newest", "runs")

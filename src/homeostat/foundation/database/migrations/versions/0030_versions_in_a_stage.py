"""What each registered version paid for: an index of models by change, one of no stage."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take away the index of models by their change; that of stages holds what has one."""
    op.drop_index("models_updated", "models")
    op.drop_index("versions_stage", "versions")
    staged = sa.text("stage <> 'None'")
    op.create_index(
        "versions_stage",
        "versions",
        ["project", "model", "stage", "number"],
        sqlite_where=staged,
        postgresql_where=staged,
    )

"""Artifacts of every holder: runs, logged models and folders of a client's."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Name the holder in place of the run; order paths by bytes: a folder is a range then."""
    op.alter_column("artifacts", "run_id", new_column_name="holder")
    op.execute("UPDATE artifacts SET holder = 'run:' || holder")
    if op.get_bind().dialect.name == "postgresql":
        op.execute('ALTER TABLE artifacts ALTER COLUMN path TYPE TEXT COLLATE "C"')


def downgrade() -> None:
    """Keep the artifacts of runs only."""
    op.execute("DELETE FROM artifacts WHERE holder NOT LIKE 'run:%'")
    op.execute("UPDATE artifacts SET holder = substr(holder, 5)")
    op.alter_column("artifacts", "holder", new_column_name="run_id")
    if op.get_bind().dialect.name == "postgresql":
        op.execute('ALTER TABLE artifacts ALTER COLUMN path TYPE TEXT COLLATE "default"')

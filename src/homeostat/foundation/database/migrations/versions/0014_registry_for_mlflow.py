"""Tables of the registry that MLflow's clients need."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ZERO = sa.text("0")
EMPTY = sa.text("''")
INDEXES: dict[str, dict[str, tuple[str, ...]]] = {
    "models": {"models_updated": ("project", "updated_at")},
    "versions": {
        "versions_stage": ("project", "model", "stage", "number"),
        "versions_run": ("project", "run_id"),
        "versions_updated": ("project", "updated_at"),
    },
    "aliases": {"aliases_standing": ("project", "model", "is_standing", "alias")},
}


def upgrade() -> None:
    """Create the tables; put beside old rows what is asked of all rows now."""
    op.add_column("models", sa.Column("description", sa.Text, nullable=True))
    for name in ("updated_at", "deleted_at"):
        op.add_column("models", _number(name))
        op.add_column("versions", _number(name))
    op.add_column("versions", _number("created_at"))
    for name in ("run_id", "source", "description"):
        op.add_column("versions", _text(name, EMPTY))
    op.add_column("versions", _text("stage", sa.text("'None'")))
    op.add_column(
        "aliases",
        sa.Column("is_standing", sa.Boolean, nullable=False, server_default=sa.true()),
    )
    for table, found in INDEXES.items():
        for name, columns in found.items():
            op.create_index(name, table, columns)
    op.create_table(
        "model_tags",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "version_tags",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("UPDATE models SET updated_at = created_at")
    if op.get_bind().dialect.name == "sqlite":
        created, run = "json_extract(body, '$.created_at')", "json_extract(body, '$.run_id')"
    else:
        created, run = "(body::json->>'created_at')::bigint", "body::json->>'run_id'"
    op.execute(f"UPDATE versions SET created_at = {created}, run_id = {run}")  # noqa: S608
    op.execute("UPDATE versions SET updated_at = created_at")
    op.execute(
        "UPDATE aliases SET is_standing = FALSE WHERE EXISTS (SELECT 1 FROM aliases AS later"
        " WHERE later.project = aliases.project AND later.model = aliases.model"
        " AND later.alias = aliases.alias AND later.place > aliases.place)"
    )


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=ZERO)


def _text(name: str, default: sa.TextClause) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default=default)


def downgrade() -> None:
    """Drop the tables and columns."""
    op.drop_table("version_tags")
    op.drop_table("model_tags")
    for table, found in INDEXES.items():
        for name in found:
            op.drop_index(name, table)
    op.drop_column("aliases", "is_standing")
    for name in ("stage", "run_id", "source", "description", "created_at"):
        op.drop_column("versions", name)
    for name in ("updated_at", "deleted_at"):
        op.drop_column("versions", name)
        op.drop_column("models", name)
    op.drop_column("models", "description")

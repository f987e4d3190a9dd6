"""Tables of tracking that MLflow's clients need."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from homeostat.foundation import clock

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; on SQLite let those whose key is their row be stored by it."""
    op.create_table(
        "experiment_tags",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("experiment_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.add_column("runs", sa.Column("deleted_at", sa.BigInteger, nullable=True))
    _datasets()
    _models()
    _default_experiment()
    if op.get_bind().dialect.name == "sqlite":
        _without_rowid()


def _datasets() -> None:
    op.create_table(
        "logged_datasets",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("experiment_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("source_type", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("schema", sa.Text, nullable=True),
        sa.Column("profile", sa.Text, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "run_datasets",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("experiment_id", sa.BigInteger, nullable=False),
        sa.Column("context", sa.Text, nullable=True),
        sa.Column("tags", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    for name in ("name", "digest", "context"):
        columns = ["project", "experiment_id", name, "run_id"]
        op.create_index(f"run_datasets_{name}", "run_datasets", columns)


def _models() -> None:
    op.create_table(
        "run_models",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("run_models_model", "run_models", ["project", "model_id", "role"])


def _default_experiment() -> None:
    # Clients read it before anything is written.
    insert = sa.text(
        "INSERT INTO experiments (project, id, name, lifecycle_stage, artifact_root,"
        " created_at, updated_at) VALUES ('default', 0, 'Default', 'active', '', :now, :now)"
        " ON CONFLICT DO NOTHING"
    )
    op.get_bind().execute(insert, {"now": clock.now_ms()})


def _without_rowid() -> None:
    _stored_by_key(
        "metrics",
        [
            *_texts("project", "run_id", "key", is_key=True),
            *_numbers("at", "step", is_key=True),
            sa.Column("value", sa.Float, primary_key=True),
            *_texts("kind", is_key=True),
        ],
    )
    _stored_by_key(
        "latest_metrics",
        [
            *_texts("project", "run_id", "key", is_key=True),
            *_numbers("experiment_id"),
            sa.Column("value", sa.Float, nullable=False),
            *_texts("kind"),
            *_numbers("at", "step"),
        ],
        searched_by="value",
    )
    for name in ("params", "tags"):
        _stored_by_key(
            name,
            [
                *_texts("project", "run_id", "key", is_key=True),
                *_numbers("experiment_id"),
                *_texts("value", "value_head"),
            ],
            searched_by="value_head",
        )


def _stored_by_key(
    name: str, columns: Sequence[sa.Column[object]], *, searched_by: str = ""
) -> None:
    """Make a table anew without SQLite's hidden row numbers, which cost a second tree."""
    op.create_table(f"new_{name}", *columns, sqlite_with_rowid=False)
    names = ", ".join(f'"{column.name}"' for column in columns)
    # Names of this file's own tables and columns; nothing of a client's reaches it.
    op.execute(f"INSERT INTO new_{name} ({names}) SELECT {names} FROM {name}")  # noqa: S608
    op.drop_table(name)
    op.rename_table(f"new_{name}", name)
    if searched_by:
        found_by = ["project", "experiment_id", "key", searched_by, "run_id"]
        op.create_index(f"{name}_search", name, found_by)


def _texts(*names: str, is_key: bool = False) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.Text, primary_key=is_key, nullable=False) for name in names]


def _numbers(*names: str, is_key: bool = False) -> list[sa.Column[object]]:
    return [
        sa.Column(name, sa.BigInteger, primary_key=is_key, nullable=False, autoincrement=False)
        for name in names
    ]

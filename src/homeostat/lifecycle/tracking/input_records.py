"""Tables of what MLflow's runs read and made, and the SQL on them.

Called by tracking's actions and search only.
"""

from __future__ import annotations

import sqlalchemy as sa

from homeostat.foundation.database import Prepared, columns, upserts
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.tracking import records

logged_datasets = sa.Table(
    "logged_datasets",
    metadata,
    columns.text("project", primary_key=True),
    columns.number("experiment_id", primary_key=True, autoincrement=False),
    columns.text("name", primary_key=True),
    columns.text("digest", primary_key=True),
    columns.text("source_type"),
    columns.text("source"),
    columns.text("schema", nullable=True),
    columns.text("profile", nullable=True),
    columns.number("created_at"),
)
run_datasets = sa.Table(
    "run_datasets",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("run_id", primary_key=True),
    columns.text("name", primary_key=True),
    columns.text("digest", primary_key=True),
    columns.number("experiment_id"),
    columns.text("context", nullable=True),
    columns.text("tags"),
    sa.Index("run_datasets_name", "project", "experiment_id", "name", "run_id"),
    sa.Index("run_datasets_digest", "project", "experiment_id", "digest", "run_id"),
    sa.Index("run_datasets_context", "project", "experiment_id", "context", "run_id"),
    sqlite_with_rowid=False,
)
run_models = sa.Table(
    "run_models",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("run_id", primary_key=True),
    columns.text("role", primary_key=True),
    columns.text("model_id", primary_key=True),
    columns.number("step"),
    columns.number("created_at"),
    sa.Index("run_models_model", "project", "model_id", "role"),
    sqlite_with_rowid=False,
)
RUN_DATASETS = Prepared(
    sa.select(
        *(logged_datasets.c[name] for name in ("name", "digest", "source_type", "source")),
        *(logged_datasets.c.schema, logged_datasets.c.profile, run_datasets.c.tags),
    )
    .select_from(
        run_datasets.join(
            logged_datasets,
            sa.and_(
                *(
                    run_datasets.c[name] == logged_datasets.c[name]
                    for name in ("project", "experiment_id", "name", "digest")
                )
            ),
        )
    )
    .where(
        run_datasets.c.project == records.IN_PROJECT, run_datasets.c.run_id == records.IN_RUN
    )
    .order_by(run_datasets.c.name, run_datasets.c.digest)
)
RUN_MODELS = Prepared(
    sa.select(run_models.c.role, run_models.c.model_id, run_models.c.step)
    .where(run_models.c.project == records.IN_PROJECT, run_models.c.run_id == records.IN_RUN)
    .order_by(run_models.c.created_at, run_models.c.step, run_models.c.model_id)
)
INSERT_DATASETS = upserts.keeping(logged_datasets)
INSERT_RUN_DATASETS = upserts.keeping(run_datasets)
UPSERT_RUN_MODELS = upserts.replacing(
    run_models, ["project", "run_id", "role", "model_id"], ["step"]
)
